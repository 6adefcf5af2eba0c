"""The names that a template or condition sees."""

from collections.abc import Mapping
from typing import Any, Final

from relay.model import Event
from relay.units import iso

NAMES: Final = frozenset({"data", "event", "headers", "vars"})
FIELDS: Final = frozenset({"id", "external_id", "source", "type", "subject", "time", "received_at"})

Scope = Mapping[str, Any]


def scope_of(event: Event, vars: Mapping[str, Any]) -> Scope:  # noqa: A002 - the word of the configuration
    """`data`, `event`, `headers` and `vars`; times as ISO text in UTC. Never the environment."""
    return {
        "data": event.data,
        "event": {
            "id": event.id,
            "external_id": event.external_id,
            "source": event.source,
            "type": event.type,
            "subject": event.subject,
            "time": None if event.time is None else iso(event.time),
            "received_at": iso(event.received_at),
        },
        "headers": event.headers,
        "vars": vars,
    }
