"""The order in which the parts of a relay stop: what comes later still works for what stops first."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from relay.app.supervise import Run, supervise
from relay.life import Stop
from relay.telemetry import Status, get_log

log = get_log()

_LEAST: Final = 0.5
"""Seconds that every stage has at least: what ended in time is still to be written down."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Parts that stop together, by name. `share` is how much of what is left of the grace they may use, up to 1."""

    parts: Mapping[str, Run]
    share: float = 1.0
    stop: Stop = field(default_factory=Stop)


async def run_stages(stages: Sequence[Stage], ending: asyncio.Event, grace: float, status: Status) -> None:
    """Run all parts, each supervised, until `ending`; then stop one stage after the other within `grace` seconds.

    A part that does not return within its grace is cancelled. `Status` follows the phases outside of this.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        running = [(stage, _start(group, stage, status)) for stage in stages]
        await ending.wait()
        end = loop.time() + grace
        for stage, tasks in running:
            await _stop(stage, tasks, max(_LEAST, (end - loop.time()) * stage.share))


def _start(group: asyncio.TaskGroup, stage: Stage, status: Status) -> list["asyncio.Task[None]"]:
    return [group.create_task(supervise(name, run, stage.stop, status), name=name) for name, run in stage.parts.items()]


async def _stop(stage: Stage, tasks: Iterable["asyncio.Task[None]"], grace: float) -> None:
    stage.stop.begin(grace)
    if not (waiting := list(tasks)):
        return
    _, late = await asyncio.wait(waiting, timeout=grace + _LEAST)
    for task in late:
        log.warning("part.cut", part=task.get_name(), what="it did not stop within its share of the grace")
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
