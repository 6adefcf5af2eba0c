"""Limits the nesting of JSON: `1` has depth 0, `[]` 1, `[[]]` 2.

The depth is checked before anything recurses, because the interpreter's own limit differs: Python 3.11 stops at about
1,000 calls, and C code in 3.12 and later only at the end of the platform's stack.
"""

import json
import re
from typing import Any, Final

BODY: Final = 200
"""The limit for input: bodies, JSON in texts of bodies, headers of messages."""

OWN: Final = 400
"""The limit for what Relay writes: bodies, which may be nested in each other, inside the operators' templates."""

ANSWER: Final = 500
"""The limit for responses of Cargo, which contain what Relay wrote inside Cargo's own objects."""

_MARK: Final = re.compile(r"[\[\]{}]")
_PIECE: Final = 64 << 10
_HOLDERS: Final = (dict, list, tuple)
_STEP: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


class TooDeep(ValueError):
    """A text or value is nested too deeply."""

    def __init__(self) -> None:
        super().__init__("it nests too deeply")


def load(raw: bytes | str, most: int) -> Any:
    """Like `json.loads`, for JSON with a depth of at most `most`. Raises ValueError, or its subclass TooDeep."""
    text = raw if isinstance(raw, str) else raw.decode(json.detect_encoding(raw), "surrogatepass")
    if text_exceeds(text, most):
        raise TooDeep
    return json.loads(text)


def text_exceeds(text: str, most: int) -> bool:
    """Whether a JSON text is nested deeper than `most`. For malformed text, whether it is before its error.

    A text with at most `most` opening brackets, as nearly all texts are, costs only two counts of a character.
    """
    if text.count("[") + text.count("{") <= most:
        return False
    depth = 0
    bare = without_strings(text)
    for start in range(0, len(bare), _PIECE):  # in pieces, so that other threads can run in between
        for mark in _MARK.findall(bare[start : start + _PIECE]):
            depth += _STEP[mark]
            if depth > most:
                return True
    return False


def value_exceeds(value: Any, most: int) -> bool:
    """Whether a value is nested deeper than `most`. It only looks into JSON types, so it does not consume iterators."""
    level = [value] if isinstance(value, _HOLDERS) else []
    for _ in range(most):
        if not level:
            return False
        level = [
            item
            for holder in level
            for item in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(item, _HOLDERS)
        ]
    return bool(level)


def without_strings(text: str) -> str:
    """The text between the strings of a JSON text: every other piece, after removing escaped quotes."""
    if "\\" in text:
        text = text.replace("\\\\", "").replace('\\"', "")  # in this order, because the quote in `\\"` ends its string
    return "".join(text.split('"')[::2])
