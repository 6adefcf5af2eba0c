"""Refused requests: counted, logged, and kept as bounded metadata without holding up the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from relay.errors import Rejected
from relay.model import Rejection
from relay.telemetry import Metrics, get_log

log = get_log()

UNKNOWN: Final = "_unknown"
"""The label of all sources that do not exist: a stranger must not make new ones."""

_MOST_AT_ONCE: Final = 32
_FAREWELL: Final = 2.0


class Refusals:
    """Tells of refusals. `keep` writes one to the ledger; beyond 32 under way they are only counted and logged."""

    def __init__(self, keep: Callable[[Rejection], Awaitable[None]], metrics: Metrics) -> None:
        self._keep = keep
        self._metrics = metrics
        self._writing: set[asyncio.Task[None]] = set()

    def count(self, source: str, reason: str) -> None:
        """One more request turned away."""
        self._metrics.rejections.labels(source, reason).inc()

    def tell(self, error: Rejected, source: str, remote: str | None) -> None:
        """Count and log."""
        self.count(source, error.reason)
        log.warning(
            "request.rejected",
            source=source,
            status=error.status,
            reason=error.reason,
            what=str(error),
            hint=error.hint,
            remote=remote,
        )

    def write(self, rejection: Rejection) -> None:
        """Keep it in the background."""
        if len(self._writing) < _MOST_AT_ONCE:
            task = asyncio.create_task(self._write(rejection))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def close(self) -> None:
        """Wait for what is being written, two seconds at most."""
        if self._writing:
            _, late = await asyncio.wait(self._writing, timeout=_FAREWELL)
            for task in late:
                task.cancel()

    async def _write(self, rejection: Rejection) -> None:
        try:
            await self._keep(rejection)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the ledger, the answer has been given
            log.warning("rejection.lost", source=rejection.source, reason=rejection.reason, error=str(error))
