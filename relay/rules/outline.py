"""The outline of a text: what stays when constants that no check looks at are made equal.

A survey parses and compiles a text, which takes a millisecond, and ten thousand rules differ in little but constants:
`data.team == "sales" and data.amount > 5`. Texts of one outline have the same faults, or none.
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

_TEXT: Final = r"""(?:"[^"\\\n]*"|'[^'\\\n]*')"""
_NUMBER: Final = r"(?:(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?)"
_CONSTANT: Final = rf"(?:{_TEXT}|{_NUMBER})"
_END: Final = r"(?=\s*(?:$|-?\}\}|\)|(?:and|or)\b))"
"""Behind a constant stands nothing that would look at it, as a filter does."""
_PART: Final = re.compile(
    rf"(?P<compared>[=!]=|[<>]=?)(?P<gap>\s*)(?:(?P<text>{_TEXT})|{_NUMBER}){_END}"
    rf"|(?<![\w.])in\s+\[\s*{_CONSTANT}(?:\s*,\s*{_CONSTANT})*\s*\]{_END}"
    rf"|(?P<member>{_TEXT})(?=\s+(?:not\s+)?in\s+data\b)"
    rf"|{_TEXT}"
    r"|(?<![\w.])data(?P<steps>(?:\.[A-Za-z_][A-Za-z0-9_]*)+)(?![\w.])"
)
_STEP: Final = re.compile(r"\.\w+")
_CODE: Final = re.compile(r"((?<!\{)\{\{[^{}]*\}\}|(?<!\{)\{%[^{}%]*%\})")
_HOLE: Final = re.compile(r"(?<!\{)\{\{[^{}]*\}\}")


@lru_cache(maxsize=8_192)
def outline(text: str) -> str:
    """The outline of an expression, or of a template that is one."""
    return _PART.sub(_level, text)


def expressions(text: str) -> list[str] | None:
    """A template's expressions with their braces; None where it is more than they and words."""
    found = _HOLE.findall(text)
    return None if "{%" in text or "{#" in text or "\r" in text or text.count("{{") != len(found) else found


def holes(text: str) -> Iterator[tuple[int, str]] | None:
    """The outlines of a template's expressions, each with its line; None where it is more than they and words."""
    if expressions(text) is None:
        return None
    return ((text.count("\n", 0, hole.start()) + 1, outline(hole[0])) for hole in _HOLE.finditer(text))


def skeleton(text: str) -> str:
    """The outline of a template with statements: of what it says in between only the lines stay."""
    if "{#" in text or "raw" in text or "\r" in text or "{{" in (rest := _CODE.sub("", text)) or "{%" in rest:
        return text
    return "".join(
        outline(piece) if number % 2 else "x" + "\n" * piece.count("\n")
        for number, piece in enumerate(_CODE.split(text))
    )


def _level(part: re.Match[str]) -> str:
    if part["compared"]:
        return part["compared"] + part["gap"] + ("''" if part["text"] else "0")
    if part["member"]:
        return "''"
    if part["steps"]:
        return "data" + _STEP.sub(".a", part["steps"])
    return part[0] if part[0][0] in "\"'" else f"in [0]{chr(10) * part[0].count(chr(10))}"
