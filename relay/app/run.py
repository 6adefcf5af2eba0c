"""Runs a relay until a signal ends it."""

import asyncio
import gc
import os
import signal
from contextlib import AsyncExitStack

from relay import __version__
from relay.app.service import Addresses, Service
from relay.config import Loaded
from relay.telemetry import get_log

log = get_log()

_INTERRUPTED = 130


async def run(loaded: Loaded, *, migrate: bool, grace: float) -> int:
    """Serve until SIGTERM or SIGINT, then drain within `grace` seconds; a second signal ends at once.

    Gives the exit code. Raises Misconfigured, Unusable and Blocked when it cannot start.
    """
    for warning in loaded.warnings:
        log.warning("config.warning", what=warning)
    if loaded.proxy is not None:
        log.info("cargo.proxied", cargo=loaded.settings.cargo.base_url, proxy=str(loaded.proxy))
    async with AsyncExitStack() as stack:
        service = Service(loaded, migrate=migrate)
        on_signals(service)
        addresses = await _open(service, stack)
        if addresses is None:
            return 0
        log.info(
            "service.started",
            version=__version__,
            hooks=addresses.hooks,
            health=addresses.health,
            ops=addresses.ops,
            config=loaded.digest,
        )
        _freeze()
        await service.serve(grace)
    log.info("service.stopped")
    return 0


async def _open(service: Service, stack: AsyncExitStack) -> Addresses | None:
    """Where it listens; None when it was told to stop while it still waited for its ledger."""
    opening = asyncio.create_task(service.open(stack))
    stopping = asyncio.create_task(service.stopped())
    await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not opening.done():
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        return None
    return await opening


def _freeze() -> None:
    """Leave what the start has made out of all garbage collections: one that went through it halted all for 60 ms.

    A request makes hundreds of objects and few cycles, so that looking for these more rarely costs little memory.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def on_signals(service: Service) -> None:
    """SIGTERM and SIGINT drain; a second one ends at once."""
    asked = False

    def end() -> None:
        nonlocal asked
        if asked:
            os._exit(_INTERRUPTED)  # the ledger is made for it
        asked = True
        service.stop()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
