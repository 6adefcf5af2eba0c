"""What became of events, for the log and the metrics."""

import asyncio
from collections.abc import Sequence
from typing import Final

from relay.model import Dispatch, Entry, Event, EventStatus, Receipt
from relay.telemetry import Metrics, get_log, trace_id

log = get_log()

_LINES: Final = {
    EventStatus.ACCEPTED: "event.accepted",
    EventStatus.DUPLICATE: "event.duplicate",
    EventStatus.UNMATCHED: "event.unmatched",
}


class Reports:
    """Tells what was committed once per turn of the event loop: nobody waits for it, and all in a row cost half."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting: list[tuple[Entry, Receipt]] = []

    def add(self, delivery: Sequence[Entry], receipts: Sequence[Receipt]) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._tell)
        self._waiting.extend(zip(delivery, receipts, strict=True))

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for entry, receipt in waiting:
            self._tell_event(entry, receipt)

    def _tell_event(self, entry: Entry, receipt: Receipt) -> None:
        event = entry.event
        self._metrics.event(event.source, receipt.status, event.received_at)
        line = {
            "event_id": receipt.id,
            "source": event.source,
            "type": event.type,
            "external_id": event.external_id,
            "trace_id": trace_id(event.traceparent),
        }
        if receipt.status is EventStatus.UNREADABLE:
            log.warning("event.unreadable", reason=event.unreadable, **line)
        else:
            log.info(_LINES[receipt.status], rules=[rule for _, rule in receipt.dispatches], **line)
        if receipt.conflict:
            log.warning("event.conflict", what="the same id came with another body; the first one counts", **line)
        if receipt.status is EventStatus.ACCEPTED:
            for dispatch in entry.dispatches:
                self._tell_dispatch(dispatch, event)

    def _tell_dispatch(self, dispatch: Dispatch, event: Event) -> None:
        line = {
            "event_id": event.id,
            "dispatch_id": dispatch.id,
            "source": event.source,
            "rule": dispatch.rule,
            "trace_id": trace_id(event.traceparent),
        }
        log.debug("rule.matched", **line)
        if dispatch.failure is not None:
            self._metrics.chat(dispatch.rule, "failed")
            log.error("chat.failed", code=dispatch.failure.code, error=dispatch.failure.message, **line)
