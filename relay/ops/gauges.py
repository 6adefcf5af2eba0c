"""The ledger-wide gauges, cached for a few seconds and kept while the ledger is unavailable."""

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
    """Caches `read` for 5 s. `monotonic` returns seconds.

    A caller waits at most 2 s for the ledger, then gets the previous gauges. The query goes on meanwhile, and there is
    never more than one.
    """

    def __init__(self, read: Callable[[], Awaitable[Gauges]], monotonic: Callable[[], float]) -> None:
        self._read = read
        self._monotonic = monotonic
        self._last: Gauges | None = None
        self._fresh_until = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    async def current(self) -> Gauges | None:
        """The latest gauges, None before the first ones were read."""
        if self._monotonic() >= self._fresh_until:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
            done, _ = await asyncio.wait({self._asking}, timeout=_WAIT)
            for query in done:
                query.result()
        return self._last

    @property
    def last(self) -> Gauges | None:
        """The gauges that were read last, without asking."""
        return self._last

    async def close(self) -> None:
        """Cancel a query that is still running."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})

    async def _ask(self) -> None:
        with suppress(Unavailable):  # other parts log it; the previous gauges stay valid
            self._last = await self._read()
        self._fresh_until = self._monotonic() + _TTL


def expose(gauges: Gauges, metrics: Metrics, reasons: set[str]) -> None:
    """Set the metrics to `gauges`. `reasons` collects all reasons of pauses, so that a pause that ended is set to 0."""
    metrics.due.set(gauges.due)
    metrics.oldest_due.set(gauges.oldest_due / 1_000)
    metrics.held_back.set(gauges.held)
    metrics.unfinished.set(gauges.unfinished)
    metrics.high_water.set(gauges.unfinished / gauges.high_water)
    metrics.unpublished.set(gauges.unpublished)
    metrics.unroutable.set(gauges.unroutable)
    metrics.oldest_transaction.set(gauges.oldest_transaction / 1_000)
    for reason in ParkReason:
        metrics.parked.labels(reason.value).set(gauges.parked.get(reason.value, 0))
    reasons.update(gauges.paused)
    for pause in reasons:
        metrics.paused.labels(pause).set(1 if pause in gauges.paused else 0)
