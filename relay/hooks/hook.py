"""A webhook source, and what the listener needs of the middle of Relay."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from relay.model import Event, Receipt
from relay.rules import Template
from relay.schemes import Scheme


@dataclass(frozen=True, slots=True)
class Hook:
    """One source at `POST /hooks/<name>`.

    `event` are the operator's templates for `id`, `type`, `subject` and `time`; `vars` the constants they see.
    """

    name: str
    scheme: Scheme
    event: Mapping[str, Template] = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict)


class Intake(Protocol):
    """Commits what came in."""

    async def accept(self, events: Sequence[Event]) -> list[Receipt]:
        """One receipt per event, in order, once all are on disk. Raises `Overloaded`, `Unavailable`, `Refused`."""
        ...
