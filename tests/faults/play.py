"""Plays one row: a world, its faults, and the count."""

import asyncio
import contextlib
import shutil
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path
from typing import Any

from tests.faults.row import Row
from tests.faults.servers import Servers
from tests.faults.tally import Tally
from tests.faults.world import World, inhabit

_EVERY = 10.0
"""Seconds between lines of progress."""
_WRONGS = 5
"""Lines of what a row's own check finds wrong."""


async def play(
    row: Row, ledger: str, servers: Servers, *, replicas: int, length: float, seed: int, full: bool = False
) -> Tally:
    """Play a row. The folder with logs and files is kept when it does not hold."""
    began = time.monotonic()
    tally = Tally(row.name, ledger, replicas)
    folder = Path(tempfile.mkdtemp(prefix=f"relay-faults-{row.name}-"))
    options: dict[str, Any] = {"length": length, "full": full, "seed": seed, "options": row.options, "disk": row.disk}
    options |= {"broker": row.broker, "database": row.database}
    async with inhabit(servers, folder, ledger=ledger, replicas=replicas, **options) as world:
        progress = asyncio.create_task(_tell_progress(tally, world))
        try:
            world.stream.start()
            await world.pass_time(1)
            await row.act(world)
            lists = await world.finish(tally)
            if row.check is not None:
                tally.wrong += list(islice(await row.check(world, lists), _WRONGS))
        except Exception as error:  # noqa: BLE001 - as a replica that did not come back; other rows go on
            tally.wrong.append(f"{type(error).__name__}: {error}")
        finally:
            tally.notes = list(world.notes)
            progress.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await progress
    tally.seconds = time.monotonic() - began
    if tally.holds:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        tally.wrong.append(f"logs and files are in {folder}; the seed was {seed}")
    return tally


async def _tell_progress(tally: Tally, world: World) -> None:
    began = time.monotonic()
    while True:
        await asyncio.sleep(_EVERY)
        passed, told = time.monotonic() - began, len(world.results.ends)
        figures = f"{len(world.stream.accepted)} accepted, {told} told, {world.faults} faults"
        say(f"  {tally.row} on {tally.ledger}, {tally.replicas} relays: {passed:.0f} s, {figures}")


def say(text: str) -> None:
    """A line of progress; the table goes to stdout."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
