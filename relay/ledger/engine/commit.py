"""Group commit: operations that arrive while one transaction commits share the next transaction.

A batch is called a turn. An operation with a waiting caller is never delayed to fill a turn: its turn starts at once,
or, while another turn runs, as soon as the callers which that turn answered have run. Only operations without a waiting
caller (in a lane with `patience`) are held back: they join the next turn that others start, and start one themselves
when their patience ends.

When the database cannot store an input, the batch is split in halves until only that input is refused. A caller that is
cancelled does not withdraw its operation. In a lane with a bound each item must be committed within the store's
time-out, counted from its arrival and including earlier turns. After that its caller gets Unavailable. An item whose
turn has not started by then is not committed; an item whose turn has started may be, and the caller finds out by
submitting it again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

from sqlalchemy import Connection

from relay.errors import Overloaded, RelayError, Unavailable
from relay.ledger.engine.faults import refusal

Item = TypeVar("Item")
Answer = TypeVar("Answer")
T = TypeVar("T")

Work = Callable[[Connection, int], T]
"""One step of a transaction: a plain function of a connection and the database's time in milliseconds."""

Waiting = tuple[Any, "asyncio.Future[Any]"]
"""An item and the future that gets its answer."""

_RETRY_AFTER: Final = 5.0
"""Seconds."""


class Store(Protocol):
    """A database that runs transactions.

    `shares` is true when the database runs one writing transaction at a time, so that all lanes should share it.
    `timeout` is the number of seconds within which the database must answer; None for a file on the local disk.
    """

    shares: bool
    timeout: float | None

    async def write(self, work: Work[T], *, slow: bool = False) -> T:
        """Run `work` and commit. Raises Unavailable when the database cannot be reached.

        Any other error is raised unchanged, after a rollback. Set `slow` for work that may take longer than `timeout`,
        or long enough to block the event loop.
        """
        ...

    async def compact(self) -> bool:
        """Leave nothing in the files of what was overwritten or deleted. Returns False where that is the server's."""
        ...

    async def read(self, work: Work[T], *, slow: bool = False) -> T:
        """Run `work` on a snapshot, for the service itself. It does not block writers. Raises as `write`."""
        ...

    async def browse(self, work: Work[T]) -> T:
        """Run `work` on a snapshot, for a person. It blocks neither writers nor the service's own readers.

        Raises as `write`. Raises Unavailable, with advice to narrow the query, after `BROWSE_FOR` seconds.
        """
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Bound:
    """The capacity of a lane.

    `items` limits the items that wait. `space` limits the bytes, as `weigh` counts them, that wait or are being
    committed.
    """

    items: int
    space: int
    weigh: Callable[[Any], int]


@dataclass(slots=True, eq=False)
class Lane(Generic[Item, Answer]):
    """A queue of operations of one kind. `work` takes at most `most` items and returns one answer for each.

    `patience` is the number of seconds that an item may wait for a turn which other lanes start; 0 starts a turn at
    once. A lane without a `bound` is for items that must not be refused and whose number is limited elsewhere. `finish`
    is called once for each item that was submitted: with its answer after the commit, with None when there is none.
    Unlike the future it does not depend on the caller, who may have been cancelled or may have waited too long. `size`
    is the number of bytes in use of the bound. `ends` holds the deadlines of a lane with a bound, oldest first.
    """

    work: Callable[[Connection, int, Sequence[Item]], Sequence[Answer]]
    most: int = 256
    patience: float = 0.0
    bound: Bound | None = None
    finish: Callable[[Item, Answer | None], None] | None = None
    waiting: "deque[Waiting]" = field(default_factory=deque)
    size: int = 0
    ends: "deque[tuple[float, asyncio.Future[Any]]]" = field(default_factory=deque)

    def put(self, item: Item, future: "asyncio.Future[Answer]") -> None:
        """Add an item. Raises Overloaded when the lane is full; an empty lane takes an item of any size."""
        if self.bound is not None:
            weight = self.bound.weigh(item)
            if len(self.waiting) >= self.bound.items or (self.size and self.size + weight > self.bound.space):
                raise Overloaded("too much waits to be committed to the ledger", retry_after=_RETRY_AFTER)
            self.size += weight
        self.waiting.append((item, future))

    def take(self) -> "list[Waiting]":
        """Remove and return the next batch. It is empty when nothing waits, or only items whose deadline has passed."""
        if self.bound is None:
            return [self.waiting.popleft() for _ in range(min(self.most, len(self.waiting)))]
        batch: list[Waiting] = []
        while self.waiting and len(batch) < self.most:
            item, future = self.waiting.popleft()
            # A future that is done before its turn has passed its deadline: the caller was refused, so the item must
            # not be committed. A cancelled future is no refusal: its item is committed all the same.
            if future.done() and not future.cancelled():
                self.free([(item, future)])
                self.end(item, None)
            else:
                batch.append((item, future))
        return batch

    def expire(self, now: float, late: Unavailable) -> float | None:
        """Fail the futures whose deadline has passed with `late`.

        Returns the next deadline, None when no item is open. `now` and deadlines are seconds of the loop's clock.
        """
        while self.ends and (self.ends[0][1].done() or self.ends[0][0] <= now):
            _fail(self.ends.popleft()[1], late)
        return self.ends[0][0] if self.ends else None

    def end(self, item: Item, answer: Answer | None) -> None:
        """Call `finish`, if the lane has one."""
        if self.finish is not None:
            self.finish(item, answer)

    def free(self, done: "Sequence[Waiting]") -> None:
        """Release the space of items that are committed, refused or dropped."""
        if self.bound is not None:
            self.size -= sum(self.bound.weigh(item) for item, _ in done)


Group = Sequence[Lane[Any, Any]]
Share = tuple[Lane[Any, Any], list[Waiting]]
"""The part of a turn that comes from one lane."""


class Committer:
    """Commits what waits in lanes.

    On a store that shares, each turn is one transaction for all lanes; else each lane has its own transactions.
    """

    def __init__(self, store: Store, lanes: Sequence[Lane[Any, Any]]) -> None:
        groups = [list(lanes)] if store.shares else [[lane] for lane in lanes]
        self._store = store
        self._groups = {id(lane): group for group in groups for lane in group}
        self._drains: dict[int, asyncio.Task[None]] = {}
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._singles: set[asyncio.Task[Any]] = set()
        self._ends: set[int] = set()
        self._closed = False

    def submit(self, lane: Lane[Item, Answer], item: Item) -> "asyncio.Future[Answer]":
        """Queue an item. The future gets the lane's answer after the commit.

        Raises Overloaded when the lane is full, Unavailable when the committer is closed.
        """
        self._check()
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        lane.put(item, future)
        if lane.bound is not None and self._store.timeout is not None:
            self._limit(lane, future, self._store.timeout)
        self._stir(self._groups[id(lane)])
        return future

    def _limit(self, lane: Lane[Any, Any], future: "asyncio.Future[Any]", timeout: float) -> None:
        """Give an item a deadline.

        A lane has one timer, set to its oldest open item: a timer for each item would cost more than the item itself.
        """
        loop = asyncio.get_running_loop()
        lane.ends.append((loop.time() + timeout, future))

        def expire() -> None:
            next_deadline = lane.expire(loop.time(), Unavailable(f"the ledger did not commit within {timeout:g} s"))
            if next_deadline is None:
                self._ends.discard(id(lane))
            else:
                loop.call_at(next_deadline, expire)

        if id(lane) not in self._ends:
            self._ends.add(id(lane))
            loop.call_at(lane.ends[0][0], expire)

    async def alone(self, work: Work[T], *, slow: bool = False) -> T:
        """Run one operation in a transaction of its own. It is completed even when the caller is cancelled."""
        self._check()
        task = asyncio.create_task(self._write(work, slow=slow))
        self._singles.add(task)  # the loop holds tasks weakly, and `aclose` waits for those in this set
        task.add_done_callback(self._singles.discard)
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Commit everything that waits and accept nothing more."""
        self._closed = True  # before the last turns: items submitted during them would keep them going
        for group in self._groups.values():
            self._start(group)
        await asyncio.gather(*self._drains.values(), *self._singles, return_exceptions=True)

    def _check(self) -> None:
        if self._closed:
            raise Unavailable("the ledger is closed")

    async def _write(self, work: Work[T], *, slow: bool) -> T:
        try:
            return await self._store.write(work, slow=slow)
        except RelayError:
            raise
        except Exception as error:  # noqa: BLE001 - raised again, translated for the caller
            raise refusal(error) from None

    def _stir(self, group: Group) -> None:
        """Schedule a turn for what waits: at once when a caller waits for it, else when the patience ends."""
        if id(group) in self._drains:
            return  # the drain that runs looks at the lanes again before it ends
        patiences = [lane.patience for lane in group if lane.waiting]
        if patiences and not min(patiences):
            self._start(group)
        elif patiences and id(group) not in self._timers:
            timer = asyncio.get_running_loop().call_later(min(patiences), self._start, group)
            self._timers[id(group)] = timer

    def _start(self, group: Group) -> None:
        if timer := self._timers.pop(id(group), None):
            timer.cancel()
        if id(group) not in self._drains:
            self._drains[id(group)] = asyncio.create_task(self._drain(group))

    async def _drain(self, group: Group) -> None:
        """Commit turn after turn while a caller waits.

        Items that arrive meanwhile in a lane with patience start their patience anew when the drain ends.
        """
        try:
            while any(lane.waiting for lane in group):
                turn = [(lane, batch) for lane in group if (batch := lane.take())]
                if turn:
                    await self._commit(turn)
                for lane, batch in turn:
                    lane.free(batch)
                # The callers just answered run before the next turn starts, so that what they submit shares it.
                await asyncio.sleep(0)
                if not self._closed and all(lane.patience for lane in group if lane.waiting):
                    break
        finally:
            # The drain is removed before `_stir`, which starts nothing while one is registered.
            del self._drains[id(group)]
            self._stir(group)

    async def _commit(self, turn: Sequence[Share]) -> None:
        try:
            answers = await self._store.write(partial(_perform, turn))
        except Unavailable as error:
            for lane, item, future in _items(turn):
                lane.end(item, None)
                _fail(future, Unavailable(str(error)))  # one exception each: a shared one would gather tracebacks
        except Exception as error:  # noqa: BLE001 - it goes to the caller whose item raised it
            await self._isolate(turn, error)
        else:
            for answer, (lane, item, future) in zip(answers, _items(turn), strict=True):
                lane.end(item, answer)
                if not future.done():
                    future.set_result(answer)

    async def _isolate(self, turn: Sequence[Share], error: Exception) -> None:
        """Commit the parts of a turn that failed, down to the one item that fails alone."""
        parts = _split(turn)
        if not parts:
            lane, [(item, future)] = turn[0]
            lane.end(item, None)
            _fail(future, refusal(error))
        for part in parts:
            await self._commit(part)


def _perform(turn: Sequence[Share], conn: Connection, now: int) -> list[Any]:
    return [answer for lane, waiting in turn for answer in lane.work(conn, now, [item for item, _ in waiting])]


def _items(turn: Sequence[Share]) -> "list[tuple[Lane[Any, Any], Any, asyncio.Future[Any]]]":
    return [(lane, item, future) for lane, waiting in turn for item, future in waiting]


def _split(turn: Sequence[Share]) -> list[Sequence[Share]]:
    """Split a turn by lane, a single lane in halves. Returns nothing for a single item."""
    if len(turn) > 1:
        return [[share] for share in turn]
    lane, waiting = turn[0]
    half = len(waiting) // 2
    return [[(lane, waiting[:half])], [(lane, waiting[half:])]] if half else []


def _fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
