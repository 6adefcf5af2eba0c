"""The span of an attempt."""

from collections.abc import Awaitable
from typing import TypeVar

from relay.model import Claim, State
from relay.telemetry import SpanRole, Tracing, outgoing

T = TypeVar("T")


async def traced(tracing: Tracing | None, claim: Claim, call: Awaitable[T]) -> T:
    """Await a call to Cargo inside a span, which Cargo is told of. An outcome that is an error is the span's."""
    if tracing is None:
        return await call
    name = "message.send" if claim.state is State.MESSAGING else "chat.create"
    dispatch = claim.dispatch
    about: dict[str, str | int] = {
        "relay.dispatch": dispatch.id,
        "relay.rule": dispatch.rule,
        "relay.attempt": claim.attempts,
    }
    span = tracing.start(name, SpanRole.CLIENT, claim.about.traceparent, about)
    token = outgoing.set(span.traceparent)
    error: str | None = "it was cut"
    try:
        result = await call
        error = str(result) if isinstance(result, Exception) else None
        return result
    finally:
        outgoing.reset(token)
        span.end(error)
