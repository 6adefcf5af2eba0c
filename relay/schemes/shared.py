"""A secret that the sender shows as it is: `none` (not even that), `bearer`, `basic`."""

# ruff: noqa: A002, ARG002 - `id` and `type` are the words of the wire, and a scheme takes what it does not need

import base64
import hmac
from typing import Any, Final

from relay.errors import Rejected
from relay.schemes.request import Request, octets
from relay.schemes.scheme import ALWAYS_SECRET, Identity

_NOTHING: Final = Identity()


class Open:
    """Scheme `none`: anybody who knows the address can send."""

    proves: Final = False
    challenge: Final[str | None] = None
    secret_headers: Final = ALWAYS_SECRET

    def verify(self, request: Request) -> None:
        """Nothing is proved."""

    def identify(self, request: Request, data: Any) -> Identity:
        """Nothing is known."""
        return _NOTHING

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
        """No headers."""
        return {}


class Shown:
    """Schemes `bearer` and `basic`: a header equals one of a few values.

    `words` are the credentials after `lead` (`Bearer`, `Basic`); `bare` accepts them without it, too.
    """

    proves: Final = True

    def __init__(self, header: str, lead: str, words: tuple[bytes, ...], *, bare: bool, challenge: str | None) -> None:
        self._header = header
        self._name = header.lower()
        self._lead = lead
        self._words = words
        self._bare = bare
        self.challenge = challenge
        self.secret_headers = ALWAYS_SECRET | {self._name}

    def verify(self, request: Request) -> None:
        """As `Scheme.verify` says."""
        shown = octets(self._strip(request.headers.sole(self._name, "token")))
        matched = False
        for word in self._words:
            matched |= hmac.compare_digest(word, shown)
        if not matched:
            raise Rejected(
                "the token is wrong",
                status=401,
                reason="token_wrong",
                hint=f"what {self._header} holds is none of this source's secrets: it was rotated, or mistyped",
            )

    def identify(self, request: Request, data: Any) -> Identity:
        """Nothing is known."""
        return _NOTHING

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
        """The one header."""
        word = self._words[0].decode()
        return {self._header: word if self._bare else f"{self._lead} {word}"}

    def _strip(self, value: str) -> str:
        lead, _, rest = value.partition(" ")
        if lead.lower() == self._lead.lower() and rest:
            return rest.strip()
        if self._bare:
            return value
        raise Rejected(
            f"the header {self._header} does not hold {self._lead} and a credential",
            status=401,
            reason="token_malformed",
            hint=f"the sender must send `{self._header}: {self._lead} ...`",
        )


def pair(user: str, password: str) -> bytes:
    """User and password as HTTP's Basic scheme writes them (RFC 7617)."""
    return base64.b64encode(f"{user}:{password}".encode())
