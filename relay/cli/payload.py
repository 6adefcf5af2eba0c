"""Reads the body (a file or stdin) and the headers that a command sends."""

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
        # The name was decoded as UTF-8. If the file system's encoding differs, it needs the original bytes.
        return Path(os.fsdecode(name.encode("utf-8", "surrogateescape"))).read_bytes()
    except OSError as error:
        raise RelayError(f"{name} cannot be read: {error.strerror}; name a file, or - for stdin") from None


def read_text(name: str) -> str:
    """The text of a file, or of stdin for `-`, as UTF-8 in every locale. Raises RelayError when it cannot be read."""
    try:
        return read_payload(name).decode()
    except UnicodeDecodeError:
        raise RelayError(f"{name} is not UTF-8 text; save it as UTF-8") from None


def read_headers(lines: Sequence[str] | None) -> dict[str, str]:
    """Headers from `Name: value` lines, with lower-case names. Raises RelayError for other lines."""
    return dict(read_header_lines(lines))


def read_header_lines(lines: Sequence[str] | None) -> list[tuple[str, str]]:
    """Headers from `Name: value` lines, in order and with repeated names. Raises RelayError for other lines."""
    headers = []
    for line in lines or ():
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not line.isprintable():
            raise RelayError(f"--header {name.strip()!r} is not a header; write 'Name: value'")
        headers.append((name.strip().lower(), value.strip()))
    return headers


def guess_type(name: str, body: bytes) -> str:
    """The content type of a payload, from the suffix of its name or from its first character."""
    by_suffix = {".json": _JSON, ".xml": _XML, ".form": _FORM, ".ndjson": "application/x-ndjson"}
    if Path(name).suffix in by_suffix:
        return by_suffix[Path(name).suffix]
    first = body.lstrip()[:1]
    return _XML if first == b"<" else _JSON if first in {b"{", b"[", b""} else _FORM
