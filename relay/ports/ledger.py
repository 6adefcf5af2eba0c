"""The ledger, as one small Protocol per user of it. Every method is one transaction, or its part of a group commit.

All methods raise `Unavailable` when the ledger cannot be reached; it is then unknown whether anything was committed.
Durations are integers, in milliseconds. Times in the ledger are by the database's clock.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from relay.model import (
    Claim,
    Dispatch,
    Doubt,
    Due,
    Entry,
    Event,
    EventDetail,
    EventPage,
    EventQuery,
    Gauges,
    Move,
    Receipt,
    Recorded,
    Rejection,
    RejectionView,
    Result,
    Settled,
)
from relay.secret import Secret


class Inbox(Protocol):
    """Stores incoming events and refused requests."""

    async def accept(self, delivery: Sequence[Entry]) -> list[Receipt]:
        """Commit one delivery to disk, all of its entries or none. Returns one receipt per entry, in order.

        - An event whose identity (source, origin, external_id) is remembered creates nothing and is answered as
          a duplicate, once the first event is committed. The same holds for a later entry of the same delivery.
        - An event without an external id is a duplicate only of one that was accepted in the last hour: of the same
          delivery (`session`, `delivery`), or, if it is `redelivered`, of the same source and digest from another
          session. Each acceptance makes one redelivery a duplicate.
        - An event with a `repeat` that the same source sent before is a duplicate of that event, whatever its id. Its
          own id is then not remembered. With `twins` it is a duplicate only of an event of the same type.

        Raises `Refused` when the database cannot store this delivery; other deliveries in the same commit succeed.
        Raises `Overloaded` at once when too much waits for a commit.
        """
        ...

    async def known(self, delivery: Sequence[Entry]) -> list[Receipt] | None:
        """The receipts of a delivery of which every event is a duplicate, else None.

        Above the high-water mark, when `accept` takes nothing new, such a delivery can still be answered.
        """
        ...

    async def reserve(self, slots: int) -> int:
        """Lease up to `slots` places below the high-water mark for this replica. Returns how many were granted.

        A grant replaces the previous one and lapses after 30 s.
        """
        ...

    async def probe(self) -> None:
        """Return once a small write is committed. A consumer that holds a message back tests the ledger with it.

        Raises `Unavailable` also when the ledger answers but takes no writes (a failover, a full disk).
        """
        ...

    async def reject(self, rejection: Rejection) -> None:
        """Store the metadata of a refused request and, if it has one, its `kept` part, in one transaction.

        Per source the newest 1,000 are kept, and of `kept` parts the newest 1,000 with at most 64 MiB of bodies.
        Metadata is kept as long as its `kept` part. A body above 64 MiB is not kept. Raises `Overloaded` as `accept`.
        """
        ...

    async def begin(self, key: bytes) -> int:
        """Note that this replica is about to read a message that was delivered before.

        Returns how many replicas, or earlier runs of this one, died while they read it. `key` is a digest of the
        message, which is remembered for 7 days.
        """
        ...

    async def end(self, key: bytes, *, settled: bool) -> None:
        """Note that this replica has read a message of `begin`. Forgets it if it is `settled`, else keeps its count."""
        ...


class Work(Protocol):
    """Hands out the work to do at Cargo and records its outcome."""

    async def claim(self, limit: int) -> list[Claim]:
        """Claim up to `limit` dispatches that are due (in `ready`, `waiting` or `messaging`).

        The same commit gives each a lease, the next fencing token and the row of its attempt. Claims nothing during
        a global pause. With a rate, claims only dispatches that may start within a second; `start_in` says when.
        """
        ...

    async def give_back(self, keep: Collection[str]) -> int:
        """Release the claims of this replica, except those of the dispatches in `keep`. Returns how many.

        Only for dispatches whose call was not begun. The attempt does not count, as if it had not been claimed.
        """
        ...

    async def record(self, move: Move) -> Recorded:
        """Apply a move, as the docstring of Move says.

        A dispatch that was marked to be cancelled meanwhile ends here instead of waiting for another attempt.
        """
        ...

    async def sweep(self) -> int:
        """End expired leases: `sending` becomes `checking`, `messaging` gets a doubt. Returns how many.

        A message in doubt is due `settle` after the end of its lease, so that it is not looked for too early.
        """
        ...

    async def doubts(self, limit: int) -> list[Doubt]:
        """Dispatches in `checking` whose next look is due, oldest first."""
        ...

    async def wake(self) -> int | None:
        """Milliseconds until the next dispatch can be claimed (0: now), None when there is none."""
        ...

    async def lease(self, name: str, ttl: int) -> bool:
        """Take or renew the named lease for this replica. Returns False while another replica holds it."""
        ...

    async def release(self, name: str) -> None:
        """Release a named lease, if this replica holds it."""
        ...

    async def pace(self, calls: int) -> int:
        """Reserve the starts of `calls` calls to Cargo under the rate. Returns milliseconds until the first start."""
        ...

    async def pause(self, reason: str) -> bool:
        """Pause all sending on all replicas. Returns False when it was paused for that reason already."""
        ...

    async def resume(self, reason: str) -> bool:
        """End a pause. Returns False when there was none. Time in pauses does not count as waiting time."""
        ...

    async def pauses(self) -> Mapping[str, int]:
        """The present global pauses: reason to start, in milliseconds since the epoch."""
        ...


class Outbox(Protocol):
    """Hands out results to publish, and the stream of all results."""

    async def due(self, limit: int) -> list[Due]:
        """Lease up to `limit` deliveries that are due, oldest first, for 60 s."""
        ...

    async def settle(self, settled: Settled) -> None:
        """Record the outcome of a delivery."""
        ...

    async def follow(self, after: int, limit: int) -> list[tuple[int, Result]]:
        """Results with a cursor above `after`, in order. A late commit gets a later cursor, so none is ever missed."""
        ...

    async def sequence(self) -> bool:
        """Give cursors to some results without one. Returns True when more are left.

        `follow` and `latest` do the same first.
        """
        ...

    async def latest(self) -> int:
        """The cursor of the newest result, 0 when there is none."""
        ...


class Archive(Protocol):
    """Queries and actions of people. A query ends after 5 s; `Unavailable` then says how to narrow it."""

    async def events(self, query: EventQuery) -> EventPage:
        """A page of events, newest first, without bodies and rendered texts."""
        ...

    async def event(self, any_id: str) -> EventDetail:
        """Everything about an event, by its id or the id of one of its dispatches. Raises `NotFound`."""
        ...

    async def load(self, event_id: str) -> Event:
        """The event as it was received. Raises `NotFound`."""
        ...

    async def dispatch(self, dispatch_id: str) -> tuple[Event, Dispatch]:
        """A dispatch and its event. Raises `NotFound`."""
        ...

    async def extend(self, event_id: str, entry: Entry, *, again: bool) -> list[tuple[str, str]]:
        """Add the dispatches of a replay. Returns the pairs (dispatch id, rule) that were added. Raises `NotFound`.

        Rules that made a chat of the event, or may make one, are left out unless `again`.
        """
        ...

    async def retry(self, dispatch_id: str, rendered: Dispatch | None) -> Dispatch:
        """Start the next run of a dispatch that ended without a chat or is parked.

        `rendered` replaces body and message unless it is None. A parked dispatch that was ever sent goes to `checking`.
        Raises `NotFound`, `Conflict`.
        """
        ...

    async def cancel(self, dispatch_id: str) -> Dispatch:
        """End a dispatch, which publishes it as `cancelled`.

        While the outcome of a call is open, it ends as soon as it is known to have no chat. Raises `NotFound`, and
        `Conflict` when it has ended or its chat exists.
        """
        ...

    async def rejected(self, source: str | None, limit: int) -> list[RejectionView]:
        """Refused requests, newest first, without their `kept` parts."""
        ...

    async def refused(self, source: str, limit: int, after: str | None) -> list[Rejection]:
        """The refused requests of a source whose `kept` part has not expired, oldest first, with that part.

        `after` is the last id of the previous page, None for the first page.
        """
        ...

    async def readmitted(self, rejection_id: str, event_ids: Sequence[str]) -> None:
        """Store the events that a refused request became and delete its `kept` part, in one transaction.

        Events that are stored already stay. Does nothing for a request that was deleted.
        """
        ...

    async def learn(self, source: str, secret: Secret) -> bool:
        """Store the secret that a handshake brought for a source. Returns whether this secret is the stored one.

        The first secret wins, also among replicas: False while another one is stored, until it is forgotten.
        """
        ...

    async def learned(self) -> Mapping[str, Secret]:
        """The secrets that handshakes brought, by source."""
        ...

    async def forget(self, source: str) -> bool:
        """Delete a source's secret, so that the next one is stored. Returns False when there was none."""
        ...

    async def paused_sources(self) -> frozenset[str]:
        """The sources that a person has paused."""
        ...

    async def pause_source(self, name: str, *, paused: bool) -> None:
        """Pause or resume a source, on all replicas and across restarts."""
        ...

    async def last_events(self, sources: Sequence[str]) -> Mapping[str, int]:
        """When the newest event of each source was received, in milliseconds since the epoch.

        Sources without an event are left out.
        """
        ...

    async def gauges(self) -> Gauges:
        """Numbers of the whole ledger."""
        ...

    async def prune(self) -> int:
        """Delete expired finished events, seen ids and kept requests. Returns how many rows.

        One call deletes up to 500 rows of a kind, and some MiB. An operation that adds to an event at the same time is
        done wholly before or wholly after.
        """
        ...

    async def ping(self) -> None:
        """Return when the ledger answers and takes writes."""
        ...


class Ledger(Inbox, Work, Outbox, Archive, Protocol):
    """The whole ledger, which an adapter implements."""
