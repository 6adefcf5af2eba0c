"""What a scheme is: how a sender proves itself, and where it says what happened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from relay.model import frozen
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


class Trusting(Protocol):
    """Keeps certificates that were fetched."""

    def keep(self, url: str, pem: bytes, now: int) -> None:
        """Raises `Rejected` when it is none; `now` is milliseconds since the epoch."""
        ...


class NeedsCertificate(Exception):
    """A request can be judged once the certificate at `url` is there: fetch it, let `trust` keep it, judge again."""

    def __init__(self, url: str, trust: Trusting) -> None:
        super().__init__(f"the certificate at {url} is needed")
        self.url = url
        self.trust = trust


@dataclass(frozen=True, slots=True)
class SchemeSpec:
    """A scheme by name with its live secrets (any of them may match) and its own configuration keys.

    Durations in `options` are integers of milliseconds or texts such as `5m`.
    """

    scheme: str
    secrets: tuple[Secret, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@frozen
class Identity:
    """What a sender says of its event. `external_id` is the same when the sender sends the event again.

    `time` is milliseconds since the epoch. `place` tells where the id was found: the position among the entry's
    phrases, or one behind them for the hash of the body. `hashed` says that the id is a hash of the body.
    """

    external_id: str | None = None
    type: str | None = None
    subject: str | None = None
    time: int | None = None
    place: int = field(default=0, compare=False)
    hashed: bool = field(default=False, compare=False)


@frozen
class Evidence:
    """What a proof that held says of its request.

    `signed` is the SHA-256 of the very text that was signed: whoever sends the request again cannot have another. None
    where nothing is, or not by itself. `id` is the event's id where this proof signs it. `covers` are the places of
    `Identity.place` that are part of what was signed, the last being the body.
    """

    signed: bytes | None = None
    id: str | None = None
    covers: tuple[bool, ...] = ()


NOTHING: Final = Evidence()
"""Of a token, which proves who sends and nothing of what; or where nothing was verified."""


class Proof(Protocol):
    """One way of proving oneself.

    `proves` is False when anybody can send. `secret_headers` are lower-case names that are never stored or printed.
    `challenge` is the `WWW-Authenticate` of a 401, None where the way of signing has none.
    """

    @property
    def proves(self) -> bool: ...

    @property
    def secret_headers(self) -> frozenset[str]: ...

    @property
    def challenge(self) -> str | None: ...

    def applies(self, request: Request) -> bool:
        """Whether the request is signed in this way, rightly or not."""
        ...

    def suits(self, request: Request) -> bool:
        """Whether a request that is not signed yet is of the kind that is signed in this way."""
        ...

    def verify(self, request: Request) -> Evidence:
        """Return when the request is the sender's, with what that is worth. Raises `Rejected` (401) with a stable
        reason and a hint, and `NeedsCertificate`."""
        ...

    def sign(self, request: Request, private: str | None) -> Request:
        """The request as the sender would send it, signed with the first secret; `private` is a private key in PEM
        for schemes whose secret is a public one. Raises ValueError when it is missing or wrong."""
        ...
