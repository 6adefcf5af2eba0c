"""Spans of events, attempts and messages: a small port, which OpenTelemetry implements when it is switched on.

Without an exporter in the `OTEL_*` variables there is no tracing: parts hold None, and nothing of OpenTelemetry is
imported.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from enum import StrEnum
from typing import Final, Protocol

from relay.telemetry.logs import get_log

log = get_log()

Attributes = Mapping[str, str | int]

outgoing: Final[ContextVar[str | None]] = ContextVar("outgoing", default=None)
"""The `traceparent` that a call to Cargo carries: that of the span around it."""


class SpanRole(StrEnum):
    """What a span does: `consumer` takes an event in, `client` calls Cargo, `producer` publishes."""

    CONSUMER = "consumer"
    CLIENT = "client"
    PRODUCER = "producer"


class Span(Protocol):
    """A span that was started."""

    @property
    def traceparent(self) -> str:
        """What its children are linked by."""
        ...

    def end(self, error: str | None = None, attributes: Attributes | None = None) -> None:
        """End it, with an error if it failed."""
        ...


class Tracing(Protocol):
    """Makes spans. No method waits or fails."""

    def start(
        self, name: str, role: SpanRole, parent: str | None, attributes: Attributes, started_at: int | None = None
    ) -> Span:
        """Start a span. `parent` is a `traceparent`, None begins a trace. `started_at` is milliseconds since the epoch.

        Whether the trace is recorded is decided by its first span, as OTEL_TRACES_SAMPLER says.
        """
        ...

    async def close(self) -> None:
        """Send what is not sent yet, for a few seconds at most."""
        ...


def open_tracing(env: Mapping[str, str], version: str) -> Tracing | None:
    """The tracing that the variables configure; None where they name no exporter.

    Raises ValueError, which says what is wrong.
    """
    if not _is_configured(env):
        return None
    try:
        from relay.telemetry.otel import OpenTelemetry  # noqa: PLC0415 - it takes 200 ms, and is an extra
    except ImportError as error:
        what = f"OTEL_* variables ask for traces, but OpenTelemetry is not installed ({error}): install relay[otel]"
        raise ValueError(what) from None
    return OpenTelemetry.of(env, version)


def _is_configured(env: Mapping[str, str]) -> bool:
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = env.get("OTEL_TRACES_EXPORTER", "").strip()
    endpoints = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    return exporter != "none" and bool(exporter or any(env.get(name) for name in endpoints))
