"""What a scheme is: how a sender proves itself, and where it says what happened."""

# ruff: noqa: A002 - `id` and `type` are the words of the wire

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from relay.schemes.request import Request
from relay.secret import Secret

ALWAYS_SECRET: Final = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
"""Names of headers, in lower case, that are credentials whatever the scheme."""


class SchemeFault(ValueError):
    """A scheme is configured wrongly: `key` is the configuration key, `message` what is wrong and what is right."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key
        self.message = message


@dataclass(frozen=True, slots=True)
class SchemeSpec:
    """A scheme by name with its live secrets (any of them may match) and its own configuration keys.

    Durations in `options` are integers of milliseconds or texts such as `5m`.
    """

    scheme: str
    secrets: tuple[Secret, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a sender says of its event. `external_id` is the same when the sender sends the event again.

    `time` is milliseconds since the epoch.
    """

    external_id: str | None = None
    type: str | None = None
    subject: str | None = None
    time: int | None = None


class Scheme(Protocol):
    """How one source's sender proves itself.

    `proves` is False when anybody can send. `secret_headers` are lower-case names that are never stored or printed.
    `challenge` is the `WWW-Authenticate` of a 401, None where the way of signing has none.
    """

    @property
    def proves(self) -> bool: ...

    @property
    def secret_headers(self) -> frozenset[str]: ...

    @property
    def challenge(self) -> str | None: ...

    def verify(self, request: Request) -> None:
        """Return when the request is the sender's. Raises `Rejected` (401) with a stable reason and a hint."""
        ...

    def identify(self, request: Request, data: Any) -> Identity:
        """What the sender says of its event, from the headers and the parsed body; never raises."""
        ...

    def sign(
        self,
        body: bytes,
        *,
        now: int,
        id: str,
        type: str | None = None,
        method: str = "POST",
        url: str = "",
    ) -> dict[str, str]:
        """The headers that the sender would add to `body`, with the first secret. `now` is in milliseconds."""
        ...
