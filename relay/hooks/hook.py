"""A webhook source, and what the listener needs of the middle of Relay."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from relay.errors import Rejected
from relay.model import Event, Receipt
from relay.rules import Template
from relay.schemes import Scheme, SchemeSpec
from relay.secret import Secret


@dataclass(frozen=True, slots=True)
class Hook:
    """One source at `POST /hooks/<name>`.

    `scheme` is made of `spec`. `event` are the operator's templates for `id`, `type`, `subject` and `time`; `vars` the
    constants they see. `keep_rejected` is how long bodies of refused requests are kept, in milliseconds.
    """

    name: str
    scheme: Scheme
    spec: SchemeSpec
    event: Mapping[str, Template] = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict)
    keep_rejected: int | None = None


class Intake(Protocol):
    """Commits what came in."""

    async def accept(self, events: Sequence[Event]) -> list[Receipt]:
        """One receipt per event, in order, once all are on disk. Raises `Overloaded`, `Unavailable`, `Refused`."""
        ...


Fetch = Callable[[str], Awaitable[bytes]]
"""Fetches a small document from a vendor, by https. Raises `Retryable`."""

Learn = Callable[[str, Secret], Awaitable[bool]]
"""Keeps the secret that a source's handshake brought; False when another one is kept already.

Raises `Unavailable`, and `too_often` for one who tries many.
"""


def too_often(name: str) -> Rejected:
    """The refusal of a handshake that comes after too many others."""
    hint = f"somebody tries secrets on source {name}; is the vendor among them, it may try again in a minute"
    return Rejected("too many handshakes; try again in a minute", status=429, reason="handshake_often", hint=hint)
