"""YAML text to a tree with places, by YAML 1.2's rules (https://yaml.org/spec/1.2.2/#103-core-schema).

PyYAML's events are composed here rather than by its own composer, which follows YAML 1.1 (`on` is true, `12:30:45`
a number), takes a key given twice silently, and overflows the C stack on deep nesting.
"""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import yaml

from relay.config.fault import Fault, Warn, spell
from relay.config.tree import Branch, Entry, Leaf, Mark, Node, Path, Row, leaves

_DEPTH: Final = 64
_ALIASED: Final = 100_000
_STR: Final = "tag:yaml.org,2002:str"
_TAGS: Final = {
    "tag:yaml.org,2002:map",
    "tag:yaml.org,2002:seq",
    "tag:yaml.org,2002:int",
    "tag:yaml.org,2002:float",
    "tag:yaml.org,2002:bool",
    "tag:yaml.org,2002:null",
    _STR,
    "!",
}
_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_QUOTE: Final = "a value that begins with {} is YAML's own syntax here: quote it"
_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""As YAML counts lines."""
_MEANT: Final = re.compile(r"[ \t]+#(?:[^\s#]|.*\{\{)")
_UNQUOTED: Final = re.compile(r"""(?:^|[:,\[-])\s+(\{\{|\[::|\[[0-9a-fA-F]*:|\$\{)""")


def meaning(text: str) -> Any:
    """What an unquoted scalar means by YAML 1.2. Raises ValueError for what JSON cannot hold."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isfinite(number):
            return number
        raise ValueError("this number is too large: put it in quotes if it is meant as text")
    if _NO_NUMBER.fullmatch(text):
        raise ValueError(f"JSON knows no {text}: put it in quotes if it is meant as text")
    return text


def parse(text: str, file: str, order: int) -> tuple[Node | None, list[Fault]]:
    """One document as a tree, None when it is empty or broken, and every fault found on the way."""
    composer = _Composer(file, order)
    try:
        node = composer.document(yaml.parse(text, Loader=yaml.CSafeLoader))
        return node, [*composer.faults, *_cut(node, text)]
    except _Broken as broken:
        fault = broken.fault
    except yaml.MarkedYAMLError as error:
        fault = _broken(error, text, composer)
    except yaml.reader.ReaderError as error:
        fault = _unreadable(error, text, composer)
    return None, [*composer.faults, fault]


def _cut(node: Node | None, text: str) -> Iterator[Warn]:
    """Unquoted values that YAML ends at a `#` which was meant to be in them, as in `name: Ticket #{{ data.id }}`.

    A comment for people has a blank after its mark, and no template in it.
    """
    rows = _BREAK.split(text)
    unquoted = [(path, leaf) for path, leaf in (leaves(node) if node else ()) if leaf.plain and leaf.text]
    for path, leaf in unquoted:
        rest = rows[leaf.mark.line - 1][leaf.mark.column - 1 :] if leaf.mark.line <= len(rows) else ""
        if rest.startswith(leaf.text) and _MEANT.match(rest, len(leaf.text)):
            told = f"ends at its `#`, which begins a comment in YAML, so it is {leaf.text!r}: put the value in quotes"
            yield Warn(leaf.mark, spell(path, node), told)


class _Broken(Exception):
    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class _Composer:
    def __init__(self, file: str, order: int) -> None:
        self.file = file
        self.order = order
        self.faults: list[Fault] = []
        self._anchors: dict[str, tuple[Node, int, int] | None] = {}
        self._nodes = 0
        self._deepest = 0
        self._aliased = 0

    def at(self, line: int, column: int) -> Mark:
        return Mark(self.order, line + 1, column + 1, self.file)

    def document(self, events: Iterator[Any]) -> Node | None:
        self._events = events
        next(events)
        if isinstance(next(events), yaml.StreamEndEvent):
            return None
        node = self._node(next(events), ())
        next(events)
        after = next(events)
        if isinstance(after, yaml.DocumentStartEvent):
            self._stop(after, (), "a second document begins here: write one document a file, in a folder if need be")
        return node

    def _mark(self, event: Any) -> Mark:
        return self.at(event.start_mark.line, event.start_mark.column)

    def _fault(self, mark: Mark, path: Path, message: str) -> None:
        self.faults.append(Fault(mark, spell(path) or "yaml", message))

    def _stop(self, event: Any, path: Path, message: str) -> None:
        raise _Broken(Fault(self._mark(event), spell(path) or "yaml", message))

    def _node(self, event: Any, path: Path) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        self._require_shallow(event, path, len(path))
        before, self._nodes = self._nodes, self._nodes + 1
        outside, self._deepest = self._deepest, len(path)
        if event.anchor:
            self._anchors[event.anchor] = None
        if event.tag and event.tag not in _TAGS:
            self._fault(self._mark(event), path, f"the tag {event.tag} is not known here: take it out")
        node = self._build(event, path)
        if event.anchor:
            self._anchors[event.anchor] = (node, self._nodes - before, self._deepest - len(path))
        self._deepest = max(self._deepest, outside)
        return node

    def _require_shallow(self, event: Any, path: Path, depth: int) -> None:
        if depth > _DEPTH:
            self._stop(event, path[:3], f"this nests deeper than {_DEPTH} levels: flatten it")

    def _build(self, event: Any, path: Path) -> Node:
        if isinstance(event, yaml.MappingStartEvent):
            return self._branch(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return Row(self._mark(event), tuple(self._items(path)))
        return self._leaf(event, path)

    def _alias(self, event: Any, path: Path) -> Node:
        if event.anchor not in self._anchors:
            self._stop(
                event, path, f"no anchor &{event.anchor} stands before this: a text that begins with * is quoted"
            )
        known = self._anchors[event.anchor]
        if known is None:
            raise _Broken(Fault(self._mark(event), spell(path) or "yaml", f"*{event.anchor} contains itself"))
        node, size, height = known
        self._require_shallow(event, path, len(path) + height)  # each alias may hold the one before, and go deeper
        self._deepest = max(self._deepest, len(path) + height)
        self._nodes += size
        self._aliased += size
        if self._aliased > _ALIASED:
            self._stop(event, path, f"aliases make more than {_ALIASED} values of this: write it out shorter")
        return node

    def _items(self, path: Path) -> Iterator[Node]:
        number = 0
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            yield self._node(event, (*path, number))
            number += 1

    def _leaf(self, event: Any, path: Path) -> Leaf:
        plain = bool(event.implicit[0]) and event.tag != "!"
        mark = self._mark(event)
        value: Any = event.value
        if plain or (event.tag and event.tag not in {_STR, "!"}):
            try:
                value = meaning(event.value)
            except ValueError as error:
                self._fault(mark, path, str(error))
        block = event.style in {"|", ">"}
        return Leaf(mark, event.value, value, plain, mark.line + 1 if block else mark.line)

    def _branch(self, event: Any, path: Path) -> Branch:
        own: dict[str, Entry] = {}
        merged: dict[str, Entry] = {}
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            mark = self._mark(key)
            name = self._key(key, path, event)
            node = self._node(next(self._events), (*path, name))
            if name == "<<" and key.implicit[0]:
                self._merge(node, mark, path, merged)
            elif name in own:
                self._fault(mark, (*path, name), f"is given twice, first at {own[name].key}: keep one")
            else:
                own[name] = Entry(mark, node)
        return Branch(self._mark(event), own | {name: entry for name, entry in merged.items() if name not in own})

    def _key(self, event: Any, path: Path, opened: Any) -> str:
        if isinstance(event, yaml.AliasEvent):
            node = self._alias(event, path)
            if isinstance(node, Leaf):
                return node.text
        if not isinstance(event, yaml.ScalarEvent):
            if opened.flow_style and isinstance(event, yaml.MappingStartEvent):
                self._stop(opened, path, _QUOTE.format("{{"))
            self._stop(event, path, "a mapping or a list cannot be a key: write a name")
        return str(event.value)

    def _merge(self, node: Node, mark: Mark, path: Path, into: dict[str, Entry]) -> None:
        for part in node.items if isinstance(node, Row) else (node,):
            if not isinstance(part, Branch):
                self._fault(mark, (*path, "<<"), "merges a mapping or a list of mappings: name one with *anchor")
                continue
            for name, entry in part.entries.items():
                into.setdefault(name, entry)


def _integer(text: str) -> int:
    if len(text) > 400:
        raise ValueError("this number is too long: put it in quotes if it is meant as text")
    return int(text, 0 if text[:2] in {"0o", "0x"} else 10)


def _broken(error: yaml.MarkedYAMLError, text: str, composer: _Composer) -> Fault:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return Fault(composer.at(0, 0), "yaml", f"{error.problem}: mend the YAML")
    rows = text.splitlines()
    for number in dict.fromkeys((mark.line, *((error.context_mark.line,) if error.context_mark else ()))):
        found = _UNQUOTED.search(rows[number]) if number < len(rows) else None
        if found:
            at = composer.at(number, found.start(1))
            return Fault(at, "yaml", _QUOTE.format(found[1]))
    where = f" {error.context}" if error.context else ""
    return Fault(composer.at(mark.line, mark.column), "yaml", f"{error.problem}{where}: {_advise(error.problem or '')}")


def _unreadable(error: yaml.reader.ReaderError, text: str, composer: _Composer) -> Fault:
    before = text.encode()[: error.position].decode(errors="replace")
    mark = composer.at(before.count("\n"), len(before) - before.rfind("\n") - 1)
    return Fault(mark, "yaml", f"the character U+{int(error.character):04X} is not allowed: take it out")


def _advise(problem: str) -> str:
    advice: dict[str, Callable[[str], bool]] = {
        "a text with `: ` inside is put in quotes": lambda told: "mapping values are not allowed" in told,
        "indent with spaces, and quote a text that begins with @, ` or %": lambda told: "cannot start" in told,
        "close the quotes": lambda told: "end of stream" in told,
    }
    return next((text for text, fits in advice.items() if fits(problem)), "mend the indentation or the quotes")
