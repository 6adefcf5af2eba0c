"""Stops the parts of a relay in stages: while a stage stops, the later ones still run for it."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from relay.app.supervise import Run, supervise
from relay.life import Stop
from relay.telemetry import Status, get_log

log = get_log()

_LEAST: Final = 0.5
"""The least time in seconds for each stage, so that finished work can still be recorded."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Parts, by name, that stop together. `share` is the fraction (0 to 1) of the remaining grace that they may use."""

    parts: Mapping[str, Run]
    share: float = 1.0
    stop: Stop = field(default_factory=Stop)


async def run_stages(stages: Sequence[Stage], ending: asyncio.Event, grace: float, status: Status) -> None:
    """Run all parts under supervision until `ending`, then stop one stage after the other within `grace` seconds.

    A part that does not return within its share is cancelled. The caller sets the phases of `status`.
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
    # `_LEAST` longer than the parts were given: a part that uses all of its grace may still return by itself.
    _, late = await asyncio.wait(waiting, timeout=grace + _LEAST)
    for task in late:
        log.warning(
            "part.cut",
            part=task.get_name(),
            what="it did not stop within its share of the grace period and was cancelled",
        )
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
