"""A string that is never printed, and keys in such strings."""

import re
from base64 import urlsafe_b64decode
from hmac import compare_digest
from typing import Final

SHORT: Final = 16
"""The minimum of characters; shorter secrets can be guessed."""

_MASK: Final = "********"
_KEY: Final = 32
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")


class Secret:
    """Holds a credential. Only `reveal()` returns it, so that log lines, errors and reprs cannot contain it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        """Compare in constant time, so that the duration does not reveal how much of a guess is right."""
        if not isinstance(other, Secret):
            return False
        return compare_digest(_raw(self._value), _raw(other._value))

    def __hash__(self) -> int:
        return hash(self._value)

    def __repr__(self) -> str:
        return f"Secret('{_MASK}')"

    def __str__(self) -> str:
        return _MASK

    def __format__(self, spec: str) -> str:
        return format(_MASK, spec)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a secret cannot be pickled or copied")


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def key_bytes(text: str) -> bytes:
    """The 32 bytes of a key in base64 or hex. Raises ValueError, which says how to make a key."""
    stripped = text.strip()
    try:
        raw = bytes.fromhex(stripped) if len(stripped) == 2 * _KEY else urlsafe_b64decode(_padded(stripped))
    except ValueError:
        raw = b""
    if len(raw) != _KEY:
        raise ValueError("is not a key of 32 random bytes in base64 or hex: make one with `openssl rand -base64 32`")
    return raw


def _padded(text: str) -> str:
    """Base64 of either alphabet in the decoder's format. Raises ValueError for other characters."""
    if not _BASE64.fullmatch(text):
        raise ValueError("this is not base64")
    bare = text.rstrip("=").replace("+", "-").replace("/", "_")
    return bare + "=" * (-len(bare) % 4)
