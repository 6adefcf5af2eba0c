"""Why a source does not take messages at present, told once and then every minute."""

import asyncio
from collections.abc import Callable
from typing import Final

from relay.telemetry import PartState, get_log

log = get_log()

Report = Callable[[PartState, str], None]

_NAG: Final = 60.0


class Pressure:
    """`on` from `press()` to `end()`; `pause` is the wait that was asked for, in seconds."""

    def __init__(self, source: str, report: Report) -> None:
        self.on = False
        self.pause = 0.0
        self._source = source
        self._report = report
        self._degraded = False
        self._told = False
        self._last = float("-inf")

    def press(self, why: str, pause: float = 0.0) -> None:
        """Nothing more can be taken."""
        self.on = True
        self.pause = pause
        self.tell(why)

    def tell(self, why: str) -> None:
        """Something waits: shown at once, logged once a minute, however often it comes and goes."""
        self._degraded = True
        self._report(PartState.DEGRADED, why)
        now = asyncio.get_running_loop().time()
        if now - self._last >= _NAG:
            self._last, self._told = now, True
            log.warning("source.pressed", source=self._source, error=why)

    def calm(self) -> None:
        """What waited goes on."""
        if self._degraded and not self.on:
            self.end()

    def end(self) -> None:
        """Messages are taken again; logged where it was logged that they were not."""
        self.on = self._degraded = False
        self.pause = 0.0
        self._report(PartState.UP, "")
        if self._told:
            self._told = False
            log.info("source.eased", source=self._source)
