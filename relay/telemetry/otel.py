"""Implements the port Tracing with OpenTelemetry's SDK, configured by the `OTEL_*` variables as everywhere."""

import asyncio
from collections.abc import Mapping
from importlib.metadata import entry_points
from threading import Thread
from typing import Final, Self

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace import Span as OtelSpan

from relay.telemetry.tracing import Attributes, SpanRole

_CLOSING: Final = 3.0
_GROUP: Final = "opentelemetry_traces_exporter"
_PROTOCOLS: Final = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_KINDS: Final = {
    SpanRole.CONSUMER: SpanKind.CONSUMER,
    SpanRole.CLIENT: SpanKind.CLIENT,
    SpanRole.PRODUCER: SpanKind.PRODUCER,
}


class OpenTelemetry:
    """Makes spans with `provider`. Spans are sent by its own thread."""

    def __init__(self, provider: TracerProvider, version: str) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("relay", version)

    @classmethod
    def of(cls, env: Mapping[str, str], version: str) -> Self:
        """As the variables say. The SDK reads those of sampler, resource and batches itself. Raises ValueError."""
        provider = TracerProvider(resource=_resource(version), shutdown_on_exit=False)
        for name in (env.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp").split(","):
            provider.add_span_processor(BatchSpanProcessor(_exporter(name.strip(), env)))
        return cls(provider, version)

    def start(
        self, name: str, role: SpanRole, parent: str | None, attributes: Attributes, started_at: int | None = None
    ) -> "_Span":
        started = None if started_at is None else started_at * 1_000_000
        kept = dict(attributes)
        return _Span(self._tracer.start_span(name, _context(parent), _KINDS[role], kept, start_time=started))

    async def close(self) -> None:
        # In a thread that the process does not wait for: a collector that is away would hold up its end.
        closing = Thread(target=self._provider.shutdown, name="traces", daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, _CLOSING)


class _Span:
    def __init__(self, span: OtelSpan) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def end(self, error: str | None = None, attributes: Attributes | None = None) -> None:
        if attributes:
            self._span.set_attributes(dict(attributes))
        if error is not None:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()


def _context(parent: str | None) -> Context:
    """Nothing of the task that asks: a span's parent is what the ledger keeps."""
    if parent is None:
        return Context()
    _, trace_id, span_id, flags = parent.split("-")[:4]
    context = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return set_span_in_context(NonRecordingSpan(context), Context())


def _resource(version: str) -> Resource:
    """The resource of the variables, named `relay` where they give it no name."""
    told = Resource.create()
    named = not str(told.attributes.get("service.name", "")).startswith("unknown_service")
    ours = Resource({"service.name": "relay", "service.version": version})
    return ours.merge(told) if named else told.merge(ours)


def _exporter(name: str, env: Mapping[str, str]) -> SpanExporter:
    wanted = name
    if name == "otlp":
        names = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
        protocol = next((env[key] for key in names if env.get(key)), "http/protobuf")
        wanted = _PROTOCOLS.get(protocol, protocol)
    found = [point for point in entry_points(group=_GROUP) if point.name == wanted]
    if not found:
        known = ", ".join(sorted({point.name for point in entry_points(group=_GROUP)}))
        what = f"OTEL_TRACES_EXPORTER: there is no exporter {wanted!r} installed; there are: {known}"
        raise ValueError(what)
    try:
        exporter: SpanExporter = found[0].load()()
    except Exception as error:
        raise ValueError(f"OTEL_TRACES_EXPORTER: exporter {wanted!r} cannot be made: {error}") from error
    return exporter
