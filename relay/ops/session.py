"""Sessions of browsers: a signed statement in a cookie, which says who has signed in, and until when.

It is signed with a key that is derived from the token itself. So every replica accepts it, it is kept nowhere, and it
ends when its token is rotated away. Signing out takes the cookie from the browser; a copy of it is not revoked.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

from relay.ops.access import Caller, TokenHolder

LIFETIME: Final = 12 * 3_600_000
"""How long a session lasts, in milliseconds."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who has signed in. `csrf` is what a changing request must bring beside the cookie."""

    caller: Caller
    csrf: str


def write_session(holder: TokenHolder, now: int) -> str:
    """The cookie of a holder who has signed in at `now` (milliseconds since the epoch)."""
    name = urlsafe_b64encode(holder.caller.name.encode()).decode()
    statement = f"{name}.{now + LIFETIME}"
    return f"{statement}.{_sign(holder, 'session', statement)}"


def read_session(holders: tuple[TokenHolder, ...], cookie: str, now: int) -> SignedIn | None:
    """The session of a cookie, None when it is none of ours or has ended."""
    statement, _, signature = cookie.rpartition(".")
    name, _, end = statement.partition(".")
    holder = _find(holders, name)
    if holder is None or not hmac.compare_digest(_sign(holder, "session", statement).encode(), _bytes(signature)):
        return None
    if now >= int(end):  # signed by us, so it is a number
        return None
    return SignedIn(holder.caller, _sign(holder, "csrf", statement))


def same(sent: str, expected: str) -> bool:
    """Compares two secrets in constant time."""
    return hmac.compare_digest(_bytes(sent), _bytes(expected))


def _find(holders: tuple[TokenHolder, ...], encoded: str) -> TokenHolder | None:
    try:
        name = urlsafe_b64decode(encoded.encode()).decode()
    except ValueError:
        return None
    return next((holder for holder in holders if holder.caller.name == name), None)


def _sign(holder: TokenHolder, purpose: str, statement: str) -> str:
    key = hmac.digest(holder.token.reveal().encode(), b"relay console", "sha256")
    return hmac.digest(key, f"{purpose}:{statement}".encode(), "sha256").hex()


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
