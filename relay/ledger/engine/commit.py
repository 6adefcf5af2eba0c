"""Group commit: what was asked for while one transaction was being committed shares the next.

Nobody who waits for an answer is delayed for company: a turn begins at once, or, behind another, as soon as those whom
that one answered have run. Only what nobody waits for (a lane with `patience`) looks for company first: it goes with
the next turn of others, at the latest when its patience is over.

A batch with an input that the database cannot hold is halved until only that input is refused. A caller that stops
waiting takes nothing back. A lane with a bound gives each item the store's time-out from when it came, the turns of
others included: then its caller is told Unavailable, and what was not begun is not committed. What was may be, and the
caller finds out by bringing it again.
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
"""A piece of a transaction: a plain function of a connection and of the database's time in milliseconds."""

Waiting = tuple[Any, "asyncio.Future[Any]"]

_RETRY_AFTER: Final = 5.0


class Store(Protocol):
    """A database that runs transactions. `shares` says that it writes one at a time, so that lanes should share it.

    `timeout` is how long, in seconds, it may take to answer; None where nothing but this machine's disk can hold it up.
    """

    shares: bool
    timeout: float | None

    async def write(self, work: Work[T], *, slow: bool = False) -> T:
        """Run and commit. Raises Unavailable when the database is away; other errors as they are, rolled back.

        `slow` is for what may take longer than `timeout`, or than a busy event loop can be kept waiting.
        """
        ...

    async def read(self, work: Work[T], *, slow: bool = False) -> T:
        """Run on a snapshot beside the writers, for the service itself. Raises as `write`."""
        ...

    async def browse(self, work: Work[T]) -> T:
        """Run on a snapshot for people, beside the writers and the service's own readers, for some seconds at most.

        Raises as `write`, and Unavailable with what to narrow when it takes longer.
        """
        ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Bound:
    """How much a lane holds: items that wait, and bytes, as `weigh` counts them, that wait or are under way."""

    items: int
    space: int
    weigh: Callable[[Any], int]


@dataclass(slots=True, eq=False)
class Lane(Generic[Item, Answer]):
    """Operations of one kind: `work` takes a batch of at most `most` items and gives an answer for each.

    `patience` is how long, in seconds, an item may wait for a turn that others need. A lane without a `bound` is for
    what must not be lost and cannot be more than what is in flight elsewhere.
    """

    work: Callable[[Connection, int, Sequence[Item]], Sequence[Answer]]
    most: int = 256
    patience: float = 0.0
    bound: Bound | None = None
    waiting: "deque[Waiting]" = field(default_factory=deque)
    size: int = 0
    ends: "deque[tuple[float, asyncio.Future[Any]]]" = field(default_factory=deque)

    def put(self, item: Item, future: "asyncio.Future[Answer]") -> None:
        """Raises Overloaded when the lane is full; one item goes in whatever its size, if there is no other."""
        if self.bound is not None:
            weight = self.bound.weigh(item)
            if len(self.waiting) >= self.bound.items or (self.size and self.size + weight > self.bound.space):
                raise Overloaded("too much waits to be committed to the ledger", retry_after=_RETRY_AFTER)
            self.size += weight
        self.waiting.append((item, future))

    def take(self) -> "list[Waiting]":
        """The next batch; empty when nothing waits, or only what was given up."""
        if self.bound is None:
            return [self.waiting.popleft() for _ in range(min(self.most, len(self.waiting)))]
        taken: list[Waiting] = []
        while self.waiting and len(taken) < self.most:
            one = self.waiting.popleft()
            if one[1].done() and not one[1].cancelled():
                self.free([one])
            else:
                taken.append(one)
        return taken

    def expire(self, now: float, late: Unavailable) -> float | None:
        """Tell those whose time is over; when the next one's is, None when there is none."""
        while self.ends and (self.ends[0][1].done() or self.ends[0][0] <= now):
            _fail(self.ends.popleft()[1], late)
        return self.ends[0][0] if self.ends else None

    def free(self, done: "Sequence[Waiting]") -> None:
        """These are over: there is room again."""
        if self.bound is not None:
            self.size -= sum(self.bound.weigh(item) for item, _ in done)


Group = Sequence[Lane[Any, Any]]
Share = tuple[Lane[Any, Any], list[Waiting]]


class Committer:
    """Drives lanes: all in one transaction per turn on a store that shares, else each lane in its own."""

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
        """What the lane answers for the item, once that is committed. Raises Overloaded when the lane is full."""
        self._check()
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        lane.put(item, future)
        if lane.bound is not None and self._store.timeout is not None:
            self._limit(lane, future, self._store.timeout)
        self._stir(self._groups[id(lane)])
        return future

    def _limit(self, lane: Lane[Any, Any], future: "asyncio.Future[Any]", timeout: float) -> None:
        """One timer for a lane, set to the oldest that is not answered: one for each item would cost more than it."""
        loop = asyncio.get_running_loop()
        lane.ends.append((loop.time() + timeout, future))

        def look() -> None:
            again = lane.expire(loop.time(), Unavailable(f"the ledger did not commit within {timeout:g} s"))
            if again is None:
                self._ends.discard(id(lane))
            else:
                loop.call_at(again, look)

        if id(lane) not in self._ends:
            self._ends.add(id(lane))
            loop.call_at(lane.ends[0][0], look)

    async def alone(self, work: Work[T], *, slow: bool = False) -> T:
        """One operation in a transaction of its own, carried through also when the caller stops waiting."""
        self._check()
        task = asyncio.create_task(self._write(work, slow=slow))
        self._singles.add(task)
        task.add_done_callback(self._singles.discard)
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Commit what waits, take no more."""
        self._closed = True
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
        except Exception as error:  # noqa: BLE001 - raised again as what it means to the caller
            raise refusal(error) from None

    def _stir(self, group: Group) -> None:
        """See to it that what waits is committed: at once if somebody needs it, else in a while."""
        if id(group) in self._drains:
            return
        waiting = [lane.patience for lane in group if lane.waiting]
        if waiting and not min(waiting):
            self._start(group)
        elif waiting and id(group) not in self._timers:
            later = asyncio.get_running_loop().call_later(min(waiting), self._start, group)
            self._timers[id(group)] = later

    def _start(self, group: Group) -> None:
        if timer := self._timers.pop(id(group), None):
            timer.cancel()
        if id(group) not in self._drains:
            self._drains[id(group)] = asyncio.create_task(self._drain(group))

    async def _drain(self, group: Group) -> None:
        """Turn after turn while somebody needs one; what came in meanwhile and can wait gets its time again.

        Those who were answered run first: what they bring shares the next commit.
        """
        try:
            while any(lane.waiting for lane in group):
                turn = [(lane, taken) for lane in group if (taken := lane.take())]
                if turn:
                    await self._commit(turn)
                for lane, taken in turn:
                    lane.free(taken)
                await asyncio.sleep(0)
                if not self._closed and all(lane.patience for lane in group if lane.waiting):
                    break
        finally:
            del self._drains[id(group)]
            self._stir(group)

    async def _commit(self, turn: Sequence[Share]) -> None:
        try:
            answers = await self._store.write(partial(_perform, turn))
        except Unavailable as error:
            for _, future in _futures(turn):
                _fail(future, Unavailable(str(error)))
        except Exception as error:  # noqa: BLE001 - it goes to the one caller whose item raised it
            await self._isolate(turn, error)
        else:
            for answer, future in zip(answers, (future for _, future in _futures(turn)), strict=True):
                if not future.done():
                    future.set_result(answer)

    async def _isolate(self, turn: Sequence[Share], error: Exception) -> None:
        parts = _split(turn)
        if not parts:
            _fail(turn[0][1][0][1], refusal(error))
        for part in parts:
            await self._commit(part)


def _perform(turn: Sequence[Share], conn: Connection, now: int) -> list[Any]:
    return [answer for lane, waiting in turn for answer in lane.work(conn, now, [item for item, _ in waiting])]


def _futures(turn: Sequence[Share]) -> list[Waiting]:
    return [each for _, waiting in turn for each in waiting]


def _split(turn: Sequence[Share]) -> list[Sequence[Share]]:
    """Lanes apart first, then halves of one lane; nothing when there is one item."""
    if len(turn) > 1:
        return [[share] for share in turn]
    lane, waiting = turn[0]
    half = len(waiting) // 2
    return [[(lane, waiting[:half])], [(lane, waiting[half:])]] if half else []


def _fail(future: "asyncio.Future[Any]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
