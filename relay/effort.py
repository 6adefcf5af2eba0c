"""How much may be read of a stranger's bytes, and where: a little on the event loop, all of it in a thread beside it.

What reads bodies asks here before it does, so that no way to a parser goes round the bounds. By itself everything is
allowed; whoever runs on the loop says so with `light()`.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, Token
from enum import Enum
from typing import Final, TypeVar

T = TypeVar("T")

SIZE: Final = 64 << 10
"""Bytes that are inflated and parsed on the event loop; beyond them a thread reads."""


class Heavy(Exception):
    """This is more work than may be done here: have it done by `Aside`. It is no fault of what was read."""


class Effort(Enum):
    """What may be read: anything, what is done within 2 ms, nothing that was not read before."""

    FULL = "full"
    LIGHT = "light"
    NONE = "none"


_effort: Final[ContextVar[Effort]] = ContextVar("effort", default=Effort.FULL)


class _Bound:
    """Bounds what is read inside of a `with`."""

    __slots__ = ("_effort", "_token")

    def __init__(self, effort: Effort) -> None:
        self._effort = effort

    def __enter__(self) -> None:
        self._token: Token[Effort] = _effort.set(self._effort)

    def __exit__(self, *_: object) -> None:
        _effort.reset(self._token)


def light() -> _Bound:
    """Inside of it whatever takes more than 2 ms raises `Heavy`."""
    return _Bound(Effort.LIGHT)


def none() -> _Bound:
    """Inside of it whatever would inflate or parse raises `Heavy`."""
    return _Bound(Effort.NONE)


def require(*costs: tuple[int, int]) -> None:
    """Return when this may be read here: each cost is at most its bound, or all is allowed. Raises `Heavy`."""
    effort = _effort.get()
    if effort is Effort.FULL:
        return
    if effort is Effort.NONE or any(cost > most for cost, most in costs):
        raise Heavy


def is_full() -> bool:
    """Whether any work is allowed here."""
    return _effort.get() is Effort.FULL


class Aside:
    """One thread for what is too much for the event loop. More of them would only take the interpreter from the loop.

    What runs there must share nothing with the loop that changes.
    """

    def __init__(self, name: str) -> None:
        self._threads = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        """What `work` gives or raises; it is done here where it is light, else from its start in the thread."""
        try:
            with light():
                return work()
        except Heavy:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Take nothing more; what runs may finish, what waits is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)
