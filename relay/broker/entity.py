"""What Relay needs in RabbitMQ, as values: what is declared, and the command with which a person makes it."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

QUORUM: Final[Mapping[str, Any]] = {"x-queue-type": "quorum"}
PATIENT: Final[Mapping[str, Any]] = {**QUORUM, "x-delivery-limit": 1_000_000}
"""For queues that Relay consumes: each cut connection counts as a delivery of all that was under way on it, and past
the limit RabbitMQ drops a message. (Without the argument RabbitMQ 4 takes 20; 3.x knows no "unlimited".)"""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable topic exchange."""

    name: str

    def __str__(self) -> str:
        return f"exchange {self.name!r}"

    def command(self, vhost: str) -> str:
        """The line of a shell that makes it, with the management plugin's `rabbitmqadmin`."""
        return _declare(vhost, "exchange", name=self.name, type="topic", durable="true")

    def definition(self, vhost: str) -> dict[str, Any]:
        """It as RabbitMQ's definitions file has it (https://www.rabbitmq.com/docs/definitions)."""
        own = {"type": "topic", "durable": True, "auto_delete": False, "internal": False, "arguments": {}}
        return {"name": self.name, "vhost": vhost, **own}


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue; `arguments` are pairs."""

    name: str
    arguments: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return f"queue {self.name!r}"

    def command(self, vhost: str) -> str:
        """The line of a shell that makes it."""
        arguments = json.dumps(dict(self.arguments))
        return _declare(vhost, "queue", name=self.name, durable="true", arguments=arguments)

    def definition(self, vhost: str) -> dict[str, Any]:
        """It as RabbitMQ's definitions file has it."""
        own = {"durable": True, "auto_delete": False, "arguments": dict(self.arguments)}
        return {"name": self.name, "vhost": vhost, **own}


@dataclass(frozen=True, slots=True)
class Binding:
    """A queue's, to an exchange."""

    exchange: str
    queue: str
    key: str

    def __str__(self) -> str:
        return f"binding of queue {self.queue!r} to exchange {self.exchange!r} with {self.key!r}"

    def command(self, vhost: str) -> str:
        """The line of a shell that makes it."""
        what = {"source": self.exchange, "destination": self.queue, "routing_key": self.key}
        return _declare(vhost, "binding", **what)

    def definition(self, vhost: str) -> dict[str, Any]:
        """It as RabbitMQ's definitions file has it."""
        ends = {"source": self.exchange, "destination": self.queue, "destination_type": "queue"}
        return {**ends, "vhost": vhost, "routing_key": self.key, "arguments": {}}


Entity = Exchange | Queue | Binding


def _declare(vhost: str, kind: str, **properties: str) -> str:
    words = ["rabbitmqadmin", f"--vhost={vhost}", "declare", kind]
    return shlex.join([*words, *(f"{name}={value}" for name, value in properties.items())])
