"""Runs a relay until a signal ends it."""

import asyncio
import gc
import logging
import os
import signal
import sys
from contextlib import AsyncExitStack
from typing import Final

from relay import __version__
from relay.app.service import Service, build
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
    ending = asyncio.Event()
    on_signals(ending)
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
        _freeze()
        sys.setswitchinterval(_SWITCH)
        await service.serve(ending, grace)
    log.info("service.stopped")
    return 0


async def _build(loaded: Loaded, stack: AsyncExitStack, ending: asyncio.Event, *, migrate: bool) -> Service | None:
    """The relay; None when it was told to stop while it still waited for its ledger."""
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
"""Seconds after which a thread lets others run that want to: large bodies are read in threads, and the loop waits for
its turn up to this long each time (5 ms by default)."""


def _freeze() -> None:
    """Leave what the start has made out of all garbage collections: one that went through it halted all for 60 ms.

    A request makes hundreds of objects and few cycles, so that looking for these more rarely costs little memory.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


def on_signals(ending: asyncio.Event) -> None:
    """SIGTERM and SIGINT set `ending`, which drains; a second one ends the process at once.

    SIGHUP, which would end it without a drain, is what a closed terminal and a careless reload send: it is told.
    """

    def end() -> None:
        if ending.is_set():
            logging.shutdown()  # the last lines may wait for others
            os._exit(_INTERRUPTED)  # the ledger is made for it
        ending.set()

    def stay() -> None:
        log.warning("signal.ignored", signal="SIGHUP", what="a changed configuration is read at the next start")

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, stay)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
