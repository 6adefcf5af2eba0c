"""What is kept of a request's headers: no credentials, nothing that a database cannot hold, within bounds."""

import re
from functools import lru_cache
from typing import Final

from relay.schemes import Headers

_MOST: Final = 64
_SPACE: Final = 8 << 10
_CREDENTIAL: Final = re.compile(r"authorization|cookie|token|secret|signature|password|passwd|credential|api-?key")


def keep(headers: Headers, secret: frozenset[str]) -> dict[str, str]:
    """Lower-case names with their values, repeats joined by a comma; at most 64 of them and 8 KiB.

    `secret` are the names that the scheme knows to be credentials; names that speak of one are left out as well.
    """
    kept: dict[str, str] = {}
    space = _SPACE
    for name, values in headers.items():
        if name in secret or _speaks(name):
            continue
        value = clean(values[0] if len(values) == 1 else ", ".join(values))
        space -= len(name) + len(value)
        if space < 0 or len(kept) == _MOST:
            break
        kept[clean(name)] = value
    return kept


def clean(text: str) -> str:
    """The text without NUL, and with a mark for each byte that is no UTF-8."""
    if text.isascii():
        return text.replace("\0", "") if "\0" in text else text
    whole = text.encode("utf-8", "surrogateescape") if _escaped(text) else text.encode("utf-8", "replace")
    return whole.decode("utf-8", "replace").replace("\0", "")


def _escaped(text: str) -> bool:
    """Whether every surrogate in it stands for a byte, as servers decode headers."""
    return all("\udc80" <= character <= "\udcff" for character in text if "\ud800" <= character <= "\udfff")


@lru_cache(maxsize=1024)
def _speaks(name: str) -> bool:
    return _CREDENTIAL.search(name) is not None
