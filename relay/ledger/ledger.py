"""The ledger: gives each operation its lane, its transaction or its snapshot."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Final, TypeVar

from relay.ledger.archive import SqlArchive
from relay.ledger.engine.commit import Bound, Committer, Lane, Store, Work
from relay.ledger.engine.faults import refusal
from relay.ledger.queries import counters, inbox, leases, outbox, record, refused, suspects, work
from relay.ledger.terms import Terms
from relay.model import Claim, Doubt, Due, Entry, Move, Receipt, Recorded, Rejection, Result, Settled

T = TypeVar("T")

_PATIENCE: Final = 0.02
"""Seconds for which a confirmed delivery may wait to be deleted. A crash in that time publishes it once more."""
_WAITING: Final = 2_000
"""Deliveries that may wait for a commit. Beyond it, intake refuses at once."""
_SPACE: Final = 64 << 20
"""Bytes of deliveries that may wait for a commit."""


class SqlLedger(SqlArchive):
    """The ports Inbox, Work and Outbox, and Archive by inheritance. The ports document each method."""

    def __init__(self, store: Store, terms: Terms) -> None:
        self.terms = terms
        self._store = store
        fresh = outbox.Fresh()
        self._record: Lane[Move, Recorded] = Lane(partial(record.record, terms=terms, fresh=fresh))
        self._settle: Lane[Settled, None] = Lane(outbox.settle, patience=_PATIENCE)
        self._accept: Lane[inbox.Delivery, list[Receipt]] = Lane(
            partial(inbox.accept, terms=terms), most=128, bound=Bound(_WAITING, _SPACE, inbox.weigh)
        )
        self._claim: Lane[int, list[Claim]] = Lane(partial(work.claim, terms=terms))
        self._due: Lane[int, list[Due]] = Lane(partial(outbox.due, fresh=fresh))
        self._reject: Lane[Rejection, None] = Lane(refused.reject, bound=Bound(_WAITING, _SPACE, refused.weigh))
        self._sequence: Lane[None, bool] = Lane(outbox.sequence)
        # The order within a shared transaction. Moves and settled deliveries come first, because they make room below
        # the high-water mark for what comes in. Deliveries come before claims, which take what they have made.
        lanes = (self._record, self._settle, self._accept, self._claim, self._due, self._reject, self._sequence)
        self._committer = Committer(store, lanes)

    async def write(self, operation: Work[T], *, slow: bool = False) -> T:
        """Run one operation in a transaction of its own. Raises as the ports document."""
        return await self._committer.alone(operation, slow=slow)

    async def read(self, operation: Work[T], *, slow: bool = False) -> T:
        """Run one operation on a snapshot. It does not block writers."""
        return await self._store.read(operation, slow=slow)

    async def browse(self, operation: Work[T]) -> T:
        """Run a person's query on a snapshot, for a few seconds at most. It does not block the service's readers."""
        return await self._store.browse(operation)

    async def aclose(self) -> None:
        """Commit the operations that wait, then close the store."""
        await self._committer.aclose()  # before the store, which the last commits need
        await self._store.aclose()

    async def accept(self, delivery: Sequence[Entry]) -> list[Receipt]:
        return await self._committer.submit(self._accept, _prepare(delivery))

    async def known(self, delivery: Sequence[Entry]) -> list[Receipt] | None:
        return await self.read(partial(inbox.known, delivery=_prepare(delivery)))

    async def reserve(self, slots: int) -> int:
        return await self.write(partial(leases.reserve, wanted=slots, terms=self.terms))

    async def probe(self) -> None:
        await self.write(leases.probe)

    async def reject(self, rejection: Rejection) -> None:
        await self._committer.submit(self._reject, rejection)

    async def begin(self, key: bytes) -> int:
        return await self.write(partial(suspects.begin, key=key, terms=self.terms))

    async def end(self, key: bytes, *, settled: bool) -> None:
        await self.write(partial(suspects.end, key=key, settled=settled, terms=self.terms))

    async def claim(self, limit: int) -> list[Claim]:
        return await self._committer.submit(self._claim, limit)

    async def give_back(self, keep: Collection[str]) -> int:
        return await self.write(partial(work.give_back, keep=keep, terms=self.terms))

    async def record(self, move: Move) -> Recorded:
        return await self._committer.submit(self._record, move)

    async def sweep(self) -> int:
        return await self.write(partial(work.sweep, terms=self.terms))

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
