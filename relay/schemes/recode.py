"""JSON as other libraries would have written it, by its text alone: nothing is parsed, so it costs next to nothing."""

import re
from collections.abc import Iterator
from typing import Final

LARGEST: Final = 16 << 10
"""Bytes of the largest body that is written otherwise."""
_MOST_STRINGS: Final = 1_000
_MOST_ESCAPES: Final = 2_000
_MOST_LETTERS: Final = 4_000
_STRING: Final = re.compile(r'("(?:[^"\\]|\\.)*")', re.DOTALL)
_SPACE: Final = re.compile(r"[ \t\r\n]+")
_ESCAPE: Final = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|\\.", re.DOTALL)
_LETTER: Final = re.compile(r"[^\x00-\x7e]")
_SHORT: Final = {'"': r"\"", "\\": r"\\", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t"}


def recode(body: bytes) -> Iterator[tuple[bytes, str]]:
    """The body compact and with blanks, each with its letters as they are and escaped, and what that is called.

    None of them for what is no JSON by its first character, is larger than 16 KiB, or has more than 1,000 strings,
    2,000 escapes or 4,000 letters that are not ASCII.
    """
    if len(body) > LARGEST or body.lstrip()[:1] not in {b"{", b"["}:
        return
    if body.count(b'"') > 2 * _MOST_STRINGS or body.count(b"\\") > _MOST_ESCAPES:
        return
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return
    if not text.isascii() and len(_LETTER.findall(text)) > _MOST_LETTERS:
        return
    pieces = _STRING.split(text)
    between = [_SPACE.sub("", piece) for piece in pieces[::2]]
    strings = [_spell_out(piece) for piece in pieces[1::2]]
    for escaped in (False, True):
        written = [_LETTER.sub(_escape, piece) for piece in strings] if escaped else strings
        for form, marks in (("compact", between), ("spaced", [_space(piece) for piece in between])):
            told = f"as {form} JSON with its letters escaped" if escaped else f"as {form} JSON"
            woven = [part for pair in zip(marks, [*written, ""], strict=True) for part in pair]
            yield "".join(woven).encode("utf-8", "surrogatepass"), told


def _space(piece: str) -> str:
    return piece.replace(",", ", ").replace(":", ": ")


def _spell_out(string: str) -> str:
    """The string with its letters as they are; what must be escaped stays so."""
    return _ESCAPE.sub(_letters, string) if "\\" in string else string


def _letters(match: re.Match[str]) -> str:
    shown = match[0]
    if not shown.startswith(r"\u"):
        return "/" if shown == r"\/" else shown
    units = [int(code, 16) for code in shown.split(r"\u")[1:]]
    text = b"".join(unit.to_bytes(2, "big") for unit in units).decode("utf-16-be", "surrogatepass")
    return "".join(_spell(letter) for letter in text)


def _spell(letter: str) -> str:
    if letter in _SHORT:
        return _SHORT[letter]
    return letter if letter >= " " and not "\ud800" <= letter <= "\udfff" else f"\\u{ord(letter):04x}"


def _escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{int.from_bytes(units[at : at + 2], 'big'):04x}" for at in range(0, len(units), 2))
