"""The consumers of the queue sources that are in force: a reload adds, replaces and removes some."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from relay.app.force import Queue
from relay.app.sources import Sources
from relay.app.supervise import supervise
from relay.consumer import Consumer
from relay.life import Signal, Stop
from relay.telemetry import Status, get_log

log = get_log()

_LEAVE: Final = 30.0
"""Seconds in which the consumer of a removed source finishes what was prefetched."""


@dataclass(frozen=True, slots=True)
class _Running:
    queue: Queue
    task: "asyncio.Task[None]"
    stop: Stop = field(default_factory=Stop)


class Queues:
    """Runs one consumer, under supervision, for each queue source. `make` creates the consumer of a source.

    A source that was changed gets its new consumer when the old one has finished: two of one source could otherwise
    answer the same message.
    """

    def __init__(
        self, make: Callable[[str, Queue], Consumer], queues: Mapping[str, Queue], sources: Sources, status: Status
    ) -> None:
        self._make = make
        self._wanted = queues
        self._sources = sources
        self._status = status
        self._running: dict[str, _Running] = {}
        self._changed = Signal()

    def use(self, queues: Mapping[str, Queue]) -> None:
        """Consume these sources and no others."""
        self._wanted = queues
        self._changed.set()

    async def run(self, stop: Stop) -> None:
        """Keep the consumers running until `stop`; then they finish what was prefetched, or give it back."""
        stop.wakes(self._changed)
        try:
            while not stop.asked:
                self._changed.clear()
                self._turn()
                await self._changed.wait()
            for running in self._running.values():
                running.stop.begin(stop.left())
            await self._end()
        except asyncio.CancelledError:
            for running in self._running.values():
                running.task.cancel()
            await self._end()
            raise

    def _turn(self) -> None:
        """End the consumers that are not wanted any more, and start those that are missing."""
        for name, running in list(self._running.items()):
            if running.task.done():
                self._sources.remove_switch(name)
                del self._running[name]
            elif self._wanted.get(name) != running.queue and not running.stop.asked:
                log.info("source.leaving", source=name, queue=running.queue[0].queue)
                running.stop.begin(_LEAVE)
        for name, queue in self._wanted.items():
            if name not in self._running:
                self._running[name] = self._start(name, queue)

    def _start(self, name: str, queue: Queue) -> _Running:
        consumer, stop = self._make(name, queue), Stop()
        consumer.set_paused(self._sources.is_paused(name))
        self._sources.add_switch(name, consumer.set_paused)
        part = f"source {name}"
        task = asyncio.create_task(supervise(part, consumer.run, stop, self._status), name=part)
        task.add_done_callback(lambda _: self._changed.set())
        return _Running(queue, task, stop)

    async def _end(self) -> None:
        await asyncio.gather(*(running.task for running in self._running.values()), return_exceptions=True)
