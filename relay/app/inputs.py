"""Creates the inputs from the configuration: webhooks and queues."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from relay.app.clock import wall
from relay.broker import Broker, DeadLetters
from relay.broker.link import Report
from relay.config import AmqpSource, EventTemplates, WebhookSource
from relay.consumer import Consumer, Input
from relay.effort import Aside
from relay.hooks import Bounds, ClientCertificate, Hook
from relay.intake import Intake
from relay.model import new_id
from relay.rules import Template
from relay.schemes import build
from relay.secret import Secret
from relay.telemetry import Metrics


def make_consumers(
    broker: Broker, dead: DeadLetters, intake: Intake, metrics: Metrics, report: Callable[[str], Report]
) -> Callable[[str, tuple[AmqpSource, Mapping[str, Any]]], Consumer]:
    """A function that creates the consumer of a queue source, from its name, and the source and the constants."""
    aside = Aside("messages")

    def make(name: str, queue: tuple[AmqpSource, Mapping[str, Any]]) -> Consumer:
        broker.consume()
        return Consumer(
            broker.consuming,
            make_input(name, *queue),
            intake,
            dead,
            ids=new_id,
            clock=wall,
            metrics=metrics,
            report=report(f"source {name}"),
            aside=aside,
        )

    return make


def make_hook(name: str, source: WebhookSource, constants: Mapping[str, Any], learnt: Secret | None = None) -> Hook:
    """One webhook source. `constants` are the configuration's vars; `learnt` is the secret from its handshake, which is
    used only if none is configured."""
    spec = source.spec()
    if learnt is not None and not spec.secrets:
        spec = replace(spec, secrets=(learnt,))
    templates = _make_templates(source.event)
    return Hook(name, build(spec), spec, templates, constants, source.keep_rejected, _make_bounds(source))


def _make_bounds(source: WebhookSource) -> Bounds:
    limit, certificate = source.limit, source.client_cert
    return Bounds(
        body=source.max_body,
        in_flight=source.max_in_flight,
        rate=None if limit is None else limit.rate,
        burst=None if limit is None else limit.burst,
        allow=source.allow,
        certificate=None if certificate is None else ClientCertificate(certificate.header, certificate.subject),
    )


def make_input(name: str, source: AmqpSource, constants: Mapping[str, Any]) -> Input:
    """One queue source; `constants` are the configuration's vars."""
    bind = source.bind
    return Input(
        name=name,
        queue=source.queue,
        prefetch=source.prefetch,
        most=source.max_message,
        bind=None if bind is None else (bind.exchange, bind.routing_keys),
        declare=source.declare,
        reply=source.reply,
        event=_make_templates(source.event),
        override=source.override,
        vars=constants,
    )


def _make_templates(event: EventTemplates) -> Mapping[str, Template]:
    return {name: Template(text) for name, text in event.texts().items()}
