"""How deep JSON nests: `1` not at all, `[]` one deep, `[[]]` two.

It is counted before anything recurses. Where the interpreter would give up by itself differs: Python 3.11 at about
1,000 calls, 3.12 and later in C code only when the stack of the platform ends.
"""

import json
import re
from typing import Any, Final

BODY: Final = 200
"""The most for what strangers send: bodies, JSON inside of their texts, headers of messages."""

OWN: Final = 400
"""The most for what Relay writes: a stranger's body, or several in one another, inside of what operators wrote."""

ANSWER: Final = 500
"""The most for an answer of Cargo, which holds what Relay wrote inside of objects of its own."""

_MARK: Final = re.compile(r"[\[\]{}]")
_PIECE: Final = 64 << 10
_HOLDERS: Final = (dict, list, tuple)
_STEP: Final = {"[": 1, "{": 1, "]": -1, "}": -1}


class TooDeep(ValueError):
    """A text or a value nests deeper than it may."""

    def __init__(self) -> None:
        super().__init__("it nests too deeply")


def load(raw: bytes | str, most: int) -> Any:
    """As `json.loads`, of what nests at most `most` deep. Raises ValueError, TooDeep among them."""
    text = raw if isinstance(raw, str) else raw.decode(json.detect_encoding(raw), "surrogatepass")
    if text_exceeds(text, most):
        raise TooDeep
    return json.loads(text)


def text_exceeds(text: str, most: int) -> bool:
    """Whether a JSON text nests deeper than `most`; of one that is broken, whether it does before it breaks.

    Two looks for a character each are all that a text costs with no more brackets than `most`, as nearly all have.
    """
    if text.count("[") + text.count("{") <= most:
        return False
    depth = 0
    bare = without_strings(text)
    for start in range(0, len(bare), _PIECE):  # piece by piece: other threads have their turn in between
        for mark in _MARK.findall(bare[start : start + _PIECE]):
            depth += _STEP[mark]
            if depth > most:
                return True
    return False


def value_exceeds(value: Any, most: int) -> bool:
    """Whether a value nests deeper than `most`. Only what JSON has is looked into, so no iterator is used up."""
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
    """What stands between the strings of a JSON text: every other piece, once no quote is left that is part of one."""
    if "\\" in text:
        text = text.replace("\\\\", "").replace('\\"', "")  # in this order: the quote of `\\"` ends its string
    return "".join(text.split('"')[::2])
