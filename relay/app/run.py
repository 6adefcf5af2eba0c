"""Runs a relay until a signal stops it."""

import asyncio
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from relay import __version__
from relay.app.service import Service, build
from relay.config import Loaded
from relay.telemetry import get_log

log = get_log()


async def run(loaded: Loaded, *, migrate: bool, grace: float, linger: float = 0.0) -> int:
    """Serve until SIGTERM or SIGINT, then drain within `grace` seconds. A second signal exits at once.

    After SIGTERM the relay goes on taking events for `linger` seconds before it drains. SIGINT is a person's Ctrl-C,
    who waits for the end: it drains at once.

    Returns the exit code. Raises Misconfigured, Unusable and Blocked when it cannot start.
    """
    for warning in loaded.warnings:
        log.warning("config.warning", what=warning)
    if loaded.proxy is not None:
        log.info("cargo.proxied", cargo=loaded.settings.cargo.base_url, proxy=str(loaded.proxy))
    ending, interrupted = asyncio.Event(), asyncio.Event()
    on_signals(ending, interrupted)  # before the build, which may wait for the ledger and must be interruptible
    async with AsyncExitStack() as stack:
        service = await _build(loaded, stack, ending, migrate=migrate)
        if service is None:
            return 0
        addresses = service.addresses
        log.info(
            "service.started",
            version=__version__,
            hooks=addresses.hooks,
            health=addresses.health,
            ops=addresses.ops,
            config=loaded.digest,
        )
        freeze()
        sys.setswitchinterval(_SWITCH)
        on_hang_up(service.reloader.hang_up)
        await service.serve(ending, grace, lambda: 0.0 if interrupted.is_set() else linger)
    log.info("service.stopped")
    return 0


async def _build(loaded: Loaded, stack: AsyncExitStack, ending: asyncio.Event, *, migrate: bool) -> Service | None:
    """Build the relay. Returns None when a signal came while it was still waiting for the ledger."""
    building = asyncio.create_task(build(loaded, stack, migrate=migrate))
    stopping = asyncio.create_task(ending.wait())
    await asyncio.wait({building, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not building.done():
        building.cancel()
        await asyncio.gather(building, return_exceptions=True)
        return None
    return await building


_SWITCH: Final = 0.001
"""Seconds after which a thread must yield to others. Large bodies are read in threads, and the event loop waits up to
this long for its turn (the default is 5 ms)."""


def freeze() -> None:
    """Exclude the objects of the start from garbage collection: a collection with them stopped the process for 60 ms.

    A request creates hundreds of objects but few cycles, so rarer collections cost little memory.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def on_signals(ending: asyncio.Event, interrupted: asyncio.Event | None = None) -> None:
    """Set `ending` on SIGTERM or SIGINT, and before it `interrupted` on SIGINT. A second one exits the process at once.

    SIGHUP is ignored until `on_hang_up`: by default it would end the process without a drain.
    """

    def end(by: signal.Signals) -> None:
        if ending.is_set():
            logging.shutdown()  # flush the log: `os._exit` does not
            os._exit(128 + by)  # as a shell says it; safe: the ledger survives a crash at any point
        ending.set()

    def interrupt() -> None:
        if interrupted is not None:
            interrupted.set()
        end(signal.SIGINT)

    loop = asyncio.get_running_loop()
    # What has changed by then is read when the service has started.
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    loop.add_signal_handler(signal.SIGTERM, end, signal.SIGTERM)
    loop.add_signal_handler(signal.SIGINT, interrupt)


def on_hang_up(reload: Callable[[], None]) -> None:
    """Call `reload` on SIGHUP."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
