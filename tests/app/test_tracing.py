"""Traces: the whole way of an event as spans of one trace, and nothing of OpenTelemetry where it is off."""

import json
import os
import signal
import subprocess
import sys

import aio_pika
import pytest
from aiohttp import web
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from relay.sandbox import make_app
from relay.sandbox import run as simulate
from relay.telemetry import SpanRole, open_tracing
from relay.telemetry.otel import OpenTelemetry
from tests.app.reloading import CHAT, configure, living

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(monkeypatch):
    """The spans that ended, of relays that are built in this test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr("relay.app.adapters.open_tracing", lambda *_: OpenTelemetry(provider, "1"))
    return exporter.get_finished_spans


def parents(spans):
    """Of each span, by name: its parent's span id."""
    return {span.name: f"{span.parent.span_id:016x}" for span in spans}


def parts(live):
    return live.service.status.parts()


def own(span):
    return f"{span.context.span_id:016x}"


async def test_an_event_its_attempts_and_its_results_are_one_trace(spans, tmp_path, amqp_url):
    seen = []

    @web.middleware
    async def note(request, handler):
        if request.method == "POST":
            seen.append((request.path.rpartition("/")[2], request.headers.get("traceparent")))
        return await handler(request)

    cargo_app = make_app()
    cargo_app.middlewares.append(note)
    rule = {"name": "deal", "chat": CHAT, "message": "Hello"}
    async with await simulate(cargo_app) as cargo, await aio_pika.connect(amqp_url) as bus:
        settings = configure(tmp_path, f"{cargo.url}/v1", broker={"url": amqp_url}, rules=[rule])
        async with living(tmp_path / "relay.yaml", settings) as live:
            await live.until(lambda: any(part.name == "broker" and part.state == "up" for part in parts(live)))
            url = f"{live.service.addresses.hooks}/hooks/crm"
            headers = {"Authorization": "Bearer first-secret-of-crm", "traceparent": CALLER}
            async with live.http.post(url, json={"id": 1}, headers=headers) as answer:
                assert answer.status == 202
            queue = await (await bus.channel()).get_queue("relay.results")
            told = {}
            async with queue.iterator(timeout=30) as messages:
                async for message in messages:
                    async with message.process():
                        told[message.type] = message
                    if len(told) == 2:
                        break
            await live.until(lambda: len(spans()) == 5)
    done = spans()
    assert {f"{span.context.trace_id:032x}" for span in done} == {CALLER.split("-")[1]}
    by_name = {span.name: span for span in done}
    event = by_name["event"]
    assert (own_parent := parents([event])["event"]) == CALLER.split("-")[2], own_parent
    assert {span.name for span in done if span is not event and parents([span])[span.name] == own(event)} == {
        "chat.create",
        "message.send",
        "result.publish",
    }
    assert {path: header.split("-")[2] for path, header in seen} == {
        "chats": own(by_name["chat.create"]),
        "messages": own(by_name["message.send"]),
    }
    publishing = {span.attributes["relay.result"]: own(span) for span in done if span.name == "result.publish"}
    for message in told.values():
        linked = message.headers["traceparent"]
        assert json.loads(message.body)["traceparent"] == linked
        assert linked.split("-")[2] == publishing[message.message_id]


async def test_a_call_that_fails_is_a_span_with_its_error(spans, tmp_path):
    async with living(tmp_path / "relay.yaml", configure(tmp_path)) as live:
        assert (await live.post(id=1))[0] == 202
        await live.until(lambda: any(span.name == "chat.create" for span in spans()))
    [event] = [span for span in spans() if span.name == "event"]
    assert event.parent is None
    call = next(span for span in spans() if span.name == "chat.create")
    assert "could not be reached" in call.status.description


def test_the_first_span_decides_whether_a_trace_is_recorded():
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=ParentBased(TraceIdRatioBased(0.0)), shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing = OpenTelemetry(provider, "1")
    first = tracing.start("event", SpanRole.CONSUMER, None, {})
    assert not int(first.traceparent[-2:], 16) & 1, "it says that it is not recorded"
    tracing.start("chat.create", SpanRole.CLIENT, first.traceparent, {}).end()
    assert exporter.get_finished_spans() == ()
    tracing.start("event", SpanRole.CONSUMER, CALLER, {}).end("gone")
    assert [span.status.description for span in exporter.get_finished_spans()] == ["gone"]


@pytest.mark.parametrize(
    ("env", "on"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4318"}, False),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_SERVICE_NAME": "relay"}, False),
        ({"OTEL_TRACES_EXPORTER": "console"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, True),
    ],
)
async def test_an_exporter_switches_it_on(env, on, monkeypatch):
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    tracing = open_tracing(env, "1")
    assert (tracing is not None) is on
    if tracing is not None:
        await tracing.close()


def test_an_exporter_that_is_not_there_is_said_at_the_start():
    with pytest.raises(ValueError, match="no exporter 'nowhere' installed; there are: console, otlp_proto_http"):
        open_tracing({"OTEL_TRACES_EXPORTER": "nowhere"}, "1")


@pytest.mark.parametrize("exporter", [None, "console"])
def test_off_imports_nothing_of_it(exporter, tmp_path, unused_tcp_port_factory):
    """With an exporter the same relay does, so that the test can fail."""
    file = tmp_path / "relay.yaml"
    settings = configure(tmp_path)
    settings["http"] = {name: f"127.0.0.1:{unused_tcp_port_factory()}" for name in settings["http"]}
    file.write_text(json.dumps(settings))
    env = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "relay", "serve", "--config", str(file), "--linger", "0s"],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=env if exporter is None else env | {"OTEL_TRACES_EXPORTER": exporter},
    )
    try:
        lines = []
        while not lines or '"service.started"' not in lines[-1]:
            lines.append(process.stderr.readline())
            assert lines[-1], "it did not start"
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
    finally:
        process.kill()
    said = "\n".join([*lines, rest])
    assert '"service.stopped"' in said
    assert ("opentelemetry" in said) is (exporter is not None)
