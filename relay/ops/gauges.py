"""The ledger-wide gauges: asked for at most every few seconds, and the last known ones while the ledger is away."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from relay.errors import Unavailable
from relay.model import Gauges, ParkReason
from relay.telemetry import Metrics

_TTL: Final = 5.0
_WAIT: Final = 2.0


class Watch:
    """Caches `read` for 5 s. `monotonic` gives seconds.

    A reader waits at most 2 s for a ledger that does not answer, then gets what was known before; the question
    stays open and is not asked twice.
    """

    def __init__(self, read: Callable[[], Awaitable[Gauges]], monotonic: Callable[[], float]) -> None:
        self._read = read
        self._monotonic = monotonic
        self._last: Gauges | None = None
        self._fresh_until = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def current(self) -> Gauges | None:
        """The newest gauges that are known, None when there never were any."""
        if self._monotonic() >= self._fresh_until:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
            done, _ = await asyncio.wait({self._asking}, timeout=_WAIT)
            for asked in done:
                asked.result()
        return self._last

    async def close(self) -> None:
        """Drop a question that is still open."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _ask(self) -> None:
        with suppress(Unavailable):  # the supervisor tells of it; the last numbers stand
            self._last = await self._read()
        self._fresh_until = self._monotonic() + _TTL


def expose(gauges: Gauges, metrics: Metrics, reasons: set[str]) -> None:
    """Set the metrics to `gauges`. `reasons` keeps the pauses that were seen, so that one that ended reads 0."""
    metrics.due.set(gauges.due)
    metrics.oldest_due.set(gauges.oldest_due / 1_000)
    metrics.unpublished.set(gauges.unpublished)
    metrics.unroutable.set(gauges.unroutable)
    for reason in ParkReason:
        metrics.parked.labels(reason.value).set(gauges.parked.get(reason.value, 0))
    reasons.update(gauges.paused)
    for pause in reasons:
        metrics.paused.labels(pause).set(1 if pause in gauges.paused else 0)
