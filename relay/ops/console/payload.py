"""Shows JSON as text that is indented, safe and bounded, with the values marked that rules used."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup, escape

from relay.mask import Steps, parse_path
from relay.visible import visible, visible_json

MOST: Final = 64 << 10
"""Characters of one body on a page; the whole has an address of its own."""
_DEEPEST: Final = 100
_PATH: Final = re.compile(r"\bdata(?:\.[A-Za-z_][\w-]*|\[[0-9]{1,6}\]|\['[^'\n]{1,200}'\]|\[\"[^\"\n]{1,200}\"\])+")


@dataclass(frozen=True, slots=True)
class ShownPayload:
    """A body as markup. `cut` says that it is not the whole."""

    markup: Markup
    cut: bool


class _Full(Exception):
    """The page has enough of it."""


def show_json(value: Any, used: frozenset[Steps] = frozenset()) -> ShownPayload:
    """A JSON value. `used` are the places that are marked, each by its steps."""
    pen = _Pen()
    try:
        _write(pen, value, (), used)
    except _Full:
        return ShownPayload(Markup("").join(pen.parts), cut=True)
    return ShownPayload(Markup("").join(pen.parts), cut=False)


def show_text(text: str) -> ShownPayload:
    """A body that is not JSON."""
    shown = visible(text[:MOST])
    return ShownPayload(Markup("<bdi>{}</bdi>").format(shown[:MOST]), len(text) > MOST or len(shown) > MOST)


def find_used(data: Any, named: Iterable[str], texts: Iterable[str]) -> frozenset[Steps]:
    """The places in `data` that are `named`, or that stand in the `texts` of rules."""
    written = [*named, *(match[0] for text in texts for match in _PATH.finditer(text))]
    return frozenset(steps for path in written if (steps := _locate(data, path)))


def _locate(data: Any, path: str) -> Steps | None:
    """The longest part of a path that is there: what follows may be a method of the value."""
    try:
        root, *steps = parse_path(path)
    except ValueError:
        return None
    if root != "data":
        return None
    found: list[str] = []
    for step in steps:
        if isinstance(data, Mapping) and step in data:
            data = data[step]
        elif isinstance(data, list) and step.isdecimal() and int(step) < len(data):
            data = data[int(step)]
        else:
            break
        found.append(step)
    return tuple(found) or None


class _Pen:
    def __init__(self) -> None:
        self.parts: list[Markup] = []
        self._left = MOST

    def write(self, text: str, form: str = "{}") -> None:
        self.parts.append(Markup(form).format(escape(text[: self._left])))  # noqa: S704 - forms are ours
        self._left -= len(text)
        if self._left <= 0:
            raise _Full


def _write(pen: _Pen, value: Any, at: Steps, used: frozenset[Steps]) -> None:
    if len(at) > _DEEPEST:
        raise _Full
    if isinstance(value, Mapping) and value:
        _write_all(pen, "{}", [(str(key), each) for key, each in value.items()], at, used, keyed=True)
    elif isinstance(value, list) and value:
        _write_all(pen, "[]", [(str(number), each) for number, each in enumerate(value)], at, used, keyed=False)
    else:
        pen.write(_text(value), "<mark><bdi>{}</bdi></mark>" if at in used else "<bdi>{}</bdi>")


def _write_all(
    pen: _Pen, brackets: str, items: list[tuple[str, Any]], at: Steps, used: frozenset[Steps], *, keyed: bool
) -> None:
    indent = "  " * (len(at) + 1)
    pen.write(brackets[0])
    for number, (key, value) in enumerate(items):
        pen.write(f"{',' if number else ''}\n{indent}")
        if keyed:
            pen.write(_text(key), '<span class="key"><bdi>{}</bdi></span>')
            pen.write(": ")
        _write(pen, value, (*at, key), used)
    pen.write(f"\n{indent[2:]}{brackets[1]}")


def _text(value: Any) -> str:
    return visible_json(json.dumps(value, ensure_ascii=False))
