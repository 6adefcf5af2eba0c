"""Sessions of browsers: a signed statement in a cookie, which says who has signed in, and until when.

It is signed with a key that is derived from the token itself. So every replica accepts it, it is kept nowhere, and it
ends when its token is rotated away. Only that somebody has signed out of it is kept, in the ledger, so that a copy of
the cookie ends with it on every replica (`Sessions`).
"""

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

from relay.errors import Unavailable
from relay.ops.access import Caller, TokenHolder

LIFETIME: Final = 12 * 3_600_000
"""How long a session lasts, in milliseconds."""
_FRESH: Final = 1.0
"""Seconds for which it is believed that a session goes on."""
_MOST: Final = 1_000
"""Sessions of which a replica remembers whether they go on."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who has signed in, until when (milliseconds since the epoch). `csrf` must come with a change beside the cookie.

    `hash` stands for the session where it is written down: the cookie is a credential.
    """

    caller: Caller
    csrf: str
    hash: bytes
    until: int


class Ended(Protocol):
    """Where it is kept which sessions have ended. A part of the port Archive, which documents it."""

    async def end_session(self, session: bytes, until: int) -> None: ...

    async def is_session_ended(self, session: bytes) -> bool: ...


class Sessions:
    """Which of the sessions that are signed by us go on: those from which nobody has signed out.

    The ledger is asked at most once a second for each, so signing out holds on every replica a second later. While the
    ledger is away, what it has said last of a session is believed. `monotonic` returns seconds.
    """

    def __init__(self, ended: Ended, monotonic: Callable[[], float]) -> None:
        self._ended = ended
        self._monotonic = monotonic
        self._known: OrderedDict[bytes, tuple[float, bool]] = OrderedDict()

    async def is_over(self, session: SignedIn) -> bool:
        """Whether somebody has signed out of it. Raises `Unavailable` where the ledger has never said that."""
        at, is_over = self._known.get(session.hash, (None, False))
        if is_over or (at is not None and self._monotonic() - at < _FRESH):
            return is_over
        try:
            is_over = await self._ended.is_session_ended(session.hash)
        except Unavailable:
            if at is None:
                raise
            return False
        self._note(session.hash, is_over=is_over)
        return is_over

    def begin(self, cookie: str) -> None:
        """Note a session that begins here: nobody can have signed out of it, whatever the ledger answers."""
        self._note(_hash(cookie.rpartition(".")[0]), is_over=False)

    async def end(self, session: SignedIn) -> None:
        """End a session, on all replicas. Raises `Unavailable`: then it goes on."""
        await self._ended.end_session(session.hash, session.until)
        self._note(session.hash, is_over=True)

    def _note(self, session: bytes, *, is_over: bool) -> None:
        self._known[session] = self._monotonic(), is_over
        self._known.move_to_end(session)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)


def write_session(holder: TokenHolder, now: int) -> str:
    """The cookie of a holder who has signed in at `now` (milliseconds since the epoch)."""
    name = urlsafe_b64encode(holder.caller.name.encode()).decode()
    statement = f"{name}.{now + LIFETIME}.{secrets.token_hex(8)}"  # of two sign-ins at once, each may end alone
    return f"{statement}.{_sign(holder, 'session', statement)}"


def read_session(holders: tuple[TokenHolder, ...], cookie: str, now: int) -> SignedIn | None:
    """The session of a cookie, None when it is none of ours or its time is over."""
    statement, _, signature = cookie.rpartition(".")
    name, _, rest = statement.partition(".")
    holder = _find(holders, name)
    if holder is None or not hmac.compare_digest(_sign(holder, "session", statement).encode(), _bytes(signature)):
        return None
    until = int(rest.partition(".")[0])  # signed by us, so it is a number
    if now >= until:
        return None
    return SignedIn(holder.caller, _sign(holder, "csrf", statement), _hash(statement), until)


def same(sent: str, expected: str) -> bool:
    """Compares two secrets in constant time."""
    return hmac.compare_digest(_bytes(sent), _bytes(expected))


def _hash(statement: str) -> bytes:
    return sha256(statement.encode()).digest()


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
