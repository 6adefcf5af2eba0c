"""Lists what a configuration needs in RabbitMQ, for a person who creates it in place of Relay."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relay.app.adapters import make_address, result_exchanges
from relay.broker import DEAD, PATIENT, QUORUM, Binding, Entity, Exchange, Queue
from relay.config import AmqpSource, Settings
from relay.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Topology:
    """`entities` are what Relay declares if it is missing, in an order in which they can be created.

    `given` names what must exist already. `reads` and `writes` are the names of queues and exchanges on which `user`
    needs these permissions. It needs no `configure` permission once everything exists.
    """

    vhost: str
    user: str
    entities: tuple[Entity, ...]
    given: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]

    def commands(self) -> Iterator[str]:
        """Shell commands with comments, for the `rabbitmqadmin` that the management plugin contained up to 4.2."""
        yield f"# What Relay needs in the virtual host {self.vhost}, for a user who may configure it. (Without the"
        yield "# management plugin's rabbitmqadmin: relay topology --definitions > relay.json, then rabbitmqctl"
        yield "# import_definitions relay.json, or upload it in the management plugin.)"
        yield from (entity.command(self.vhost) for entity in self.entities)
        yield from (f"# Must be there already: {what}" for what in self.given)
        yield "# What Relay's own user needs then:"
        rights = {"configure": "^$", "write": _pattern(self.writes), "read": _pattern(self.reads)}
        words = ["rabbitmqadmin", "declare", "permission", f"vhost={self.vhost}", f"user={self.user}"]
        yield shlex.join([*words, *(f"{name}={pattern}" for name, pattern in rights.items())])
        yield "# RabbitMQ 4 drops a message after 20 deliveries, to consumers of results too; a policy lets it wait:"
        queues = dict.fromkeys((*self.reads, *(entity.name for entity in self.entities if isinstance(entity, Queue))))
        limit = f'{{"delivery-limit": {PATIENT["x-delivery-limit"]}}}'
        policy = ["declare", "policy", "name=relay", f"pattern={_pattern(tuple(queues))}", "apply-to=queues"]
        yield "# " + shlex.join(["rabbitmqadmin", f"--vhost={self.vhost}", *policy, f"definition={limit}"])

    def definitions(self) -> dict[str, Any]:
        """A definitions file for `rabbitmqctl import_definitions` or the management plugin."""
        kinds = (("exchanges", Exchange), ("queues", Queue), ("bindings", Binding))
        return {
            name: [entity.definition(self.vhost) for entity in self.entities if isinstance(entity, kind)]
            for name, kind in kinds
        }


def describe_topology(settings: Settings) -> Topology:
    """The topology that these settings need. Raises Misconfigured without a broker."""
    if settings.broker is None:
        raise Misconfigured(["broker: there is none in this configuration: without RabbitMQ nothing is needed there"])
    address = make_address(settings.broker)
    inputs = [source for source in settings.sources.values() if isinstance(source, AmqpSource)]
    entities = dict.fromkeys((*_results(settings), *_dead(inputs), *_inputs(inputs)))
    replies = ["amq.default"] if any(source.reply for source in inputs) else []
    return Topology(
        vhost=address.vhost if "://" in settings.broker.url else "/",  # a variable may not be set on this machine
        user=address.user or "USER",
        entities=tuple(entities),
        given=tuple(dict.fromkeys(_given(inputs))),
        reads=tuple(dict.fromkeys(source.queue for source in inputs)),
        writes=(
            *dict.fromkeys([settings.results.exchange, *result_exchanges(settings)]),
            *([DEAD] if inputs else []),
            *replies,
        ),
    )


def _results(settings: Settings) -> Iterator[Entity]:
    exchange, queue = settings.results.exchange, settings.results.queue
    yield Exchange(exchange)
    if queue is not None:
        yield Queue(queue, tuple(QUORUM.items()))
        yield Binding(exchange, queue, "#")
    yield from (Exchange(name) for name in result_exchanges(settings))


def _dead(inputs: list[AmqpSource]) -> Iterator[Entity]:
    if inputs:
        yield Exchange(DEAD)
        yield Queue(DEAD, tuple(PATIENT.items()))
        yield Binding(DEAD, DEAD, "#")


def _inputs(inputs: list[AmqpSource]) -> Iterator[Entity]:
    for source in inputs:
        if source.declare:
            yield Queue(source.queue, tuple(PATIENT.items()))
        if source.bind is not None:
            yield from (Binding(source.bind.exchange, source.queue, key) for key in source.bind.routing_keys)


def _given(inputs: list[AmqpSource]) -> Iterator[str]:
    for source in inputs:
        if not source.declare:
            yield str(Queue(source.queue))
        if source.bind is not None:
            yield str(Exchange(source.bind.exchange))


def _pattern(names: tuple[str, ...]) -> str:
    return f"^({'|'.join(map(re.escape, names))})$" if names else "^$"
