"""Group commit: what was asked for while one transaction was being committed shares the next.

There is no artificial delay. A batch with an input that the database cannot hold is halved until only that input is
refused. A caller that stops waiting takes nothing out of a batch that is under way.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Connection

from relay.errors import RelayError, Unavailable
from relay.ledger.faults import refusal

Item = TypeVar("Item")
Answer = TypeVar("Answer")
T = TypeVar("T")

Work = Callable[[Connection, int], T]
"""A piece of a transaction: a plain function of a connection and of the database's time in milliseconds."""

Waiting = tuple[Any, "asyncio.Future[Any]"]


class Store(Protocol):
    """A database that runs transactions. `shares` says that it writes one at a time, so that lanes should share it."""

    shares: bool

    async def write(self, work: Work[T]) -> T:
        """Run and commit. Raises Unavailable when the database is away; other errors as they are, rolled back."""
        ...

    async def read(self, work: Work[T]) -> T:
        """Run on a snapshot beside the writers. Raises as `write`."""
        ...

    async def aclose(self) -> None: ...


@dataclass(slots=True, eq=False)
class Lane(Generic[Item, Answer]):
    """Operations of one kind: `work` takes a batch of at most `most` items and gives an answer for each."""

    work: Callable[[Connection, int, Sequence[Item]], Sequence[Answer]]
    most: int = 256
    waiting: "deque[Waiting]" = field(default_factory=deque)

    def take(self) -> "list[Waiting]":
        return [self.waiting.popleft() for _ in range(min(self.most, len(self.waiting)))]


Share = tuple[Lane[Any, Any], list[Waiting]]


class Committer:
    """Drives lanes: all in one transaction per turn on a store that shares, else each lane in its own."""

    def __init__(self, store: Store, lanes: Sequence[Lane[Any, Any]]) -> None:
        groups = [list(lanes)] if store.shares else [[lane] for lane in lanes]
        self._store = store
        self._groups = {id(lane): group for group in groups for lane in group}
        self._drains: dict[int, asyncio.Task[None]] = {}
        self._singles: set[asyncio.Task[Any]] = set()
        self._closed = False

    def submit(self, lane: Lane[Item, Answer], item: Item) -> "Awaitable[Answer]":
        """What the lane answers for the item, once that is committed."""
        self._check()
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        lane.waiting.append((item, future))
        group = self._groups[id(lane)]
        if id(group) not in self._drains:
            self._drains[id(group)] = asyncio.create_task(self._drain(group))
        return future

    async def alone(self, work: Work[T]) -> T:
        """One operation in a transaction of its own, carried through also when the caller stops waiting."""
        self._check()
        task = asyncio.create_task(self._write(work))
        self._singles.add(task)
        task.add_done_callback(self._singles.discard)
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Commit what waits, take no more."""
        self._closed = True
        await asyncio.gather(*self._drains.values(), *self._singles, return_exceptions=True)

    def _check(self) -> None:
        if self._closed:
            raise Unavailable("the ledger is closed")

    async def _write(self, work: Work[T]) -> T:
        try:
            return await self._store.write(work)
        except RelayError:
            raise
        except Exception as error:  # noqa: BLE001 - raised again as what it means to the caller
            raise refusal(error) from None

    async def _drain(self, group: Sequence[Lane[Any, Any]]) -> None:
        try:
            while turn := [(lane, lane.take()) for lane in group if lane.waiting]:
                await self._commit(turn)
        finally:
            del self._drains[id(group)]

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
