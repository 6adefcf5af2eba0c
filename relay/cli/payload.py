"""Reads what a command is given to send: a file or stdin, and headers."""

import sys
from collections.abc import Sequence
from pathlib import Path

from relay.errors import RelayError


def read_payload(name: str) -> bytes:
    """The bytes of a file, or of stdin for `-`. Raises RelayError when it cannot be read."""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise RelayError(f"{name} cannot be read: {error.strerror}; name a file, or - for stdin") from None


def read_headers(given: Sequence[str] | None) -> dict[str, str]:
    """`Name: value` pairs with lower-case names. Raises RelayError for what is none."""
    headers = {}
    for line in given or ():
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not line.isprintable():
            raise RelayError(f"--header {name.strip()!r} is no header; write 'Name: value'")
        headers[name.strip().lower()] = value.strip()
    return headers
