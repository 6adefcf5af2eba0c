"""Describes malformed requests without revealing anything that may be a secret.

It never repeats the value of a header, and repeats a name only if it is valid (RFC 9110, 5.1).
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

LINE: Final = 8_190
"""aiohttp's limit for the bytes of a header's value and of the request line."""
COUNT: Final = 128
"""aiohttp's limit for the number of headers."""

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_START: Final = re.compile(rb"[A-Z]{1,20} +([^ \r\n]+)")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_UNREADABLE: Final = "this request cannot be read"
_OTHERWISE: Final = "this is not HTTP/1.1: the client is not a sender of webhooks, or a proxy corrupts requests"
_SHORTEN: Final = "configure the proxy or the sender that adds it to send less"


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a request was not read. `what` is for the sender, `hint` for the operator. `path` is without the query."""

    what: str
    hint: str
    path: str
    status: int = 400


def judge(head: bytes) -> Unread:
    """Describe what is wrong with a head, which may be incomplete."""
    lines = re.split(rb"\r?\n", head.partition(b"\r\n\r\n")[0])
    what, hint = _judge(lines)
    return Unread(what, hint, _path(lines[0]))


def judge_size(head: bytes, most: int) -> Unread:
    """Describe a head of more than `most` bytes."""
    lines = re.split(rb"\r?\n", head)
    sizes = [(len(value), name) for name, value in map(_part, lines[1:]) if name]
    size, name = max(sizes, default=(0, ""))
    largest = f"; the largest is {name}, with {size} bytes so far" if name else ""
    hint = f"at most {most} bytes are read{largest}: {_SHORTEN}"
    return Unread(f"the headers of this request are larger than {most} bytes{largest}", hint, _path(lines[0]), 431)


def _judge(lines: list[bytes]) -> tuple[str, str]:
    if len(lines[0]) > LINE:
        what = f"the first line of this request has more than {LINE} bytes"
        return what, f"{what}: configure the sender to use a shorter URL"
    if len(lines) - 1 > COUNT:
        what = f"this request has more than {COUNT} headers"
        return what, f"{what}: configure the proxy or the sender to send fewer"
    for name, value in map(_part, lines[1:]):
        if name and len(value) > LINE:
            what = f"the header {name} has more than the {LINE} bytes that are read"
            return what, f"{what}: {_SHORTEN}"
        if name and _CONTROL.search(value):
            what = f"the header {name} contains a control character"
            return what, f"{what}, for example a secret that was copied with its line break: correct it at the sender"
    return _UNREADABLE, _OTHERWISE


def _part(line: bytes) -> tuple[str, bytes]:
    """The name of a header, empty when it is not valid, and its value."""
    name, colon, value = line.partition(b":")
    return (name.decode("ascii") if colon and _NAME.fullmatch(name) else ""), value.strip(b" \t")


def _path(line: bytes) -> str:
    start = _START.match(line[: LINE + 32])
    return unquote(start[1].partition(b"?")[0].decode("ascii", "replace")) if start else ""
