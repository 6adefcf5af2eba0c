"""Operators' patterns by RE2, whose time grows with the text and never faster, whatever a stranger writes into it.

RE2 has no lookaround and no backreference; its `\\d`, `\\w`, `\\s` and `\\b` know ASCII,
`\\pL` is a letter of any script.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import re2

LONGEST: Final = 256 << 10
"""The most characters of a text that a pattern is tried on."""

_KEPT: Final = 256
_MEMORY: Final = 8 << 20
_PATTERN: Final = 4_096
_MATCH: Final = 256
_LOOKED_AT: Final = 16
_ABSENT: Final = ("(?=", "(?!", "(?<=", "(?<!", "(?>", "(?(", "(?P=")


@lru_cache(maxsize=_KEPT)
def compile_pattern(pattern: str) -> Any:
    """A pattern, compiled. Raises ValueError that says what RE2 does not take."""
    if len(pattern) > _PATTERN:
        raise ValueError(f"the pattern has {len(pattern)} characters; at most {_PATTERN}")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ValueError(f"the pattern is wrong: {_told(error)}{_instead(pattern)}") from None
    except UnicodeEncodeError:
        raise ValueError("the pattern is wrong: it holds half of a surrogate pair, which is not a character") from None


def search(pattern: str, text: str) -> Any:
    """The first match, None without one. Raises ValueError for a wrong pattern and for a text that is too long."""
    return compile_pattern(pattern).search(_sound(text))


def replace(pattern: str, by: str, text: str, spend: Callable[[int], None]) -> str:
    r"""The text with every match replaced; `\1` and `\g<name>` in `by` are groups. Raises ValueError as `search`.

    To find one match RE2 may look at the rest of the text, so `spend` is told of that, and of the match, for each.
    """
    compiled, text = compile_pattern(pattern), _sound(text)
    if len(by) > _PATTERN:
        raise ValueError(f"what replaces a match has {len(by)} characters; at most {_PATTERN}")
    pieces, end = [], 0
    for match in compiled.finditer(text):
        piece = match.expand(by) if "\\" in by else by
        spend(_MATCH + len(piece) + (len(text) - end) // _LOOKED_AT)
        pieces += [text[end : match.start()], piece]
        end = match.end()
    return "".join([*pieces, text[end:]])


def _sound(text: str) -> str:
    if len(text) > LONGEST:
        raise ValueError(
            f"a pattern is tried on at most {LONGEST} characters, here are {len(text)}: | truncate the text first"
        )
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("the text holds half of a surrogate pair, which is not a character") from None
    return text


def _told(error: Exception) -> str:
    told = error.args[0] if error.args else error
    return told.decode(errors="replace") if isinstance(told, bytes) else str(told)


def _instead(pattern: str) -> str:
    if any(mark in pattern for mark in _ABSENT) or any(f"\\{digit}" in pattern for digit in range(1, 10)):
        return "; RE2 has no lookaround and no backreference: match more, and take the part that you want as a group"
    if "\\Z" in pattern:
        return "; the end of the text is \\z"
    return ""
