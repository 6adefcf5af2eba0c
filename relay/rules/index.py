"""Which rules can want an event, by source and type, at a cost that does not grow with the number of rules."""

import re
from collections import OrderedDict
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from fnmatch import translate
from typing import Final

_KEPT: Final = 4_096
_SPECIAL: Final = re.compile(r"[*?\[]")

Numbers = AbstractSet[int]


class _Glob:
    """One glob, compiled when it is first tried: most of ten thousand never are."""

    __slots__ = ("_compiled", "_piece", "_text", "numbers")

    def __init__(self, text: str, piece: str, numbers: Numbers) -> None:
        self._text = text
        self._piece = piece
        self._compiled: re.Pattern[str] | None = None
        self.numbers = numbers

    def fits(self, value: str) -> bool:
        if self._piece not in value:
            return False
        if self._compiled is None:
            self._compiled = re.compile(translate(self._text))
        return self._compiled.match(value) is not None


class Patterns:
    """Names and globs, each with the numbers of the rules that gave it.

    A glob is tried only on a value that begins and ends as the glob does (up to its first and from its last special
    character) and holds the longest of its literal pieces. `free` are the rules that gave no pattern at all.
    """

    __slots__ = ("_exact", "_globs", "_heads", "_tails", "free")

    def __init__(self, given: Sequence[Sequence[str]]) -> None:
        self.free = frozenset(number for number, patterns in enumerate(given) if not patterns)
        exact: dict[str, set[int]] = {}
        globs: dict[str, set[int]] = {}
        for number, patterns in enumerate(given):
            for pattern in patterns:
                (globs if _SPECIAL.search(pattern) else exact).setdefault(pattern, set()).add(number)
        self._exact = {name: frozenset(numbers) for name, numbers in exact.items()}
        self._globs: dict[tuple[str, str], list[_Glob]] = {}
        for glob, numbers in globs.items():
            head, piece, tail = _literals(glob)
            self._globs.setdefault((head, tail), []).append(_Glob(glob, piece, frozenset(numbers)))
        self._heads = sorted({len(head) for head, _ in self._globs})
        self._tails = sorted({len(tail) for _, tail in self._globs})

    def find(self, value: str | None) -> Numbers:
        """The rules with a name or glob that fits; those in `free` are not among them."""
        if value is None:
            return frozenset()
        found = self._exact.get(value, frozenset())
        fitting = [
            glob.numbers
            for head in self._heads
            for tail in self._tails
            if head + tail <= len(value)
            for glob in self._globs.get((value[:head], value[len(value) - tail :]), ())
            if glob.fits(value)
        ]
        return found.union(*fitting) if fitting else found


def _literals(glob: str) -> tuple[str, str, str]:
    """The literal begin, longest piece and end of a glob; behind a `[` it is not looked for any."""
    pieces = _SPECIAL.split(glob)
    if "[" in glob:
        return pieces[0], pieces[0], ""
    return pieces[0], max(pieces, key=len), pieces[-1]


class Index:
    """The numbers of the rules for a source and a type, in order; the last few thousand pairs are remembered."""

    __slots__ = ("_always", "_kept", "_sources", "_types")

    def __init__(self, sources: Sequence[Sequence[str]], types: Sequence[Sequence[str]]) -> None:
        self._sources = Patterns(sources)
        self._types = Patterns(types)
        self._always = self._sources.free & self._types.free
        self._kept: OrderedDict[tuple[str, str | None], tuple[int, ...]] = OrderedDict()

    def find(self, source: str, kind: str | None) -> tuple[int, ...]:
        """Numbers of rules whose source and type patterns both fit."""
        pair = source, kind
        found = self._kept.get(pair)
        if found is None:
            found = self._kept[pair] = tuple(sorted(self._search(source, kind)))
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(pair)
        return found

    def _search(self, source: str, kind: str | None) -> Numbers:
        by_source, by_type = self._sources.find(source), self._types.find(kind)
        return (by_source & by_type) | (by_source & self._types.free) | (self._sources.free & by_type) | self._always

    def has_source(self, number: int, source: str) -> bool:
        return number in self._sources.free or number in self._sources.find(source)

    def has_type(self, number: int, kind: str | None) -> bool:
        return number in self._types.free or number in self._types.find(kind)
