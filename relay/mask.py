"""Masks the values at the hidden paths of an event (`hide` of its source) in every text that belongs to the event.

A hidden value is found in a text in any case, and as JSON, HTML and URLs escape it. Relay cuts what is long (labels,
errors, explanations) and may redact it: so a part of `_PART` characters is found too, a begin of `_HEAD` where a text
ends, and what stands beside a word of `redact`. What a template computes of a value, as a hash or a smaller part, is
another value and is not found.
"""

import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, quote_plus

from relay.effort import is_full, require

MASK: Final = "***"
"""What stands in place of a hidden value."""

Steps = tuple[str, ...]

_PATH: Final = re.compile(r"(data|headers)((?:\.[^.\[\]\s'\"]+|\[(?:[0-9]+|'[^']+'|\"[^\"]+\")\])*)")
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[([0-9]+)\]|\['([^']+)'\]|\[\"([^\"]+)\"\]")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.~-]*")
"""What JSON, HTML and URLs write as it is."""
_SHORT: Final = 4
"""A value with fewer characters occurs by chance: a text that has it is masked as a whole."""
_HEAD: Final = 8
"""Characters of a value that are looked for first: most texts have not even these."""
_PART: Final = 24
"""Characters of a value that tell of it. Fewer occur elsewhere, as the beginning of an address does."""
_BLOCK: Final = _PART // 2
"""Values are cut into blocks of this size to find their parts: each part has a whole one in it."""
_REDACTED: Final = re.compile(r"\[(?:email|phone|card|iban)\]")
"""What `redact` writes in place of personal data."""
_FENCE_END: Final = "\n<<< end of"  # of the fence around untrusted text, which may have cut it
_BESIDE: Final = (3, 8)
"""The least and the most characters beside such a word that tell that it stands in a hidden value."""

_MOST_WORK: Final = 60_000_000
"""What one event may cost, in characters to compare: 0.1 to 0.2 s. What is left after that is masked as a whole."""
_LIGHT: Final = 800_000
"""What of it is done on the event loop: 2 ms."""
_CALL: Final = 800
"""What a value that is looked at costs beside its characters, in characters to compare."""
_EACH: Final = 50
"""What a comparison costs beside its characters."""
_MATCH: Final = 300
"""What it costs to cover one occurrence, beside its characters."""
_JSON: Final = 10
"""What it costs to read and write one character of JSON."""
_FOLD: Final = (5, 60)
"""What it costs to fold a character, and where one of the text becomes longer by it."""
_SCAN: Final = 100
"""What it costs to look at one place of a text for a part of a value, and to cut a block of one."""
_FORMED: Final = 200
"""What it costs to write a character of a hidden value in all forms that a text may have it in."""
_FORMS: Final = 4_000
"""The same of a value, beside its characters."""
_SEARCH: Final = 4
"""What it costs, at most, to look for a value in a long text, for each character of both."""
_LONG: Final = ((2_500, 100), (30_000, 0))
"""Characters of texts and values from which on Python searches in a time that grows with their sum. Below, it may
compare each character of one with each of the other (CPython's fastsearch.h)."""


@lru_cache(maxsize=1_024)
def parse_path(path: str) -> Steps:
    """A path as `data.customer.email`, `data.rows[0]` or `headers['x-user']`, step by step. Raises ValueError."""
    match = _PATH.fullmatch(path.strip())
    if match is None:
        raise ValueError("is not a path of what comes in: write one, as data.customer.email or headers['x-user']")
    steps = tuple(next(filter(None, found)) for found in _STEP.findall(match[2]))
    return (match[1], *(step.lower() for step in steps)) if match[1] == "headers" else (match[1], *steps)


class _Spent(Exception):
    """The hidden values are too many to look for."""


class Mask:
    """What is hidden of one event: `paths`, and the values that `data` and `headers` have there.

    All that it does is counted. When it has done `_MOST_WORK`, it masks whatever it is given: how long it takes is up
    to whoever sent the event, and nobody else should wait for that. Raises `Heavy` where only light work is allowed.
    """

    def __init__(self, paths: Iterable[str], data: Any, headers: Mapping[str, str]) -> None:
        require((0, _LIGHT))
        self._left = _MOST_WORK if is_full() else _LIGHT
        self._steps = [parse_path(path) for path in paths]
        document = {"data": data, "headers": dict(headers)}
        needles: set[str] = set()
        with suppress(_Spent):
            found = (value for steps in self._steps for value in _find(document, steps, self._spend))
            for leaf in {leaf for value in found for leaf in _leaves(value, self._spend)}:
                self._spend(_cost_of_forms(leaf))
                needles.update(map(_fold, _forms(leaf)))
        self._needles: dict[str, list[str]] = {}
        """The hidden values as texts may have them, by how they begin."""
        for needle in needles - {""}:
            self._needles.setdefault(needle[:_HEAD], []).append(needle)
        self._blocks: dict[str, list[tuple[str, int]]] = {}
        """The blocks of the long ones, with the places where each stands."""
        with suppress(_Spent):
            for needle in [each for each in needles if len(each) >= _PART]:
                self._spend(_SCAN * len(needle) // _BLOCK)
                for place in range(0, len(needle) - _BLOCK + 1, _BLOCK):
                    self._blocks.setdefault(needle[place : place + _BLOCK], []).append((needle, place))
        self._together = "\0".join(needles)
        self._starred = [needle for needle in needles if "*" in needle and needle not in MASK]
        """Those that a mask and what stands beside it may make."""

    def _may(self, cost: int) -> bool:
        """Count work, and tell whether it may be done. After the first no there is no other answer."""
        self._left -= cost
        if self._left >= 0:
            return True
        require((_LIGHT - self._left, _LIGHT))
        return False

    def _spend(self, cost: int) -> None:
        if not self._may(cost):
            raise _Spent

    def text(self, text: str) -> str:
        """The text with `***` in place of the values and their parts; as a whole where one of the values is short."""
        try:
            return self._text(text)
        except _Spent:
            return MASK

    def _text(self, text: str) -> str:
        self._spend(_CALL + len(self._needles) * (len(text) + _EACH) + _cost_of_fold(text))
        folded = _fold(text)
        likely = [needle for head, group in self._needles.items() if head in folded for needle in group]
        self._spend(sum(_cost_of_search(needle, folded) for needle in likely))
        found = [needle for needle in likely if needle in folded]
        if any(len(needle) < _SHORT for needle in found) or self._is_redacted(folded):
            return MASK
        covered = bytearray(len(text))
        for needle in found:
            self._cover_value(covered, folded, needle)
        for end in {len(folded.rstrip(".")), max(0, folded.rfind(_FENCE_END))}:
            for needle in likely:
                self._cover_begun(covered, folded, end, needle)
        self._cover_parts(covered, folded)
        return self._cut(text, covered) if 1 in covered else text

    def _is_redacted(self, folded: str) -> bool:
        """Whether `redact` took something out of a hidden value that stands in the text."""
        if "[" not in folded:
            return False
        least, most = _BESIDE
        pieces = _REDACTED.split(folded)
        beside = [piece[-most:] for piece in pieces[:-1]] + [piece[:most] for piece in pieces[1:]]
        for near in {each for each in beside if len(each.strip()) >= least}:
            self._spend(_cost_of_search(near, self._together))
            if near in self._together:
                return True
        return False

    def _cover_value(self, covered: bytearray, folded: str, needle: str) -> None:
        place = folded.find(needle)
        while place >= 0:
            self._spend(_MATCH + _SEARCH * len(needle))
            covered[place : place + len(needle)] = b"\1" * len(needle)
            place = folded.find(needle, place + 1)

    def _cover_begun(self, covered: bytearray, folded: str, end: int, needle: str) -> None:
        """Cover the begin of a value in the place where the text was cut."""
        self._spend(_EACH + end)
        place = folded.rfind(needle[:_HEAD], 0, end)
        if place >= 0 and needle.startswith(folded[place:end]):
            covered[place:end] = b"\1" * (end - place)

    def _cover_parts(self, covered: bytearray, folded: str) -> None:
        if not self._blocks or len(folded) < _PART:
            return
        self._spend(_SCAN * len(folded))
        blocks = self._blocks
        near = [place for place in range(len(folded) - _BLOCK + 1) if folded[place : place + _BLOCK] in blocks]
        for place in near:
            self._spend(_EACH)
            if covered.find(0, place, place + _BLOCK) < 0:
                continue  # what a part has beside this stretch has a block of its own there
            for needle, at in blocks[folded[place : place + _BLOCK]]:
                self._spend(_MATCH + min(len(folded), len(needle)) // _BLOCK)
                first, last = _extend(folded, place, needle, at)
                if last - first >= _PART:
                    covered[first:last] = b"\1" * (last - first)

    def _cut(self, text: str, covered: bytearray) -> str:
        """The text with one mask for each stretch that is covered."""
        pieces, place = [], 0
        for stretch in re.finditer(b"\1+", covered):
            pieces += [text[place : stretch.start()], MASK]
            place = stretch.end()
        masked = "".join([*pieces, text[place:]])
        return MASK if self._starred and self._has_starred(masked) else masked

    def _has_starred(self, masked: str) -> bool:
        cost = _cost_of_fold(masked) + sum(_cost_of_search(needle, masked) for needle in self._starred)
        if not self._may(cost):
            return True
        folded = _fold(masked)
        return any(needle in folded for needle in self._starred)

    def optional(self, text: str | None) -> str | None:
        """The same for a text that may be missing."""
        return None if text is None else self.text(text)

    def json(self, text: str) -> str:
        """The same for a value that is written as JSON."""
        return json.dumps(self.value(json.loads(text) if self._may(_JSON * len(text)) else {MASK: MASK}))

    def data(self, data: Any) -> Any:
        """The event's data: masked at the paths, whatever is there, and wherever else the values are."""
        return self.value(data, [steps[1:] for steps in self._steps if steps[0] == "data"])

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """The event's headers, in the same way."""
        paths = [steps[1:] for steps in self._steps if steps[0] == "headers"]
        if not all(paths):
            return {}
        return {name: MASK if (name,) in paths else self.text(value) for name, value in headers.items()}

    def value(self, value: Any, paths: Sequence[Sequence[str]] = ()) -> Any:
        """A JSON value with all in it masked: texts, keys, numbers, truth values, and whatever is at these paths."""
        if paths and not all(paths):
            return MASK
        if isinstance(value, str):
            return self.text(value)
        self._may(_CALL)
        if isinstance(value, Mapping):
            return self._object(value, paths)
        if isinstance(value, list | tuple):
            return self._list(value, paths)
        if value is None:
            return None
        written = _write(value)
        return value if self.text(written) == written else MASK

    def _object(self, value: Mapping[Any, Any], paths: Sequence[Sequence[str]]) -> dict[str, Any]:
        shown = {}
        for key, item in value.items():
            if self._left < 0:
                shown[MASK] = MASK
                break
            shown[self.text(str(key))] = self.value(item, [steps[1:] for steps in paths if steps[0] == key])
        return shown

    def _list(self, value: Sequence[Any], paths: Sequence[Sequence[str]]) -> list[Any]:
        shown = []
        for number, item in enumerate(value):
            if self._left < 0:
                shown.append(MASK)
                break
            shown.append(self.value(item, [*_into(number, paths)]))
        return shown


class Blind(Mask):
    """Masks everything: for an event whose data cannot be read, so that nobody knows what its hidden values are."""

    def __init__(self) -> None:
        super().__init__((), None, {})
        self._left = -1

    def _may(self, cost: int) -> bool:  # noqa: ARG002 - whatever it is
        return False


def _cost_of_forms(leaf: str) -> int:
    """A value may be written in fewer ways when it has no characters that any way escapes, or none with odd cases."""
    if _PLAIN.fullmatch(leaf):
        return _CALL + len(leaf)
    return (_FORMS + _FORMED * len(leaf)) * (1 if leaf.isascii() else 4)


def _cost_of_fold(text: str) -> int:
    if text.isascii():
        return 0
    return len(text) * _FOLD[len(text.casefold()) != len(text)]


def _cost_of_search(needle: str, text: str) -> int:
    """What it costs at most to look for all places of a value in a text."""
    size, most = len(needle), len(text)
    if any(most >= text_size and size >= needle_size for text_size, needle_size in _LONG):
        return _EACH + _SEARCH * (most + size)
    return _EACH + most + max(0, most - size) * size // 4


def _extend(text: str, place: int, needle: str, at: int) -> tuple[int, int]:
    """Where the stretch of a text begins and ends that is the same in a value, around a block that both have."""
    before, after = min(place, at), min(len(text) - place, len(needle) - at)
    ahead = _same(text[place - before : place][::-1], needle[at - before : at][::-1])
    return place - ahead, place + _same(text[place : place + after], needle[at : at + after])


def _same(one: str, other: str) -> int:
    """How many characters two texts of one length have in common, from the first on."""
    low, high = 0, len(one)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if one[low:middle] == other[low:middle] else (low, middle - 1)
    return low


def _find(value: Any, steps: Sequence[str], spend: Callable[[int], None]) -> Iterator[Any]:
    """What is at a path. A name goes into each item of a list, a number into one."""
    spend(_CALL)
    if not steps:
        yield value
    elif isinstance(value, Mapping):
        if steps[0] in value:
            yield from _find(value[steps[0]], steps[1:], spend)
    elif isinstance(value, list):
        for item in _items(value, steps[0]):
            yield from _find(item, steps[1:] if steps[0].isdecimal() else steps, spend)


def _items(items: list[Any], step: str) -> list[Any]:
    return items[int(step) : int(step) + 1] if step.isdecimal() else items


def _into(number: int, paths: Sequence[Sequence[str]]) -> Iterator[Sequence[str]]:
    """The paths as they go on in one item of a list."""
    for steps in paths:
        if not steps[0].isdecimal():
            yield steps
        elif int(steps[0]) == number:
            yield steps[1:]


def _leaves(value: Any, spend: Callable[[int], None]) -> Iterator[str]:
    """The values of which something is made, and keys that are no mere names."""
    spend(_CALL)
    if isinstance(value, Mapping):
        for key, item in value.items():
            if _NAME.fullmatch(str(key)) is None:
                yield str(key)
            yield from _leaves(item, spend)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item, spend)
    elif isinstance(value, bool):  # either value tells of the other
        yield from ("true", "false")
    elif value is not None:
        yield value if isinstance(value, str) else _write(value)
        if isinstance(value, float) and value.is_integer():
            yield str(int(value))


def _write(value: Any) -> str:
    return str(value) if isinstance(value, bool) else json.dumps(value)


def _forms(leaf: str) -> Iterator[str]:
    """How a value may be written in a text; case does not matter, but where it changes the length or is escaped."""
    if _PLAIN.fullmatch(leaf):
        yield leaf
        return
    forms = {leaf.strip(), " ".join(leaf.split())}
    cases = {case for form in forms for case in (form, form.upper(), form.lower(), form.casefold())}
    for text in forms if leaf.isascii() else cases:
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
    if text.isascii():
        return text.lower()
    folded = text.casefold()  # character by character, each of which becomes one or more
    return folded if len(folded) == len(text) else "".join(map(_fold_one, text))


@lru_cache(maxsize=4_096)
def _fold_one(char: str) -> str:
    return next((folded for folded in (char.casefold(), char.lower()) if len(folded) == 1), char)
