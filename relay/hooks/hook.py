"""A webhook source, and the interfaces that the listener needs."""

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
class ClientCertificate:
    """The subjects that may send, as a trusted proxy reports them in `header`."""

    header: str
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Bounds:
    """The limits of a source. None and empty values mean no limit.

    `body` limits the bytes of a body, before and after inflating, `in_flight` those of all unanswered requests. `rate`
    limits verified requests, `burst` how many may come at once (default: the count of the rate). `allow` are the
    networks and `certificate` the certificates that may send.
    """

    body: int | None = None
    in_flight: int | None = None
    rate: Rate | None = None
    burst: int | None = None
    allow: tuple[Network, ...] = ()
    certificate: ClientCertificate | None = None

    @property
    def restricted(self) -> bool:
        """Whether a sender needs more than the secret."""
        return bool(self.allow) or self.certificate is not None


_UNBOUND: Final = Bounds()


@dataclass(frozen=True, slots=True)
class Hook:
    """The source at `POST /hooks/<name>`.

    `scheme` is built from `spec`. `event` are the operator's templates for `id`, `type`, `subject` and `time`, `vars`
    their constants. `keep_rejected` is how long bodies of refused requests are kept, in milliseconds. `bounds` are the
    limits.
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
        """Whether the operator's template for the id uses headers."""
        return "id" in self.event and "headers" in self.event["id"].text


class Accepting(Protocol):
    """Commits events."""

    async def accept(self, events: Sequence[Event]) -> list[Receipt]:
        """Commit events. Returns one receipt per event, in order. Raises `Overloaded`, `Unavailable`, `Refused`."""
        ...

    async def known(self, events: Sequence[Event]) -> list[Receipt] | None:
        """The receipts if all events are duplicates, None otherwise. Raises `Unavailable`."""
        ...


Fetch = Callable[[str], Awaitable[bytes]]
"""Fetches a small document from a vendor over https. Raises `Retryable`."""

Learn = Callable[[str, Secret], Awaitable[bool]]
"""Stores the secret that a source's handshake brought. Returns False when another secret is already stored.

Raises `Unavailable`, and the error of `too_often` when there are too many handshakes.
"""


def too_often(name: str) -> Rejected:
    """The refusal of a handshake after too many others."""
    hint = f"many handshakes bring secrets to source {name}; if one is the vendor's, it may try again in a minute"
    return Rejected("too many handshakes; try again in a minute", status=429, reason="handshake_often", hint=hint)
