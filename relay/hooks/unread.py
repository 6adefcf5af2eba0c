"""Requests that the server cannot read: what of the head is wrong, told without anything that may be a secret.

A value never leaves here, and a name only where it is one (RFC 9110, 5.1).
"""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

LINE: Final = 8_190
"""Bytes of a header's value, and of the request line, that aiohttp reads."""
COUNT: Final = 128
"""Headers that aiohttp reads."""

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_START: Final = re.compile(rb"[A-Z]{1,20} +([^ \r\n]+)")
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_UNREADABLE: Final = "this request cannot be read"
_OTHERWISE: Final = (
    "what came is no HTTP/1.1: something else than a sender of webhooks calls, or a proxy breaks requests"
)
_SHORTEN: Final = "have the proxy or the sender that adds it leave it out or send less"


@dataclass(frozen=True, slots=True)
class Unread:
    """Why a request was not read. `what` is for its sender, `hint` for the operator; `path` is without its query."""

    what: str
    hint: str
    path: str
    status: int = 400


def judge(head: bytes) -> Unread:
    """What is wrong with a head, as far as it came, of which the server did not read on."""
    lines = re.split(rb"\r?\n", head.partition(b"\r\n\r\n")[0])
    what, hint = _judge(lines)
    return Unread(what, hint, _path(lines[0]))


def judge_size(head: bytes, most: int) -> Unread:
    """A head of more than `most` bytes in all."""
    lines = re.split(rb"\r?\n", head)
    named = [(len(value), name) for name, value in map(_part, lines[1:]) if name]
    size, name = max(named, default=(0, ""))
    largest = f"; the largest is {name}, with {size} bytes so far" if name else ""
    hint = f"at most {most} bytes are read{largest}: {_SHORTEN}"
    return Unread(f"the headers of this request are larger than {most} bytes{largest}", hint, _path(lines[0]), 431)


def _judge(lines: list[bytes]) -> tuple[str, str]:
    if len(lines[0]) > LINE:
        told = f"the first line of this request has more than {LINE} bytes"
        return told, f"{told}: have the sender put less into the address"
    if len(lines) - 1 > COUNT:
        told = f"this request has more than {COUNT} headers"
        return told, f"{told}: have the proxy or the sender send fewer"
    for name, value in map(_part, lines[1:]):
        if name and len(value) > LINE:
            told = f"the header {name} has more than the {LINE} bytes that are read"
            return told, f"{told}: {_SHORTEN}"
        if name and _CONTROL.search(value):
            told = f"the header {name} holds a control character"
            return told, f"{told}, as a secret does that was copied with its line break: have the sender mend it"
    return _UNREADABLE, _OTHERWISE


def _part(line: bytes) -> tuple[str, bytes]:
    """A header's name, empty where it is none, and its value."""
    name, colon, value = line.partition(b":")
    return (name.decode("ascii") if colon and _NAME.fullmatch(name) else ""), value.strip(b" \t")


def _path(line: bytes) -> str:
    start = _START.match(line[: LINE + 32])
    return unquote(start[1].partition(b"?")[0].decode("ascii", "replace")) if start else ""
