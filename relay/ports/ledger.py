"""The ledger, one small Protocol per user of it. Every method is one transaction (or its share of a group commit).

All methods raise `Unavailable` when the ledger is away (nothing is known to be committed). Durations are integers
of milliseconds; the times in the ledger are the database's.
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
    """What comes in."""

    async def accept(self, delivery: Sequence[Entry]) -> list[Receipt]:
        """Commit one delivery to disk, all of its entries or none, and give one receipt per entry, in order.

        An event whose identity (source, origin, external_id) is remembered makes nothing new and is answered as
        a duplicate once the first is committed; so is a later entry of the same delivery. An event without an
        external id is a duplicate only of one that was accepted in the last hour: of the same delivery (`session`,
        `delivery`), or where it is `redelivered` of the same source and digest from another session. Each acceptance
        makes one redelivery a duplicate.
        An event with a `repeat` that the same source had before is a duplicate of that one, whatever its id; its id is
        then not remembered. With `twins` it is one only of an event of its own type.
        Raises `Refused` when the database cannot hold this delivery; others in the same commit are not touched.
        Raises `Overloaded` at once while as much as may wait for a commit does.
        """
        ...

    async def known(self, delivery: Sequence[Entry]) -> list[Receipt] | None:
        """The receipts of a delivery that `accept` would find wholly known, else None; past high water it decides."""
        ...

    async def reserve(self, slots: int) -> int:
        """Lease up to `slots` places below the high-water mark for this replica; gives how many were granted.

        A grant replaces the one before and lapses after 30 s.
        """
        ...

    async def probe(self) -> None:
        """Return once a small write was committed: whoever holds a message back asks so whether it may come.

        Raises `Unavailable` also where the ledger answers but takes no writes (a failover, a full disk).
        """
        ...

    async def reject(self, rejection: Rejection) -> None:
        """Keep the metadata of a refused request and, if it has one, its `kept` part, in one transaction.

        Per source the newest 1,000 are kept, and of `kept` parts the newest 1,000 and 64 MiB of bodies; metadata stays
        for as long as its `kept` part does. A body above 64 MiB is not kept. Raises `Overloaded` as `accept`.
        """
        ...

    async def begin(self, key: bytes) -> int:
        """Note, before a message that came before is read once more, that this replica reads it; how many replicas, or
        earlier runs of this one, ended while they read it. `key` is a digest of the message; it is known for 7 days.
        """
        ...

    async def end(self, key: bytes, *, settled: bool) -> None:
        """Note that what `begin` began here is over. What is `settled` is forgotten, of others the count is kept."""
        ...


class Work(Protocol):
    """What is to be done at Cargo."""

    async def claim(self, limit: int) -> list[Claim]:
        """Take up to `limit` dispatches that are due (`ready` or `waiting` whose time has come, `messaging`).

        Each gets a lease, the next fencing token and the row of its attempt, in this commit. Claims nothing while
        a global pause is on. With a rate, claims only what may start within a second and says when (`start_in`).
        """
        ...

    async def give_back(self, keep: Collection[str]) -> int:
        """Make claimable again what this replica has claimed, but for the dispatches in `keep`; how many.

        Only for what no call was begun for. Each gets its attempt back, and is claimed anew as if it never had been.
        """
        ...

    async def record(self, move: Move) -> Recorded:
        """Apply a move as its docstring says. A cancel that was asked for meanwhile ends it when it would wait."""
        ...

    async def sweep(self) -> int:
        """Turn every `sending` row whose lease has run out into `checking`, `messaging` into doubt; how many.

        A message in doubt is due `settle` after its lease ended, so that whoever claims it looks not too early.
        """
        ...

    async def doubts(self, limit: int) -> list[Doubt]:
        """Dispatches in `checking` whose next look is due, oldest first."""
        ...

    async def wake(self) -> int | None:
        """Milliseconds until the next row can be claimed (0: now), None when there is none."""
        ...

    async def lease(self, name: str, ttl: int) -> bool:
        """Take or renew the named lease for this replica; False while another one has it."""
        ...

    async def release(self, name: str) -> None:
        """Give a named lease back, if it is ours."""
        ...

    async def pace(self, calls: int) -> int:
        """Reserve the starts of `calls` calls to Cargo under the rate; milliseconds until the first may start."""
        ...

    async def pause(self, reason: str) -> bool:
        """Pause all sending on all replicas; False when it was paused for that reason already."""
        ...

    async def resume(self, reason: str) -> bool:
        """End a pause; False when there was none. The time of pauses does not count as waited."""
        ...

    async def pauses(self) -> Mapping[str, int]:
        """The global pauses that are on: reason to start, milliseconds since the epoch."""
        ...


class Outbox(Protocol):
    """What is to be told."""

    async def due(self, limit: int) -> list[Due]:
        """Lease up to `limit` deliveries that are due, oldest first, for 60 s."""
        ...

    async def settle(self, settled: Settled) -> None:
        """Keep what became of a delivery."""
        ...

    async def follow(self, after: int, limit: int) -> list[tuple[int, Result]]:
        """Results with a cursor above `after`, in its order. A late commit gets a later cursor, never a skipped one."""
        ...

    async def sequence(self) -> bool:
        """Give cursors to some results that have none yet; True when more are left. `follow` and `latest` do it too."""
        ...

    async def latest(self) -> int:
        """The cursor of the newest result, 0 when there is none."""
        ...


class Archive(Protocol):
    """What people ask and do. What they ask for ends after 5 s: `Unavailable` then says what to narrow."""

    async def events(self, query: EventQuery) -> EventPage:
        """A page of events, newest first; bodies, and what was rendered of them, are not read."""
        ...

    async def event(self, any_id: str) -> EventDetail:
        """All about the event with this id, or with this dispatch. Raises `NotFound`."""
        ...

    async def load(self, event_id: str) -> Event:
        """The event as it came in. Raises `NotFound`."""
        ...

    async def dispatch(self, dispatch_id: str) -> tuple[Event, Dispatch]:
        """A dispatch and its event. Raises `NotFound`."""
        ...

    async def extend(self, event_id: str, entry: Entry, *, again: bool) -> list[tuple[str, str]]:
        """Add the dispatches of a replay, less those of rules that made, or may make, a chat (unless `again`).

        Gives the pairs (dispatch id, rule) that were added. Raises `NotFound`.
        """
        ...

    async def retry(self, dispatch_id: str, rendered: Dispatch | None) -> Dispatch:
        """Start the next run of a dispatch that ended without a chat, or is parked.

        `rendered` replaces body and message when given. A parked one that was ever sent goes to `checking`.
        Raises `NotFound`, `Conflict`.
        """
        ...

    async def cancel(self, dispatch_id: str) -> Dispatch:
        """End a dispatch (told as `cancelled`), or, if its outcome is open, as soon as it is known to have no chat.

        Raises `NotFound`, `Conflict` when it has ended or its chat exists.
        """
        ...

    async def rejected(self, source: str | None, limit: int) -> list[RejectionView]:
        """Refused requests, newest first; what is kept of them is not read."""
        ...

    async def refused(self, source: str, limit: int, after: str | None) -> list[Rejection]:
        """The refused requests of a source that are kept and not expired, oldest first, each with its `kept` part.

        `after` is the last id of the page before, None for the first page.
        """
        ...

    async def readmitted(self, rejection_id: str, event_ids: Sequence[str]) -> None:
        """Mark a refused request as having become these events and drop its `kept` part, in one transaction.

        The first mark stays; one that is not there any more is left alone.
        """
        ...

    async def learn(self, source: str, secret: Secret) -> bool:
        """Keep the secret that a handshake brought for a source; whether this is now the kept one.

        The first wins, also among replicas: False when another is kept already, until it is forgotten.
        """
        ...

    async def learned(self) -> Mapping[str, Secret]:
        """The secrets that handshakes brought, by source."""
        ...

    async def forget(self, source: str) -> bool:
        """Drop the secret that a handshake brought, so that the next one is kept; False when there was none."""
        ...

    async def paused_sources(self) -> frozenset[str]:
        """The sources that a person has paused."""
        ...

    async def pause_source(self, name: str, *, paused: bool) -> None:
        """Pause or resume a source, on all replicas and over restarts."""
        ...

    async def last_events(self, sources: Sequence[str]) -> Mapping[str, int]:
        """When the newest event of each source came in, in milliseconds since the epoch; none: left out."""
        ...

    async def gauges(self) -> Gauges:
        """Ledger-wide numbers."""
        ...

    async def prune(self) -> int:
        """Delete up to 500 rows, and some MiB, of what is past its time; how many rows.

        That are finished events, seen ids and kept requests. Whoever adds to an event meanwhile comes before or after.
        """
        ...

    async def ping(self) -> None:
        """Return when the ledger answers."""
        ...


class Ledger(Inbox, Work, Outbox, Archive, Protocol):
    """All of it: what an adapter implements."""
