"""The AsyncAPI 3.0 document of the messages that Relay consumes and publishes on RabbitMQ.

The specification is https://www.asyncapi.com/docs/reference/specification/v3.0.0. The bindings are those of AMQP 0-9-1
(https://github.com/asyncapi/bindings/tree/master/amqp). They have no fields for a message's AMQP properties, so the
descriptions document these.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from relay.app.adapters import make_address, result_blocks
from relay.broker import DEAD
from relay.config import AmqpSource, Settings
from relay.model import ProblemKind
from relay.outbox import MESSAGES, PROBLEMS, message_schemas

_EXAMPLE: Final = {
    "cargo": {"token": "none"},
    "broker": {"url": "amqp://localhost"},
    "sources": {"example": {"type": "amqp", "queue": "events", "reply": True}},
}
_BINDING: Final = {"bindingVersion": "0.3.0"}
_SCHEMAS: Final = "#/components/schemas/{model}"
_UNKNOWN: Final = (
    "A later release may add fields, types and routing keys: ignore what you do not know, and acknowledge the message."
)
_PUBLISHED: Final = (
    "Persistent and confirmed. `message_id` is the CloudEvents id: the same message may come twice, drop duplicates by"
    " it. `correlation_id` is that of the message that came in, else the event's id; `type` is the CloudEvents type;"
    f" `timestamp` is when the result was created. {_UNKNOWN}"
)
_CONSUMED: Final = (
    "`message_id` (with `app_id`) or the CloudEvents id identifies duplicates; `type` or the routing key is the event's"
    " type; `correlation_id` is kept, and `reply_to` if the source's `reply` allows that queue. The message is"
    " acknowledged once it is committed."
)
_REPLY_TO: Final = (
    "AMQP's property `reply_to`: a queue that the source's `reply` allows, reached through the default exchange"
)
_KEYS: Final = {
    "ChatCreated": "chat.created",
    "ChatFailed": "chat.failed",
    "ChatParked": "chat.parked",
    "MessageSent": "message.sent",
    "MessageFailed": "message.failed",
}

_PROBLEM_KEYS: Final = {"ProblemOpened": "problem.opened", "ProblemResolved": "problem.resolved"}


def describe_messages(settings: Settings | None, version: str) -> dict[str, Any]:
    """The document for these settings; without settings, for the defaults and an example queue."""
    draft = _Document(settings or Settings.model_validate(_EXAMPLE))
    return {
        "asyncapi": "3.0.0",
        "id": "urn:relay",
        "info": {
            "title": "Relay",
            "version": version,
            "description": f"What Relay consumes from RabbitMQ, and what it publishes there. {_UNKNOWN}"
            + ("" if settings else " Without a configuration: the defaults, and the queue `events` as an example."),
            "license": {"name": "MIT"},
            "tags": [{"name": "cargo", "description": "Chats of Cargo AI"}],
        },
        "defaultContentType": "application/cloudevents+json",
        **draft.parts(),
    }


class _Document:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._inputs = {name: source for name, source in settings.sources.items() if isinstance(source, AmqpSource)}
        broker = settings.broker
        # If the URL is a variable that is not set on this machine, nothing is known of the server.
        self._address = make_address(broker) if broker is not None and "://" in broker.url else None
        self._vhost = self._address.vhost if self._address else "/"

    def parts(self) -> dict[str, Any]:
        channels, operations = self._results()
        if self._inputs:
            for more_channels, more_operations in (self._dead(), self._queues()):
                channels |= more_channels
                operations |= more_operations
        return {
            **self._server(),
            "channels": channels,
            "operations": operations,
            "components": {
                "messages": _messages(self._inputs),
                "schemas": {**message_schemas(_SCHEMAS), **(_INPUT_SCHEMAS if self._inputs else {})},
                **self._security(),
            },
        }

    def _server(self) -> dict[str, Any]:
        if self._address is None:
            return {}
        host, protocol = self._address.host()
        server = {
            "host": host,
            "protocol": protocol,
            "protocolVersion": "0.9.1",
            "pathname": self._address.path(),
            "description": "RabbitMQ",
            "security": [{"$ref": "#/components/securitySchemes/login"}],
        }
        return {"servers": {"rabbitmq": server}}

    def _security(self) -> dict[str, Any]:
        if self._address is None:
            return {}
        kind = "X509" if self._address.external else "userPassword"
        return {"securitySchemes": {"login": {"type": kind, "description": "Relay's own; a consumer has another user"}}}

    def _results(self) -> tuple[dict[str, Any], dict[str, Any]]:
        results = self._settings.results
        own = result_blocks(self._settings)
        parameters = {
            "source": _parameter("The source of the event", self._settings.sources),
            "rule": _parameter(
                "The rule that matched the event", (rule.name for rule in self._settings.rules if rule.name not in own)
            ),
        }
        channels, operations = {}, {}
        kinds = {"kind": _parameter("The kind of the problem", map(str, ProblemKind))}
        for message, key in _PROBLEM_KEYS.items():
            name = _lower(message)
            channels[name] = self._channel(f"{key}.{{kind}}", [name], exchange=results.exchange, parameters=kinds)
            operations[f"send{message}"] = _send(name, [name], mandatory=True)
        for message, key in _KEYS.items():
            name = _lower(message)
            channels[name] = self._channel(
                f"{key}.{{source}}.{{rule}}", [name], exchange=results.exchange, parameters=parameters
            )
            operations[f"send{message}"] = _send(name, [name], mandatory=True)
        if results.queue is not None:
            description = f"Takes everything that is published to the exchange {results.exchange}."
            channels["results"] = self._channel(
                results.queue, map(_lower, _KEYS | _PROBLEM_KEYS), queue=results.queue, description=description
            )
        for rule, block in own.items():
            channel, messages = f"rule-{rule}", [_lower(message) for message in _KEYS]
            channels[channel] = self._channel(
                None, messages, exchange=block.exchange, description=_routed(rule, block.routing_key)
            )
            operations[f"send-{rule}"] = _send(channel, messages, mandatory=True)
        return channels, operations

    def _dead(self) -> tuple[dict[str, Any], dict[str, Any]]:
        parameters = {"source": _parameter("The source whose message it is", self._inputs)}
        description = f"Takes everything that is published to the exchange {DEAD}."
        letter = ["deadLetter"]
        channels = {
            "dead": self._channel("{source}", letter, exchange=DEAD, parameters=parameters),
            "deadLetters": self._channel(DEAD, letter, queue=DEAD, description=description),
        }
        return channels, {"sendDeadLetter": _send("dead", letter, mandatory=True)}

    def _queues(self) -> tuple[dict[str, Any], dict[str, Any]]:
        channels, operations = {}, {}
        replies = [_lower(model.__name__) for model in MESSAGES if model not in PROBLEMS]
        for name, source in self._inputs.items():
            channel = f"source-{name}"
            messages = ["event", "cloudEvent"]
            channels[channel] = self._channel(source.queue, messages, queue=source.queue, description=_bound(source))
            operations[f"receive-{name}"] = {
                "action": "receive",
                "channel": _ref("channels", channel),
                "messages": _refs(channel, messages),
                "bindings": {"amqp": {"ack": True, **_BINDING}},
            }
            if source.reply:
                operations[f"receive-{name}"]["reply"] = {
                    "address": {
                        "description": _REPLY_TO,
                        "location": "$message.header#/reply_to",
                    },
                    "channel": _ref("channels", "replies"),
                    "messages": _refs("replies", replies),
                }
                channels["replies"] = self._channel(None, replies, exchange="")
        return channels, operations

    def _channel(
        self,
        address: str | None,
        messages: Iterable[str],
        *,
        exchange: str | None = None,
        queue: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        description: str = "",
    ) -> dict[str, Any]:
        lasting = {"durable": True, "autoDelete": False, "vhost": self._vhost}
        binding: dict[str, Any] = {"is": "queue", "queue": {"name": queue, "exclusive": False, **lasting}}
        if exchange is not None:
            kind = "topic" if exchange else "default"
            binding = {"is": "routingKey", "exchange": {"name": exchange, "type": kind, **lasting}}
        return {
            "address": address,
            "messages": {name: _ref("components", "messages", name) for name in messages},
            **({"parameters": dict(parameters)} if parameters else {}),
            **({"description": description} if description else {}),
            "bindings": {"amqp": binding | _BINDING},
        }


def _messages(inputs: Mapping[str, AmqpSource]) -> dict[str, Any]:
    messages = {_lower(model.__name__): _result(model) for model in MESSAGES}
    return {**messages, **(_INPUT_MESSAGES if inputs else {})}


def _result(model: Any) -> dict[str, Any]:
    kind = model.model_fields["type"].annotation.__args__[0]
    headers: dict[str, Any] = {"traceparent": {"type": "string", "description": "W3C trace context of the event"}}
    if model.__name__ == "ChatCreated":
        headers["chat-uuid"] = {"type": "string", "description": "The chat's uuid in Cargo"}
    return {
        "name": kind,
        "title": kind,
        "summary": (model.__doc__ or "").strip(),
        "description": _PUBLISHED,
        "contentType": "application/cloudevents+json",
        "headers": {"type": "object", "properties": headers},
        "payload": {"$ref": _SCHEMAS.format(model=model.__name__)},
        "bindings": {"amqp": {"messageType": kind, **_BINDING}},
    }


_INPUT_SCHEMAS: Final[Mapping[str, Any]] = {
    "AnyJson": {"description": "Any JSON: rules and templates say what counts in it, as `data`."},
    "CloudEvent": {
        "type": "object",
        "description": "CloudEvents 1.0 in structured JSON",
        "required": ["specversion", "id", "source", "type"],
        "properties": {
            "specversion": {"type": "string", "const": "1.0"},
            "id": {"type": "string", "minLength": 1},
            "source": {"type": "string", "minLength": 1},
            "type": {"type": "string", "minLength": 1},
            "subject": {"type": "string"},
            "time": {"type": "string", "format": "date-time"},
            "data": {},
        },
    },
}
_INPUT_MESSAGES: Final[Mapping[str, Any]] = {
    "event": {
        "name": "event",
        "title": "Any JSON",
        "summary": "Plain JSON, or a CloudEvent whose attributes are headers `cloudEvents:`",
        "description": _CONSUMED,
        "contentType": "application/json",
        "payload": {"$ref": _SCHEMAS.format(model="AnyJson")},
    },
    "cloudEvent": {
        "name": "cloudEvent",
        "title": "A CloudEvent",
        "summary": "A CloudEvent in structured JSON",
        "description": _CONSUMED,
        "contentType": "application/cloudevents+json",
        "payload": {"$ref": _SCHEMAS.format(model="CloudEvent")},
    },
    "deadLetter": {
        "name": "deadLetter",
        "title": "A dead letter",
        "summary": "A message that can never be read, with the sender's body and properties",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "required": ["relay-source", "relay-reason", "relay-error"],
            "properties": {
                "relay-source": {"type": "string", "description": "The source whose message it is"},
                "relay-reason": {"type": "string", "description": "A stable word"},
                "relay-error": {"type": "string", "description": "For people"},
                "relay-id": {"type": "string", "description": "The id under which `relay dead` lists it"},
                "relay-queue": {"type": "string", "description": "The queue from which it came"},
                "relay-routing-key": {"type": "string", "description": "The routing key by which it came"},
            },
        },
    },
}


def _send(channel: str, messages: Iterable[str], *, mandatory: bool) -> dict[str, Any]:
    binding = {"deliveryMode": 2, "mandatory": mandatory, "timestamp": True, **_BINDING}
    return {
        "action": "send",
        "channel": _ref("channels", channel),
        "messages": _refs(channel, messages),
        "bindings": {"amqp": binding},
    }


def _routed(rule: str, routing_key: str | None) -> str:
    """The routing key of a rule's results on an exchange of its own, which a template makes for each event."""
    if routing_key is None:
        return f"The results of rule {rule}, with routing keys as `chat.created.<source>.{rule}`."
    return f"All results of rule {rule}, with the routing key `{routing_key}`, made for each event."


def _bound(source: AmqpSource) -> str:
    bind = source.bind
    keys = "" if bind is None else " or ".join(f"`{key}`" for key in bind.routing_keys)
    return "" if bind is None else f"Bound to the exchange {bind.exchange} with {keys}."


def _parameter(description: str, names: Iterable[str]) -> dict[str, Any]:
    values = list(names)
    return {"description": description, **({"enum": values} if values else {})}


def _refs(channel: str, messages: Iterable[str]) -> list[dict[str, str]]:
    return [_ref("channels", channel, "messages", name) for name in messages]


def _ref(*steps: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(steps)}


def _lower(name: str) -> str:
    return name[0].lower() + name[1:]
