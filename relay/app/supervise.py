"""Keeps the parts of a relay running: one that fails is restarted with back-off, and shown."""

import asyncio
from collections.abc import Awaitable, Callable
from random import random
from typing import Final

from relay.errors import RelayError
from relay.life import Stop
from relay.retry import backoff
from relay.telemetry import PartState, Status, get_log

log = get_log()

Run = Callable[[Stop], Awaitable[None]]
"""The life of a part: it returns only when it was told to stop."""

_FIRST: Final = 500
_CAP: Final = 30_000
_HEALTHY: Final = 60.0


async def supervise(name: str, run: Run, stop: Stop, status: Status) -> None:
    """Run a part until it returns; after a fault start it again, ever later, until it has run well for a minute.

    A part that fails while it stops is not started again.
    """
    loop = asyncio.get_running_loop()
    tries = 0
    while True:
        began = loop.time()
        status.set(name, PartState.UP)
        try:
            await _run(run, stop)
        except Exception as error:  # noqa: BLE001 - whatever a part dies of, the others must live and it must return
            tries = 0 if loop.time() - began > _HEALTHY else tries + 1
            wait = max(_FIRST, backoff(tries, first=_FIRST, cap=_CAP, random=random)) / 1_000
            status.set(name, PartState.DOWN, f"{type(error).__name__}: {error}")
            tell = log.error if _expected(error) else log.exception
            tell("part.failed", part=name, error=str(error), retry_in_s=None if stop.asked else wait)
            if stop.asked:
                return
            await stop.sleep(wait)
        else:
            status.drop(name)
            return


async def _run(run: Run, stop: Stop) -> None:
    """Run a part. A cancellation that nobody asked for comes from a library, and is a fault like any other."""
    try:
        await run(stop)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError("a call was cancelled that nobody had cancelled") from None


def _expected(error: Exception) -> bool:
    return isinstance(error, RelayError | OSError)
