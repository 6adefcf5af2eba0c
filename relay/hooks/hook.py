"""A webhook source, and what the listener needs of the middle of Relay."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from relay.errors import Rejected
from relay.hooks.caller import Network
from relay.model import Event, Receipt
from relay.rules import Template
from relay.schemes import Scheme, SchemeSpec
from relay.secret import Secret
from relay.units import Rate


@dataclass(frozen=True, slots=True)
class Certificate:
    """The subjects that may send, as a trusted proxy says them in a header."""

    header: str
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one source takes; None and empty: nothing of its own.

    `body` and `in_flight` are bytes: of one body, inflated or not, and of all its requests that are not answered yet.
    `rate` is requests that prove themselves, `burst` how many at once (the rate's count). `allow` are the networks,
    `certificate` the certificates that may send.
    """

    body: int | None = None
    in_flight: int | None = None
    rate: Rate | None = None
    burst: int | None = None
    allow: tuple[Network, ...] = ()
    certificate: Certificate | None = None

    @property
    def restricted(self) -> bool:
        """Whether not everybody who has its secret may send."""
        return bool(self.allow) or self.certificate is not None


_UNBOUND: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Hook:
    """One source at `POST /hooks/<name>`.

    `scheme` is made of `spec`. `event` are the operator's templates for `id`, `type`, `subject` and `time`; `vars` the
    constants they see. `keep_rejected` is how long bodies of refused requests are kept, in milliseconds. `bounds` are
    what it takes.
    """

    name: str
    scheme: Scheme
    spec: SchemeSpec
    event: Mapping[str, Template] = field(default_factory=dict)
    vars: Mapping[str, Any] = field(default_factory=dict)
    keep_rejected: int | None = None
    bounds: Bounds = _UNBOUND

    @property
    def loose(self) -> bool:
        """Whether the operator's id of an event may come from a header."""
        return "id" in self.event and "headers" in self.event["id"].text


class Intake(Protocol):
    """Commits what came in."""

    async def accept(self, events: Sequence[Event]) -> list[Receipt]:
        """One receipt per event, in order, once all are on disk. Raises `Overloaded`, `Unavailable`, `Refused`."""
        ...

    async def known(self, events: Sequence[Event]) -> list[Receipt] | None:
        """The receipts of events that are all known already, None when one is not. Raises `Unavailable`."""
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
