"""Keeps the parts of a relay running: restarts a failed part with back-off and reports it."""

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
"""Runs a part; returns only after `Stop` begins."""

_FIRST: Final = 500
_CAP: Final = 30_000
_HEALTHY: Final = 60.0


async def supervise(name: str, run: Run, stop: Stop, status: Status) -> None:
    """Run a part until it returns. After an error restart it with back-off, which resets after a minute without error.

    A part that fails while it stops is not restarted.
    """
    loop = asyncio.get_running_loop()
    tries = 0
    while True:
        began = loop.time()
        status.set(name, PartState.UP)
        try:
            await _run(run, stop)
        except Exception as error:  # noqa: BLE001 - whatever error ends a part, the others must run on and it must restart
            tries = 0 if loop.time() - began > _HEALTHY else tries + 1
            wait = max(_FIRST, backoff(tries, first=_FIRST, cap=_CAP, random=random)) / 1_000
            kind = type(error).__name__  # the text of an error may quote an event
            status.set(name, PartState.DOWN, f"{kind}: {error}", public=f"{kind}; the log says more")
            tell = log.error if _expected(error) else log.exception
            tell("part.failed", part=name, error=str(error), retry_in_s=None if stop.asked else wait)
            if stop.asked:
                return
            await stop.sleep(wait)
        else:
            status.drop(name)
            return


async def _run(run: Run, stop: Stop) -> None:
    """Run a part. A cancellation that nobody requested comes from a library and counts as an error."""
    try:
        await run(stop)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError("a library cancelled a call that Relay did not cancel") from None


def _expected(error: Exception) -> bool:
    return isinstance(error, RelayError | OSError)
