"""Limits the work on input: small input is read on the event loop, large input in a thread.

Functions that read bodies call `require` first, so that no path to a parser bypasses the limits. By default all work is
allowed; code on the event loop restricts it with `light()`.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, Token
from enum import Enum
from typing import Final, TypeVar

T = TypeVar("T")

SIZE: Final = 64 << 10
"""The maximum of bytes that are inflated and parsed on the event loop. Larger input is read in a thread."""


class Heavy(Exception):
    """The work is too large for this context: run it with `Aside`. The input is not at fault."""


class Effort(Enum):
    """The allowed work: any, at most 2 ms, or none that is not cached."""

    FULL = "full"
    LIGHT = "light"
    NONE = "none"


_effort: Final[ContextVar[Effort]] = ContextVar("effort", default=Effort.FULL)


class _Bound:
    """Limits the work inside a `with` block."""

    __slots__ = ("_effort", "_token")

    def __init__(self, effort: Effort) -> None:
        self._effort = effort

    def __enter__(self) -> None:
        self._token: Token[Effort] = _effort.set(self._effort)

    def __exit__(self, *_: object) -> None:
        _effort.reset(self._token)


def light() -> _Bound:
    """Limit work to 2 ms: larger work raises `Heavy`."""
    return _Bound(Effort.LIGHT)


def none() -> _Bound:
    """Allow no work: inflating and parsing raise `Heavy`."""
    return _Bound(Effort.NONE)


def require(*costs: tuple[int, int]) -> None:
    """Return if the work is allowed here: all work is, or each cost is within its limit. Raises `Heavy`."""
    effort = _effort.get()
    if effort is Effort.FULL:
        return
    if effort is Effort.NONE or any(cost > limit for cost, limit in costs):
        raise Heavy


def is_full() -> bool:
    """Whether any work is allowed here."""
    return _effort.get() is Effort.FULL


class Aside:
    """A thread for work that is too large for the event loop. More threads would only compete for the interpreter.

    The work must not share mutable state with the event loop.
    """

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        """Run `work` and return its result. Work that is not light is started again in the thread."""
        try:
            with light():
                return work()
        except Heavy:
            return await self.run_heavy(work)

    async def run_heavy(self, work: Callable[[], T]) -> T:
        """Run `work` in the thread and return its result: for work that nobody can tell the size of."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Accept no more work. Running work may finish, waiting work is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
