"""The spans of events that come in."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from relay.model import Event, Receipt
from relay.telemetry import SpanRole, Tracing


async def trace_accept(
    tracing: Tracing, events: Sequence[Event], accept: Callable[[Sequence[Event]], Awaitable[list[Receipt]]]
) -> list[Receipt]:
    """Accept a delivery, each event inside a span from its arrival to its commit.

    The span's `traceparent` becomes the event's, so that attempts and results are its children, also days later.
    """
    spans = [
        tracing.start("event", SpanRole.CONSUMER, event.caller, _about(event), started_at=event.received_at)
        for event in events
    ]
    linked = [replace(event, traceparent=span.traceparent) for event, span in zip(events, spans, strict=True)]
    try:
        receipts = await accept(linked)
    except BaseException as error:
        for span in spans:
            span.end(f"{type(error).__name__}: {error}")
        raise
    for span, receipt in zip(spans, receipts, strict=True):
        span.end(attributes={"relay.outcome": str(receipt.status)})
    return receipts


def _about(event: Event) -> dict[str, str]:
    return {"relay.event": event.id, "relay.source": event.source, **({"relay.type": event.type} if event.type else {})}
