"""The span of a try to publish a result."""

from dataclasses import replace

from relay.model import Due
from relay.outbox.wire import encode
from relay.ports import Publishing, Results
from relay.telemetry import SpanRole, Tracing


async def publish(tracing: Tracing | None, results: Results, due: Due) -> None:
    """Publish a result. Where there are spans it is inside one, by which the message is then linked.

    Raises `Publishing`.
    """
    result = due.result
    if tracing is None or result.traceparent is None:
        return await results.publish(due, encode(result))
    about = {"relay.result": result.id, "messaging.system": "rabbitmq", "messaging.message.id": result.id}
    span = tracing.start("result.publish", SpanRole.PRODUCER, result.traceparent, about)
    linked = replace(due, result=replace(result, traceparent=span.traceparent))
    error: str | None = "it was cut"
    try:
        await results.publish(linked, encode(linked.result))
        error = None
    except Publishing as failure:
        error = str(failure)
        raise
    finally:
        span.end(error)
