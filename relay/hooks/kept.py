"""What is kept of a request's headers: no credentials, nothing that a database cannot hold, within bounds."""

import re
from functools import lru_cache
from typing import Final, TypeVar

from relay.schemes import Headers

Text = TypeVar("Text", str, str | None)

_MOST: Final = 64
_SPACE: Final = 8 << 10
_REMEMBERED: Final = 2 << 10
"""Names longer than that in all are not remembered: a stranger chooses them."""
_CREDENTIAL: Final = re.compile(r"authorization|cookie|token|secret|signature|password|passwd|credential|api-?key")


def keep(headers: Headers, secret: frozenset[str]) -> dict[str, str]:
    """Lower-case names with their values, repeats joined by a comma; at most 64 of them and 8 KiB.

    `secret` are the names that the scheme knows to be credentials; names that speak of one are left out as well.
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
    """The first of them that are within bounds, cleaned."""
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
    """The text with U+FFFD for NUL and for each byte that is no UTF-8."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    whole = text.encode("utf-8", "surrogateescape") if _escaped(text) else text.encode("utf-8", "replace")
    return whole.decode("utf-8", "replace").replace("\0", "\ufffd")


def _escaped(text: str) -> bool:
    """Whether every surrogate in it stands for a byte, as servers decode headers."""
    return all("\udc80" <= character <= "\udcff" for character in text if "\ud800" <= character <= "\udfff")


@lru_cache(maxsize=128)
def _harmless(names: tuple[str, ...], secret: frozenset[str]) -> tuple[tuple[str, str], ...] | None:
    """The names that are kept, as they were written and in lower case; None where there are too many. A sender's
    requests all have the same."""
    kept = tuple((name, low) for name in names if not _is_secret(low := name.lower(), secret))
    return kept if len(kept) <= _MOST else None


def _is_secret(name: str, secret: frozenset[str]) -> bool:
    return name in secret or _CREDENTIAL.search(name) is not None
