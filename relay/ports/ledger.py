"""The ledger, as one small Protocol per user of it. Every method is one transaction, or its part of a group commit.

All methods raise `Unavailable` when the ledger cannot be reached; it is then unknown whether anything was committed.
Durations are integers, in milliseconds. Times in the ledger are by the database's clock.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Protocol

from relay.model import (
    Claim,
    Closed,
    DeadLetter,
    Dispatch,
    Doubt,
    Due,
    DueAlert,
    Entry,
    Gathered,
    Move,
    ProblemTurn,
    Receipt,
    Recorded,
    Rejection,
    Result,
    Settled,
    Sightings,
    Spending,
    Watched,
    WindowChat,
    Withheld,
)
from relay.ports.archive import Archive
from relay.ports.jobs import Jobs
from relay.slots import Offer


class Inbox(Protocol):
    """Stores incoming events and refused requests."""

    async def accept(self, delivery: Sequence[Entry], offer: Offer[Claim] | None = None) -> list[Receipt]:
        """Commit one delivery to disk, all of its entries or none. Returns one receipt per entry, in order.

        New dispatches may be committed as claimed, for the call slots of `offer`, when nothing older is due.

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

    async def note_dead(self, letter: DeadLetter) -> None:
        """Store the record of a message that is about to go to the dead letters.

        Raises `Refused` when the database cannot store it, and `Overloaded` as `accept`.
        """
        ...

    async def drop_dead(self, letter_id: str) -> None:
        """Delete the record of a message that did not go there."""
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
        """Claim up to `limit` dispatches that are due (in `ready`, `held`, `waiting` or `messaging`).

        The same commit gives each a lease, the next fencing token and the start of its attempt, which gets a row when
        it ends. Claims nothing during a global pause. With a rate, claims only dispatches that may start within a
        second; `start_in` says when.
        """
        ...

    async def withheld(self) -> Sequence[Withheld]:
        """What this replica's claims have parked, ended or held instead of claiming it, since it was asked last."""
        ...

    async def give_back(self, keep: Collection[tuple[str, int]]) -> int:
        """Release the claims of this replica, except those in `keep`. Returns how many.

        A claim is a dispatch with its fence: the call that makes a chat and the one that says its message may overlap.
        Only for claims whose call was not begun. The attempt does not count, as if it had not been claimed.
        """
        ...

    async def record(
        self, move: Move, publishing: Offer[Due] | None = None, next_call: Offer[int] | None = None
    ) -> Recorded:
        """Apply a move, as the docstring of Move says.

        Deliveries of its results may be committed as leased, for `publishing`. A dispatch that has its chat may be
        claimed for its first message in the same commit, for `next_call`, which takes the fence of that claim.
        A dispatch that was marked to be cancelled meanwhile ends here instead of waiting for another attempt.
        """
        ...

    async def expire(self) -> list[Dispatch]:
        """End dispatches that have waited longer for their turn than their rule lets them. Returns up to 200 of them.

        A claim that meets one ends it too.
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


class Budgets(Protocol):
    """What rules have used of their budgets. Chats are counted by `Work.claim`."""

    async def measure(self, rule: str, budget: Mapping[str, Any], credits_used: float | None) -> Spending:
        """What is used of the present window. `credits_used` is what Cargo says of it, None if it was not asked.

        `budget` is the plan of the key. A level that is reached is told to one replica, once in a window; the same
        transaction opens its problem, or tells of it once more when the budget is used up.
        """
        ...

    async def chats_since(self, rule: str, since: int) -> Mapping[str, str]:
        """The chats that a rule has made since then (ms since the epoch): their uuids, and their triggers' types."""
        ...

    async def lease(self, name: str, ttl: int) -> bool:
        """As `Work.lease`."""
        ...

    async def pace(self, calls: int) -> int:
        """As `Work.pace`."""
        ...


class Outbox(Protocol):
    """Hands out results to publish, and the stream of all results."""

    async def due(self, limit: int) -> list[Due]:
        """Lease up to `limit` deliveries that are due, oldest first, for 60 s."""
        ...

    async def return_deliveries(self, keep: Collection[tuple[str, str]]) -> int:
        """Make the deliveries due that this replica has leased, except `keep` (result id and destination).

        Returns how many.
        """
        ...

    async def settle(self, settled: Settled) -> None:
        """Record the outcome of a delivery. Returns up to 0.2 s later, with the commits of others."""
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


class Windows(Protocol):
    """Closes the windows in which rules gather events (`debounce`)."""

    async def next_close(self) -> int | None:
        """Milliseconds until the next window closes, 0 when one is due; None when there is none."""
        ...

    async def gathered(self) -> list[Gathered]:
        """Some windows that are due and whose chats see all of their events."""
        ...

    async def close_windows(self, rendered: Mapping[str, WindowChat]) -> Closed:
        """Close a bounded number of windows that are due; of those in `gathered` the ones that are `rendered`, by id.

        One that has changed since it was read stays for the next call.
        """
        ...


class Problems(Protocol):
    """Groups what goes wrong, and tells of it."""

    async def watch(self, sightings: Sightings, watched: Watched) -> ProblemTurn:
        """Count what a replica has seen; open, resolve and tell the problems for which it is time.

        A problem that is opened is told at once, one that is resolved 10 minutes after that at the earliest, and not
        at all if it is open again by then. Messages enter the outbox, and the alerts of all receivers, in the same
        transaction: each is told once, whoever calls this.
        """
        ...

    async def due_alerts(self, limit: int) -> Sequence[DueAlert]:
        """Lease up to `limit` alerts that are due, oldest first, for 60 s."""
        ...

    async def settle_alert(self, alert: DueAlert, retry_in: int | None) -> None:
        """Record that an alert is over (None), or due again in `retry_in` milliseconds."""
        ...


class Ledger(Inbox, Windows, Work, Budgets, Outbox, Archive, Jobs, Problems, Protocol):
    """The whole ledger, which an adapter implements."""
