"""Exchanges, queues and bindings as values, each with the command or definition that creates it."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

QUORUM: Final[Mapping[str, Any]] = {"x-queue-type": "quorum"}
PATIENT: Final[Mapping[str, Any]] = {**QUORUM, "x-delivery-limit": 1_000_000}
"""Arguments for queues that Relay consumes. A lost connection counts as a delivery of every unacknowledged message on
it, and RabbitMQ drops a message past the limit. (The default is 20 in RabbitMQ 4; 3.x has no value for "unlimited".)"""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable topic exchange."""

    name: str

    def __str__(self) -> str:
        return f"exchange {self.name!r}"

    def command(self, vhost: str) -> str:
        """The shell command that creates it, with the management plugin's `rabbitmqadmin`."""
        return _declare(vhost, "exchange", name=self.name, type="topic", durable="true")

    def definition(self, vhost: str) -> dict[str, Any]:
        """Its entry in a RabbitMQ definitions file (https://www.rabbitmq.com/docs/definitions)."""
        properties = {"type": "topic", "durable": True, "auto_delete": False, "internal": False, "arguments": {}}
        return {"name": self.name, "vhost": vhost, **properties}


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue; `arguments` are pairs (name, value)."""

    name: str
    arguments: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"queue {self.name!r}"

    def command(self, vhost: str) -> str:
        """The shell command that creates it."""
        arguments = json.dumps(dict(self.arguments))
        return _declare(vhost, "queue", name=self.name, durable="true", arguments=arguments)

    def definition(self, vhost: str) -> dict[str, Any]:
        """Its entry in a RabbitMQ definitions file."""
        properties = {"durable": True, "auto_delete": False, "arguments": dict(self.arguments)}
        return {"name": self.name, "vhost": vhost, **properties}


@dataclass(frozen=True, slots=True)
class Binding:
    """The binding of a queue to an exchange; `key` is the routing key."""

    exchange: str
    queue: str
    key: str

    def __str__(self) -> str:
        return f"binding of queue {self.queue!r} to exchange {self.exchange!r} with {self.key!r}"

    def command(self, vhost: str) -> str:
        """The shell command that creates it."""
        ends = {"source": self.exchange, "destination": self.queue, "routing_key": self.key}
        return _declare(vhost, "binding", **ends)

    def definition(self, vhost: str) -> dict[str, Any]:
        """Its entry in a RabbitMQ definitions file."""
        ends = {"source": self.exchange, "destination": self.queue, "destination_type": "queue"}
        return {**ends, "vhost": vhost, "routing_key": self.key, "arguments": {}}


Entity = Exchange | Queue | Binding


def _declare(vhost: str, kind: str, **properties: str) -> str:
    words = ["rabbitmqadmin", f"--vhost={vhost}", "declare", kind]
    return shlex.join([*words, *(f"{name}={value}" for name, value in properties.items())])
