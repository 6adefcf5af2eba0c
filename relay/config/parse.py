"""Parses YAML into a tree with places, by the rules of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema).

It composes PyYAML's events itself. PyYAML's composer follows YAML 1.1 (`on` is true, `12:30:45` a number), silently
accepts duplicate keys, and overflows the C stack on deep nesting.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

import yaml

from relay.config.fault import ConfigFault, Warn, spell
from relay.config.tree import NOTHING, Branch, KeyedNode, Leaf, Mark, Node, Path, Row, leaves
from relay.written.scalar import meaning

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
_QUOTE: Final = "a value that begins with {} is YAML syntax: put it in quotes"
_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""The line breaks of YAML."""
_MEANT: Final = re.compile(r"[ \t]+#(?:[^\s#]|.*\{\{)")
_SOMEWHERE: Final = re.compile(r"#(?<=[ \t]#)(?:[^\s#]|.*\{\{)")
"""The same without all of its blanks, because a sign is looked for faster than blanks are."""
_UNQUOTED: Final = re.compile(r"""(?:^|[:,\[-])\s+(\{\{|\[::|\[[0-9a-fA-F]*:|\$\{)""")

_make: Final = tuple.__new__
"""Makes a node in two thirds of the time that its class takes: a large configuration has half a million of them."""


def parse(text: str, file: str, order: int) -> tuple[Node | None, list[ConfigFault]]:
    """Parse one document. Returns its tree, None when it is empty or broken, and all faults."""
    composer = _Composer(file, order)
    try:
        node = composer.document(yaml.CSafeLoader(text).get_event)
        return node, [*composer.faults, *_cut(node, text)]
    except _Broken as broken:
        fault = broken.fault
    except yaml.MarkedYAMLError as error:
        fault = _broken(error, text, composer)
    except yaml.reader.ReaderError as error:
        fault = _unreadable(error, text, composer)
    return None, [*composer.faults, fault]


def _cut(node: Node | None, text: str) -> Iterator[Warn]:
    """Warn of unquoted values that end at a `#` which probably belongs to them, as in `name: Ticket #{{ data.id }}`.

    A real comment has a blank after its `#`, and contains no template.
    """
    if node is None or not _SOMEWHERE.search(text):
        return
    rows = _BREAK.split(text)
    unquoted = [(path, leaf) for path, leaf in leaves(node) if leaf.plain and leaf.text]
    for path, leaf in unquoted:
        rest = rows[leaf.mark.line - 1][leaf.mark.column - 1 :] if leaf.mark.line <= len(rows) else ""
        if rest.startswith(leaf.text) and _MEANT.match(rest, len(leaf.text)):
            message = (
                f"ends at the `#`, which starts a comment in YAML, so it is {leaf.text!r}: put the value in quotes"
            )
            yield Warn(leaf.mark, spell(path, node), message)


class _Broken(Exception):
    def __init__(self, fault: ConfigFault) -> None:
        super().__init__(str(fault))
        self.fault = fault


class _Composer:
    def __init__(self, file: str, order: int) -> None:
        self.file = file
        self.order = order
        self.faults: list[ConfigFault] = []
        self._anchors: dict[str, tuple[Node, int, int] | None] = {}
        self._nodes = 0
        self._deepest = 0
        self._aliased = 0

    def at(self, line: int, column: int) -> Mark:
        return Mark(self.order, line + 1, column + 1, self.file)

    def document(self, read_event: Callable[[], Any]) -> Node | None:
        self._next = read_event
        read_event()
        if isinstance(read_event(), yaml.StreamEndEvent):
            return None
        node = self._node(read_event(), ())
        read_event()
        after = read_event()
        if isinstance(after, yaml.DocumentStartEvent):
            self._stop(after, (), "a second document begins here: write one document per file, for example in a folder")
        return node

    def _mark(self, event: Any) -> Mark:
        start = event.start_mark
        return _make(Mark, (self.order, start.line + 1, start.column + 1, self.file))

    def _fault(self, mark: Mark, path: Path, message: str) -> None:
        self.faults.append(ConfigFault(mark, spell(path) or "yaml", message))

    def _stop(self, event: Any, path: Path, message: str) -> NoReturn:
        raise _Broken(ConfigFault(self._mark(event), spell(path) or "yaml", message))

    def _node(self, event: Any, path: Path) -> Node:
        if type(event) is yaml.ScalarEvent and not event.anchor and not event.tag:
            self._nodes += 1  # the short way, which most nodes take
            return self._leaf(event, path)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, path)
        depth = len(path) + (not isinstance(event, yaml.ScalarEvent))  # that of what is in it
        self._require_shallow(event, path, depth)
        before, self._nodes = self._nodes, self._nodes + 1
        outside, self._deepest = self._deepest, depth
        if event.anchor:
            self._anchors[event.anchor] = None
        if event.tag and event.tag not in _TAGS:
            self._fault(self._mark(event), path, f"the tag {event.tag} is not supported: remove it")
        node = self._build(event, path)
        if event.anchor:
            self._anchors[event.anchor] = (node, self._nodes - before, self._deepest - len(path))
        self._deepest = max(self._deepest, outside)
        return node

    def _require_shallow(self, event: Any, path: Path, depth: int) -> None:
        if depth > _DEPTH:
            self._stop(event, path[:3], f"this is nested deeper than {_DEPTH} levels: flatten it")

    def _build(self, event: Any, path: Path) -> Node:
        if isinstance(event, yaml.MappingStartEvent):
            return self._branch(event, path)
        if isinstance(event, yaml.SequenceStartEvent):
            return Row(self._mark(event), tuple(self._items(path)))
        return self._leaf(event, path)

    def _alias(self, event: Any, path: Path) -> Node:
        if event.anchor not in self._anchors:
            self._stop(
                event, path, f"there is no anchor &{event.anchor} above: put a text that begins with * in quotes"
            )
        anchored = self._anchors[event.anchor]
        if anchored is None:
            raise _Broken(ConfigFault(self._mark(event), spell(path) or "yaml", f"*{event.anchor} contains itself"))
        node, size, height = anchored
        depth = len(path) + height
        self._require_shallow(event, path, depth)  # aliases can contain aliases and so nest deeper
        self._deepest = max(self._deepest, depth)
        self._nodes += size
        self._aliased += size
        if self._aliased > _ALIASED:
            self._stop(event, path, f"aliases expand to more than {_ALIASED} values: use fewer aliases")
        return node

    def _items(self, path: Path) -> Iterator[Node]:
        number = 0
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            yield self._node(event, (*path, number))
            number += 1

    def _leaf(self, event: Any, path: Path) -> Leaf:
        mark, text, tag = self._mark(event), event.value, event.tag
        plain, value = event.implicit[0] and not tag, text
        if plain or (tag and tag not in {_STR, "!"}):
            try:
                value = meaning(text)
            except ValueError as error:
                self._fault(mark, path, str(error))
        first = mark.line + 1 if event.style in {"|", ">"} else mark.line
        return _make(Leaf, (mark, text, value, plain, first, NOTHING))

    def _branch(self, event: Any, path: Path) -> Branch:
        own: dict[str, KeyedNode] = {}
        merged: dict[str, KeyedNode] = {}
        while type(key := self._next()) is not yaml.MappingEndEvent:
            mark = self._mark(key)
            written = type(key) is yaml.ScalarEvent
            name = key.value if written else self._key(key, path, event)
            node = self._node(self._next(), (*path, name))
            if name == "<<" and written and key.implicit[0]:
                self._merge(node, mark, path, merged)
            elif name in own:
                self._fault(mark, (*path, name), f"is given twice, first at {own[name].key}: keep one")
            else:
                own[name] = _make(KeyedNode, (mark, node))
        if merged:
            own |= {name: entry for name, entry in merged.items() if name not in own}
        return Branch(self._mark(event), own)

    def _key(self, event: Any, path: Path, opened: Any) -> str:
        """The name that a key is which is no scalar: an alias may stand for one."""
        if isinstance(event, yaml.AliasEvent):
            node = self._alias(event, path)
            if isinstance(node, Leaf):
                return node.text
        if opened.flow_style and isinstance(event, yaml.MappingStartEvent):
            return self._stop(opened, path, _QUOTE.format("{{"))
        return self._stop(event, path, "a mapping or a list cannot be a key: write a name")

    def _merge(self, node: Node, mark: Mark, path: Path, into: dict[str, KeyedNode]) -> None:
        for part in node.items if isinstance(node, Row) else (node,):
            if not isinstance(part, Branch):
                self._fault(mark, (*path, "<<"), "must be a mapping or a list of mappings: write *anchor")
                continue
            for name, entry in part.entries.items():
                into.setdefault(name, entry)


def _broken(error: yaml.MarkedYAMLError, text: str, composer: _Composer) -> ConfigFault:
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return ConfigFault(composer.at(0, 0), "yaml", f"{error.problem}: correct the YAML")
    rows = text.splitlines()
    for number in dict.fromkeys((mark.line, *((error.context_mark.line,) if error.context_mark else ()))):
        value = _UNQUOTED.search(rows[number]) if number < len(rows) else None
        if value:
            place = composer.at(number, value.start(1))
            return ConfigFault(place, "yaml", _QUOTE.format(value[1]))
    where = f" {error.context}" if error.context else ""
    return ConfigFault(
        composer.at(mark.line, mark.column), "yaml", f"{error.problem}{where}: {_advise(error.problem or '')}"
    )


def _unreadable(error: yaml.reader.ReaderError, text: str, composer: _Composer) -> ConfigFault:
    before = text.encode()[: error.position].decode(errors="replace")
    mark = composer.at(before.count("\n"), len(before) - before.rfind("\n") - 1)
    return ConfigFault(mark, "yaml", f"the character U+{int(error.character):04X} is not allowed in YAML: remove it")


def _advise(problem: str) -> str:
    advice: dict[str, Callable[[str], bool]] = {
        "put a text that contains `: ` in quotes": lambda text: "mapping values are not allowed" in text,
        "indent with spaces, and put a text that begins with @, ` or % in quotes": lambda text: "cannot start" in text,
        "close the quotes": lambda text: "end of stream" in text,
    }
    return next((hint for hint, applies in advice.items() if applies(problem)), "correct the indentation or the quotes")
