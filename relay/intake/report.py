"""Logs and counts what became of events."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from logging import DEBUG
from typing import Final

from relay.model import Dispatch, Entry, Event, EventStatus, Failure, Receipt, State
from relay.rules import missing_path
from relay.telemetry import Metrics, get_log, trace_id
from relay.units import iso

log = get_log()

Line = dict[str, str | None]

_ENDED_BY_ANOTHER: Final = {State.SUPPRESSED: "chat.suppressed", State.SUPERSEDED: "chat.superseded"}

_LINES: Final = {
    EventStatus.ACCEPTED: "event.accepted",
    EventStatus.DUPLICATE: "event.duplicate",
    EventStatus.UNMATCHED: "event.unmatched",
}


class Reports:
    """Reports commits once per turn of the event loop: no delivery waits for it, and a batch costs half as much."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._waiting: list[tuple[Entry, Receipt]] = []

    def add(self, delivery: Sequence[Entry], receipts: Sequence[Receipt]) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._tell)
        self._waiting.extend(zip(delivery, receipts, strict=True))

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        debugging, info = log.is_enabled_for(DEBUG), log.info
        outcomes: defaultdict[tuple[str, EventStatus], int] = defaultdict(int)
        latest: dict[str, int] = {}
        for matched, receipt in waiting:
            entry = receipt.entry or matched
            event, status = entry.event, receipt.status
            outcomes[event.source, status] += 1
            latest[event.source] = event.received_at
            line = line_of(event, receipt.id)
            if status in _LINES:
                info(_LINES[status], rules=[rule for _, rule in receipt.dispatches], **line)
            else:
                log.warning("event.unreadable", reason=event.unreadable, **line)
            if receipt.repeated:
                what = "signed content came again under another id: resent by hand, or by somebody who saw the request"
                log.warning("event.repeated", what=what, **line)
            if receipt.conflict:
                log.warning(
                    "event.conflict", what="the same id came with a different body; the first one counts", **line
                )
            if debugging or entry.results or any(dispatch.hold for dispatch in entry.dispatches):
                self._tell_dispatches(entry, receipt, line)
            for dispatch in receipt.cancelled:
                self._metrics.chat(dispatch.rule, "cancelled")
                info(
                    "chat.cancelled",
                    event_id=dispatch.event_id,
                    source=dispatch.source,
                    dispatch_id=dispatch.id,
                    rule=dispatch.rule,
                    cause=event.id,
                )
            if entry.skips and status is not EventStatus.DUPLICATE:
                self._tell_skips(entry, line)
        for (source, outcome), count in outcomes.items():
            self._metrics.events(source, outcome, count, latest[source])

    def _tell_dispatches(self, entry: Entry, receipt: Receipt, line: Line) -> None:
        """Report the dispatches of a new event."""
        for dispatch in entry.dispatches if receipt.status is EventStatus.ACCEPTED else ():
            report_new(dispatch, self._metrics, line)

    def _tell_skips(self, entry: Entry, line: Line) -> None:
        for skip in entry.skips:
            self._metrics.skip(skip.rule, skip.why)
            log.debug("rule.skipped", rule=skip.rule, why=str(skip.why), **line)


def report_new(dispatch: Dispatch, metrics: Metrics, line: Line) -> None:
    """Log and count what became of a new dispatch, whoever made it. `line` has the keys of its event."""
    line = line | {"dispatch_id": dispatch.id, "rule": dispatch.rule}
    log.debug("rule.matched", **line)
    if dispatch.state in _ENDED_BY_ANOTHER:
        report_ended(dispatch, dispatch.state, metrics, line)
    elif dispatch.hold is not None and dispatch.hold.by is not None:
        until = None if dispatch.hold.until is None else iso(dispatch.hold.until)
        log.debug("chat.held", by=str(dispatch.hold.by), until=until, **line)
    elif dispatch.failure is not None:
        report_failed(dispatch, metrics, line)


def report_ended(dispatch: Dispatch, state: State, metrics: Metrics, line: Line) -> None:
    """Log and count a dispatch that ended without a chat because of another one: it is no failure."""
    metrics.chat(dispatch.rule, str(state))
    log.info(_ENDED_BY_ANOTHER[state], cause=dispatch.cause, **line)


def report_failed(dispatch: Dispatch, metrics: Metrics, line: Line) -> None:
    """Log and count a dispatch that could not be rendered, which is a failed chat and a problem."""
    failure = dispatch.failure or Failure("render", "")
    metrics.chat(dispatch.rule, "failed")
    metrics.problems.saw(
        "failures",
        rule=dispatch.rule,
        code=failure.code,
        detail=missing_path(failure.message),
        event_id=line["event_id"],
        dispatch_id=dispatch.id,
    )
    log.error("chat.failed", code=failure.code, error=failure.message, **line)


def line_of(event: Event, event_id: str) -> Line:
    """The keys of log lines about an event, which the ledger may have under an earlier id."""
    return {
        "event_id": event_id,
        "source": event.source,
        "trace_id": trace_id(event.traceparent),
        "type": event.type,
        "external_id": event.external_id,
    }
