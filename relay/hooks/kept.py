"""Selects the headers of a request to store: bounded, without credentials, and valid in a database."""

import re
from functools import lru_cache
from typing import Final, TypeVar

from relay.schemes import Headers

Text = TypeVar("Text", str, str | None)

_MOST: Final = 64
_SPACE: Final = 8 << 10
_REMEMBERED: Final = 2 << 10
"""Header names above this total length are not cached, because senders choose them."""
_CREDENTIAL: Final = re.compile(r"authorization|cookie|token|secret|signature|password|passwd|credential|api-?key")


def keep(headers: Headers, secret: frozenset[str]) -> dict[str, str]:
    """Headers by lower-case names, repeated ones joined by commas; at most 64 headers and 8 KiB.

    `secret` are the headers with credentials of the scheme. Headers whose names suggest credentials are left out too.
    """
    written = headers.names()
    names = _harmless(written, secret) if written and len("".join(written)) <= _REMEMBERED else None
    if names is not None:
        kept = headers.pick(names)
        whole = "".join([*kept, *kept.values()])
        if whole.isascii() and "\0" not in whole and len(whole) <= _SPACE:
            return kept
    return _bounded(headers, secret)


def _bounded(headers: Headers, secret: frozenset[str]) -> dict[str, str]:
    """The first headers within the limits, cleaned."""
    kept: dict[str, str] = {}
    space = _SPACE
    for name, values in headers.items():
        if _is_secret(name, secret):
            continue
        value = clean(", ".join(values))
        space -= len(name) + len(value)
        if space < 0 or len(kept) == _MOST:
            break
        kept[clean(name)] = value
    return kept


def clean(text: Text) -> Text:
    """The text with U+FFFD for NUL and for each byte that is not UTF-8."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    whole = text.encode("utf-8", "surrogateescape") if _escaped(text) else text.encode("utf-8", "replace")
    return whole.decode("utf-8", "replace").replace("\0", "\ufffd")


def _escaped(text: str) -> bool:
    """Whether every surrogate in the text stands for a byte, as in the headers that servers decode."""
    return all("\udc80" <= character <= "\udcff" for character in text if "\ud800" <= character <= "\udfff")


@lru_cache(maxsize=128)
def _harmless(names: tuple[str, ...], secret: frozenset[str]) -> tuple[tuple[str, str], ...] | None:
    """The names to keep, in original and lower case; None when there are too many.

    The cache works because all requests of a sender have the same names.
    """
    kept = tuple((name, low) for name in names if not _is_secret(low := name.lower(), secret))
    return kept if len(kept) <= _MOST else None


def _is_secret(name: str, secret: frozenset[str]) -> bool:
    return name in secret or _CREDENTIAL.search(name) is not None
