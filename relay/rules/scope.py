"""The names that a template or condition sees."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from relay.model import Event
from relay.units import iso

NAMES: Final = frozenset({"data", "event", "headers", "vars"})
FIELDS: Final = frozenset({"id", "external_id", "source", "type", "subject", "time", "received_at"})

Scope = Mapping[str, Any]
Evaluate = Callable[[Scope], Any]


class Failed:
    """Stands for the value of a name that could not be evaluated; `reason` begins with the name's place."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class Letting(dict[str, Any]):
    """A scope with the names of a rule's `let`, each evaluated when it is first asked for, and once."""

    __slots__ = ("_known", "_lets")

    def __init__(self, scope: Scope, lets: Mapping[str, Evaluate]) -> None:
        super().__init__(scope)
        self._lets = lets
        self._known: dict[str, Any] = {}

    def has(self, name: str) -> bool:
        """Whether `let` gives this name."""
        return name in self._lets

    def value(self, name: str) -> Any:
        """The value, or `Failed`."""
        if name not in self._known:
            try:
                self._known[name] = self._lets[name](self)
            except Exception as error:  # noqa: BLE001 - an expression may raise anything; whoever uses the name fails with it
                self._known[name] = Failed(str(error))
        return self._known[name]


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
