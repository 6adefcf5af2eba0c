"""Makes untrusted text safe to show, by escaping characters that are not visible.

Terminals obey C0 and C1 controls, bidi controls change the visible order, zero-width characters are hidden, and lone
surrogates cannot be encoded.
"""

import re
from typing import Final
from unicodedata import category

_RARE: Final = re.compile(r"[^ -~]")
"""What is looked at one by one: every line of the log comes through here."""
_STYLE: Final = re.compile(r"(\x1b\[[0-9;]*m)")


def visible(text: str, keep: str = "\n\t") -> str:
    r"""The text with controls, formats and separators as `\x1b`, `\u202e`, `\U000e0001`, except those in `keep`.

    Spaces of all widths stay. With `keep=""` the result is one line, in which a line break is `\n`.
    """
    return _RARE.sub(lambda found: found[0] if _shows(found[0]) or found[0] in keep else _escape(found[0]), text)


def visible_styled(text: str) -> str:
    """Like `visible`, but keeps the escape sequences of Relay's own colours and weights on a terminal."""
    return "".join(part if at % 2 else visible(part) for at, part in enumerate(_STYLE.split(text)))


def visible_json(text: str) -> str:
    r"""A JSON text with the same value, in which the characters that `visible` escapes are `\u` escapes.

    Line breaks between its parts stay.
    """
    return _RARE.sub(
        lambda found: found[0] if _shows(found[0]) or found[0] in "\n\r\t" else _escape_json(found[0]), text
    )


def _shows(char: str) -> bool:
    return char.isprintable() or category(char) == "Zs"


def _escape(char: str) -> str:
    code = ord(char)
    if char in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x1_0000 else f"\\U{code:08x}"


def _escape_json(char: str) -> str:
    code = ord(char)
    if code < 0x1_0000:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x1_0000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
