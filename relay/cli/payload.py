"""Reads what a command is given to send: a file or stdin, and headers."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from relay.errors import RelayError

_JSON: Final = "application/json"
_XML: Final = "text/xml; charset=utf-8"
_FORM: Final = "application/x-www-form-urlencoded"


def read_payload(name: str) -> bytes:
    """The bytes of a file, or of stdin for `-`. Raises RelayError when it cannot be read."""
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        # The name was read as UTF-8; the system's own encoding, if it is another one, wants it as the bytes it was.
        return Path(os.fsdecode(name.encode("utf-8", "surrogateescape"))).read_bytes()
    except OSError as error:
        raise RelayError(f"{name} cannot be read: {error.strerror}; name a file, or - for stdin") from None


def read_text(name: str) -> str:
    """The same as text, which is UTF-8 whatever the locale."""
    try:
        return read_payload(name).decode()
    except UnicodeDecodeError:
        raise RelayError(f"{name} is not text in UTF-8; name another file") from None


def read_headers(given: Sequence[str] | None) -> dict[str, str]:
    """`Name: value` pairs with lower-case names. Raises RelayError for what is none."""
    return dict(read_header_lines(given))


def read_header_lines(given: Sequence[str] | None) -> list[tuple[str, str]]:
    """The same in order, repeated names too. Raises RelayError for what is none."""
    headers = []
    for line in given or ():
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not line.isprintable():
            raise RelayError(f"--header {name.strip()!r} is not a header; write 'Name: value'")
        headers.append((name.strip().lower(), value.strip()))
    return headers


def guess_type(name: str, body: bytes) -> str:
    """The content type of a payload: by the ending of its name, else by how it begins."""
    known = {".json": _JSON, ".xml": _XML, ".form": _FORM, ".ndjson": "application/x-ndjson"}
    if Path(name).suffix in known:
        return known[Path(name).suffix]
    begin = body.lstrip()[:1]
    return _XML if begin == b"<" else _JSON if begin in {b"{", b"[", b""} else _FORM
