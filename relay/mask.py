"""Masks the values at the hidden paths of an event (`hide` of its source) in every text that belongs to the event.

A hidden value is found in a text in any case, and as JSON, HTML and URLs escape it. What a template computes of it, as
a hash or a part, is another value and is not found.
"""

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, quote_plus

MASK: Final = "***"
"""What stands in place of a hidden value."""

Steps = tuple[str, ...]

_PATH: Final = re.compile(r"(data|headers)((?:\.[^.\[\]\s'\"]+|\[(?:[0-9]+|'[^']+'|\"[^\"]+\")\])*)")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[([0-9]+)\]|\['([^']+)'\]|\[\"([^\"]+)\"\]")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_SHORT: Final = 4
"""A value with fewer characters occurs by chance: a text that has it is masked as a whole."""
_MOST_WORK: Final = 20_000_000
"""Characters to compare for one event, some 50 ms. What is left after that is masked as a whole."""
_EACH: Final = 50
"""What a comparison costs beside its characters, in characters."""


@lru_cache(maxsize=1_024)
def parse_path(path: str) -> Steps:
    """A path as `data.customer.email`, `data.rows[0]` or `headers['x-user']`, step by step. Raises ValueError."""
    match = _PATH.fullmatch(path.strip())
    if match is None:
        raise ValueError("is not a path of what comes in: write one, as data.customer.email or headers['x-user']")
    steps = tuple(next(filter(None, found)) for found in _STEP.findall(match[2]))
    return (match[1], *(step.lower() for step in steps)) if match[1] == "headers" else (match[1], *steps)


class Mask:
    """What is hidden of one event: `paths`, and the values that `data` and `headers` have there."""

    def __init__(self, paths: Iterable[str], data: Any, headers: Mapping[str, str]) -> None:
        self._steps = [parse_path(path) for path in paths]
        document = {"data": data, "headers": dict(headers)}
        leaves = {leaf for steps in self._steps for value in _find(document, steps) for leaf in _leaves(value)}
        self._needles = sorted({_fold(form) for leaf in leaves for form in _forms(leaf)} - {""})
        self._work = _MOST_WORK

    def text(self, text: str) -> str:
        """The text with `***` in place of the values; as a whole where one of them is short."""
        self._work -= len(self._needles) * (len(text) + _EACH)
        if self._work < 0:
            return MASK
        folded = _fold(text)
        found = [needle for needle in self._needles if needle in folded]
        if not found:
            return text
        if any(len(needle) < _SHORT for needle in found):
            return MASK
        masked = _cut(text, folded, found)
        rest = _fold(masked)
        return MASK if any(needle in rest and needle not in MASK for needle in self._needles) else masked

    def optional(self, text: str | None) -> str | None:
        """The same for a text that may be missing."""
        return None if text is None else self.text(text)

    def value(self, value: Any) -> Any:
        """A JSON value with every text, key, number and truth value in it masked."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        if value is None:
            return None
        written = _write(value)
        return value if self.text(written) == written else MASK

    def data(self, data: Any) -> Any:
        """The event's data: masked at the paths, whatever is there, and wherever else the values are."""
        return self.value(_cover(data, [steps[1:] for steps in self._steps if steps[0] == "data"]))

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The event's headers, in the same way."""
        covered = _cover(dict(headers), [steps[1:] for steps in self._steps if steps[0] == "headers"])
        return {name: self.text(value) for name, value in covered.items()} if isinstance(covered, Mapping) else {}


class Blind(Mask):
    """Masks everything: for an event whose data cannot be read, so that nobody knows what its hidden values are."""

    def __init__(self) -> None:
        super().__init__((), None, {})

    def text(self, text: str) -> str:  # noqa: ARG002 - whatever it is
        return MASK

    def data(self, data: Any) -> Any:
        return None if data is None else MASK

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        return dict.fromkeys(headers, MASK)


def _find(value: Any, steps: Sequence[str]) -> Iterator[Any]:
    """What is at a path. A name goes into each item of a list, a number into one."""
    if not steps:
        yield value
    elif isinstance(value, Mapping):
        if steps[0] in value:
            yield from _find(value[steps[0]], steps[1:])
    elif isinstance(value, list):
        for item in _items(value, steps[0]):
            yield from _find(item, steps[1:] if steps[0].isdecimal() else steps)


def _items(items: list[Any], step: str) -> list[Any]:
    return items[int(step) : int(step) + 1] if step.isdecimal() else items


def _cover(value: Any, paths: Sequence[Sequence[str]]) -> Any:
    """A copy with `***` at each of the paths that is there."""
    if not paths:
        return value
    if not all(paths):
        return MASK
    if isinstance(value, Mapping):
        return {key: _cover(item, [steps[1:] for steps in paths if steps[0] == key]) for key, item in value.items()}
    if isinstance(value, list):
        return [_cover(item, [*_into(number, paths)]) for number, item in enumerate(value)]
    return value


def _into(number: int, paths: Sequence[Sequence[str]]) -> Iterator[Sequence[str]]:
    """The paths as they go on in one item of a list."""
    for steps in paths:
        if not steps[0].isdecimal():
            yield steps
        elif int(steps[0]) == number:
            yield steps[1:]


def _leaves(value: Any) -> Iterator[Any]:
    """The values of which something is made, and keys that are no mere names."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if _NAME.fullmatch(str(key)) is None:
                yield str(key)
            yield from _leaves(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    elif isinstance(value, bool):  # either value tells of the other
        yield from ("true", "false")
    elif value is not None:
        yield value if isinstance(value, str) else _write(value)
        if isinstance(value, float) and value.is_integer():
            yield str(int(value))


def _write(value: Any) -> str:
    return str(value) if isinstance(value, bool) else json.dumps(value)


def _forms(leaf: str) -> Iterator[str]:
    """How a value may be written in a text; case does not matter, but where it changes the length."""
    for form in (leaf.strip(), " ".join(leaf.split())):
        for text in (form, form.upper(), form.lower(), form.casefold()):
            yield text
            yield json.dumps(text)[1:-1]
            yield json.dumps(text, ensure_ascii=False)[1:-1]
            yield html.escape(text)
            yield (
                text.replace("&", "&amp;")
                .replace("<", "&lt;")
                .replace(">", "&gt;")
                .replace('"', "&#34;")
                .replace("'", "&#39;")
            )
            yield from (quote(text, safe="", errors="replace"), quote(text, errors="replace"))
            yield quote_plus(text, errors="replace")


def _fold(text: str) -> str:
    """The text without case, of the same length."""
    return text.lower() if text.isascii() else "".join(map(_fold_one, text))


@lru_cache(maxsize=4_096)
def _fold_one(char: str) -> str:
    return next((folded for folded in (char.casefold(), char.lower()) if len(folded) == 1), char)


def _cut(text: str, folded: str, needles: Iterable[str]) -> str:
    """The text with one mask for each stretch that the needles cover, which may overlap."""
    covered = bytearray(len(text))
    for needle in needles:
        place = folded.find(needle)
        while place >= 0:
            covered[place : place + len(needle)] = b"\1" * len(needle)
            place = folded.find(needle, place + 1)
    pieces, place = [], 0
    for stretch in re.finditer(b"\1+", covered):
        pieces += [text[place : stretch.start()], MASK]
        place = stretch.end()
    return "".join([*pieces, text[place:]])
