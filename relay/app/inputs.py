"""The ways in, as the configuration wants them: webhooks and queues."""

from collections.abc import Callable, Iterator, Mapping

from relay.app.clock import wall
from relay.broker import Broker, DeadLetters
from relay.broker.link import Report
from relay.config import AmqpSource, EventTemplates, Settings, WebhookSource
from relay.consumer import Consumer, Input
from relay.hooks import Hook
from relay.intake import Intake
from relay.model import new_id
from relay.rules import Template
from relay.schemes import build
from relay.telemetry import Metrics


def make_hooks(settings: Settings) -> Mapping[str, Hook]:
    """The webhook sources by name."""
    return {
        name: Hook(name, build(source.spec()), make_templates(source.event))
        for name, source in settings.sources.items()
        if isinstance(source, WebhookSource)
    }


def make_consumers(
    settings: Settings,
    broker: Broker,
    intake: Intake,
    metrics: Metrics,
    report: Callable[[str], Report],
) -> Iterator[tuple[str, Consumer]]:
    """The queues by name."""
    dead = DeadLetters(broker.publishing)
    for name, source in settings.sources.items():
        if isinstance(source, AmqpSource):
            yield (
                name,
                Consumer(
                    broker.consuming,
                    _make_input(name, source),
                    intake,
                    dead,
                    ids=new_id,
                    clock=wall,
                    metrics=metrics,
                    report=report(f"source {name}"),
                ),
            )


def _make_input(name: str, source: AmqpSource) -> Input:
    bind = source.bind
    return Input(
        name=name,
        queue=source.queue,
        prefetch=source.prefetch,
        bind=None if bind is None else (bind.exchange, bind.routing_keys),
        declare=source.declare,
        reply=source.reply,
        event=make_templates(source.event),
    )


def make_templates(event: EventTemplates) -> Mapping[str, Template]:
    """The templates for an event's id, type, subject and time that are given."""
    return {name: Template(text) for name, text in event.texts().items()}
