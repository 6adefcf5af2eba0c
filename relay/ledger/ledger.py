"""The ledger: gives each operation its lane, its transaction or its snapshot."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from sqlalchemy import Connection

from relay.errors import Unavailable
from relay.ledger.archive import SqlArchive
from relay.ledger.engine.commit import Bound, Committer, Lane, Store, Work
from relay.ledger.engine.faults import refusal
from relay.ledger.jobs import SqlJobs
from relay.ledger.problems import SqlProblems
from relay.ledger.queries import (
    cancels,
    counters,
    dead,
    expire,
    fair,
    inbox,
    leases,
    outbox,
    prune,
    record,
    refused,
    spending,
    suspects,
    windows,
    withhold,
    work,
)
from relay.ledger.rates import SqlRates
from relay.ledger.terms import Terms
from relay.model import (
    Claim,
    Closed,
    DeadLetter,
    Dispatch,
    Doubt,
    Due,
    Entry,
    Gathered,
    Move,
    Receipt,
    Record,
    Rejection,
    Result,
    Settled,
    Spending,
    WindowChat,
    Withheld,
    new_id,
)
from relay.slots import Offer

T = TypeVar("T")

_PATIENCE: Final = 0.2
"""Seconds for which a confirmed delivery may wait to be deleted. A crash in that time publishes it once more."""
_WAITING: Final = 2_000
"""Deliveries that may wait for a commit. Beyond it, intake refuses at once."""
_SPACE: Final = 64 << 20
"""Bytes of deliveries that may wait for a commit."""


class SqlLedger(SqlArchive, SqlJobs, SqlProblems, SqlRates):
    """The ports Inbox, Windows, Work, Budgets and Outbox; Archive, Jobs, Problems and Rates by inheritance.

    The ports document each.

    `terms` may be replaced at run time, but for `owner`, `lease` and `publish`; each commit reads them once.
    """

    def __init__(self, store: Store, terms: Terms) -> None:
        self.terms = terms
        self.prune_size = prune.TurnSize()
        self._swept_at = 0
        self._store = store
        fresh, turns = outbox.Fresh(), fair.Turns()
        self._record: Lane[record.Recording, record.RecordAnswer] = Lane(
            lambda conn, now, items: record.record(conn, now, items, terms=self.terms, fresh=fresh),
            finish=_hand_on_results,
        )
        self._settle: Lane[Settled, None] = Lane(outbox.settle, patience=_PATIENCE)
        self._accept: Lane[inbox.Acceptance, inbox.Accepted] = Lane(
            lambda conn, now, items: inbox.accept(conn, now, items, terms=self.terms),
            most=128,
            bound=Bound(_WAITING, _SPACE, inbox.weigh),
            finish=_hand_on_claims,
        )
        self._claim: Lane[int, work.Claimed] = Lane(
            lambda conn, now, items: work.claim(
                conn, now, items, terms=self.terms, turns=turns, withhold=withhold.withhold
            ),
            finish=self._keep_withheld,
        )
        self._withheld: list[Withheld] = []
        self._due: Lane[int, list[Due]] = Lane(
            lambda conn, now, items: outbox.due(conn, now, items, terms=self.terms, fresh=fresh)
        )
        self._reject: Lane[Rejection, None] = Lane(refused.reject, bound=Bound(_WAITING, _SPACE, refused.weigh))
        self._note_dead: Lane[DeadLetter, None] = Lane(dead.note, bound=Bound(_WAITING, _SPACE, dead.weigh))
        self._sequence: Lane[None, bool] = Lane(outbox.sequence)
        # The order within a shared transaction. Moves and settled deliveries come first, because they make room below
        # the high-water mark for what comes in. Deliveries come before claims, which take what they have made.
        lanes = (self._record, self._settle, self._accept, self._claim, self._due, self._reject, self._note_dead)
        self._committer = Committer(store, (*lanes, self._sequence))

    async def write(self, operation: Work[T], *, slow: bool = False) -> T:
        """Run one operation in a transaction of its own. Raises as the ports document."""
        return await self._committer.alone(operation, slow=slow)

    async def read(self, operation: Work[T], *, slow: bool = False) -> T:
        """Run one operation on a snapshot. It does not block writers."""
        return await self._store.read(operation, slow=slow)

    async def browse(self, operation: Work[T]) -> T:
        """Run a person's query on a snapshot, for a few seconds at most. It does not block the service's readers."""
        return await self._store.browse(operation)

    async def compact(self) -> bool:
        """Leave nothing in the ledger's files of what was overwritten. False where they are a server's."""
        return await self._store.compact()

    async def aclose(self) -> None:
        """Commit the operations that wait, then close the store."""
        await self._committer.aclose()  # before the store, which the last commits need
        await self._store.aclose()

    async def accept(self, delivery: Sequence[Entry], offer: Offer[Claim] | None = None) -> list[Receipt]:
        prepared = _prepare(delivery)
        with _lost_on_error(offer):
            committed = self._committer.submit(self._accept, inbox.Acceptance(prepared, offer))
        try:
            receipts, _ = await committed
        except cancels.TooMany:
            return await self._accept_later(prepared)
        return receipts

    async def _accept_later(self, prepared: inbox.Delivery) -> list[Receipt]:
        """Cancel what the delivery cancels, some at a time, then accept it: one that came again would go on there."""
        before: dict[str, list[Dispatch]] = {}
        cancel_some = partial(inbox.cancel_some, delivery=prepared, terms=self.terms)
        while ended := await self.write(cancel_some):
            for event_id, dispatches in ended.items():
                before.setdefault(event_id, []).extend(dispatches)
        try:
            receipts, _ = await self._committer.submit(self._accept, inbox.Acceptance(prepared))
        except cancels.TooMany:
            raise Unavailable("more came to be held under the key of this event while it was cancelled") from None
        return [replace(each, cancelled=(*before.get(each.id, ()), *each.cancelled)) for each in receipts]

    async def known(self, delivery: Sequence[Entry]) -> list[Receipt] | None:
        return await self.read(partial(inbox.known, delivery=_prepare(delivery)))

    async def reserve(self, slots: int) -> int:
        return await self.write(partial(leases.reserve, wanted=slots, terms=self.terms))

    async def probe(self) -> None:
        await self.write(leases.probe)

    async def reject(self, rejection: Rejection) -> None:
        await self._committer.submit(self._reject, rejection)

    async def note_dead(self, letter: DeadLetter) -> None:
        await self._committer.submit(self._note_dead, letter)

    async def drop_dead(self, letter_id: str) -> None:
        await self.write(partial(dead.drop, letter_id=letter_id))

    async def begin(self, key: bytes) -> int:
        return await self.write(partial(suspects.begin, key=key, terms=self.terms))

    async def end(self, key: bytes, *, settled: bool) -> None:
        await self.write(partial(suspects.end, key=key, settled=settled, terms=self.terms))

    async def claim(self, limit: int) -> list[Claim]:
        return list((await self._committer.submit(self._claim, limit)).claims)

    async def withheld(self) -> Sequence[Withheld]:
        found, self._withheld = self._withheld, []
        return found

    def _keep_withheld(self, _limit: int, claimed: work.Claimed | None) -> None:
        self._withheld.extend(() if claimed is None else claimed.withheld)

    async def measure(self, rule: str, budget: Mapping[str, Any], credits_used: float | None) -> Spending:
        measure = partial(spending.measure, rule=rule, plan=budget, credits_used=credits_used)
        return await self.write(partial(measure, ids=new_id, terms=self.terms))

    async def chats_since(self, rule: str, since: int) -> Mapping[str, str]:
        return await self.read(partial(spending.chats_since, rule=rule, since=since), slow=True)

    async def give_back(self, keep: Collection[tuple[str, int]]) -> int:
        return await self.write(partial(work.give_back, keep=keep, terms=self.terms))

    async def record(
        self, move: Move, publishing: Offer[Due] | None = None, next_call: Offer[int] | None = None
    ) -> Record:
        with _lost_on_error(publishing, next_call):
            recording = record.Recording(move, publishing, next_call)
            committed = self._committer.submit(self._record, recording)
        return (await committed).record

    async def expire(self) -> list[Dispatch]:
        return await self.write(partial(expire.expire, terms=self.terms))

    async def next_close(self) -> int | None:
        return await self.read(windows.next_close)

    async def gathered(self) -> list[Gathered]:
        return await self.read(windows.gathered)

    async def close_windows(self, rendered: Mapping[str, WindowChat]) -> Closed:
        return await self.write(partial(windows.close, rendered=rendered, terms=self.terms))

    async def sweep(self) -> int:
        return await self.write(self._sweep)

    def _sweep(self, conn: Connection, now: int) -> int:
        if now < self._swept_at - work.SET_BACK:
            work.pull_in(conn, now)
        self._swept_at = now
        return work.sweep(conn, now, terms=self.terms)

    async def doubts(self, limit: int) -> list[Doubt]:
        return await self.read(partial(work.doubts, limit=limit))

    async def wake(self) -> int | None:
        return await self.read(partial(work.wake, terms=self.terms))

    async def lease(self, name: str, ttl: int) -> bool:
        return await self.write(partial(leases.lease, name=name, ttl=ttl, terms=self.terms))

    async def release(self, name: str) -> None:
        await self.write(partial(leases.release, name=name, terms=self.terms))

    async def pace(self, calls: int) -> int:
        if self.terms.spacing is None:
            return 0
        return await self.write(partial(counters.pace, calls=calls, terms=self.terms))

    async def pause(self, reason: str) -> bool:
        return await self.write(partial(counters.pause, reason=reason))

    async def resume(self, reason: str) -> bool:
        return await self.write(partial(counters.resume, reason=reason))

    async def pauses(self) -> Mapping[str, int]:
        return await self.read(counters.current)

    async def due(self, limit: int) -> list[Due]:
        return await self._committer.submit(self._due, limit)

    async def return_deliveries(self, keep: Collection[outbox.Place]) -> int:
        return await self.write(partial(outbox.give_back, keep=keep, terms=self.terms))

    async def settle(self, settled: Settled) -> None:
        await self._committer.submit(self._settle, settled)

    async def follow(self, after: int, limit: int) -> list[tuple[int, Result]]:
        while True:
            # Cursors are given before the read, so that it finds every result that is committed by now.
            more = await self._committer.submit(self._sequence, None)
            page = await self.browse(partial(outbox.follow, after=after, limit=limit))
            if page or not more:
                return page

    async def latest(self) -> int:
        while await self._committer.submit(self._sequence, None):
            pass
        return await self.browse(outbox.latest)

    async def sequence(self) -> bool:
        """Give cursors to a bounded number of the results that have none yet. Returns True when more are left.

        Called regularly, it leaves little work to the first call of `follow`. Does nothing on SQLite, where a result
        gets its cursor when it is inserted.
        """
        return not self._store.shares and await self._committer.submit(self._sequence, None)


def _prepare(delivery: Sequence[Entry]) -> list[inbox.Prepared]:
    try:
        return [inbox.prepare(entry) for entry in delivery]
    except ValueError as error:
        raise refusal(error) from None


def _hand_on_claims(acceptance: inbox.Acceptance, accepted: inbox.Accepted | None) -> None:
    _end(acceptance.offer, None if accepted is None else accepted[1])


def _hand_on_results(recording: record.Recording, answer: record.RecordAnswer | None) -> None:
    _end(recording.publishing, None if answer is None else answer.deliveries)
    _end(recording.next_call, None if answer is None else answer.fences)


def _end(offer: Offer[T] | None, items: Sequence[T] | None) -> None:
    if offer is None:
        return
    if items is None:
        offer.lose()
    else:
        offer.take(items)


@contextmanager
def _lost_on_error(*offers: Offer[Any] | None) -> Iterator[None]:
    """Until an operation is submitted, nobody else ends its offers."""
    try:
        yield
    except BaseException:
        for offer in offers:
            _end(offer, None)
        raise
