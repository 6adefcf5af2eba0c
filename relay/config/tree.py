"""The tree of a YAML file, in which every key and value has its place.

Its nodes are tuples: a configuration of ten thousand rules has half a million of them, and a frozen dataclass takes
three times as long to make.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

Path = tuple[str | int, ...]
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Mark(NamedTuple):
    """A place in a file. `line` and `column` count from 1. Line 0 means the whole file.

    `order` is the position of the file among all files, for sorting faults.
    """

    order: int
    line: int
    column: int
    file: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


class Leaf(NamedTuple):
    """A scalar. `text` is its text in the file, `value` its value in YAML 1.2.

    `plain` says that it was unquoted. `first` is the line where its content begins, which for block scalars is the line
    after the indicator. `filled` maps each value that was filled in to its `${}` reference.
    """

    mark: Mark
    text: str
    value: Any
    plain: bool
    first: int
    filled: Mapping[str, str] = NOTHING


class Row(NamedTuple):
    """A list."""

    mark: Mark
    items: tuple["Node", ...]


class KeyedNode(NamedTuple):
    """The place of a key, and its value."""

    key: Mark
    node: "Node"


class Branch(NamedTuple):
    """A mapping. Keys are always text, as in JSON, also `on`, `1` and `null`."""

    mark: Mark
    entries: Mapping[str, KeyedNode]


Node = Leaf | Row | Branch


def bare(node: Node) -> Any:
    """The tree as plain dicts, lists and scalars."""
    if isinstance(node, Leaf):
        return node.value
    if isinstance(node, Branch):
        return {key: bare(entry.node) for key, entry in node.entries.items()}
    return [bare(item) for item in node.items]


def find(node: Node, path: Path) -> Node | None:
    """The node at `path`, None when it does not exist."""
    for step in path:
        below = _below(node, step)
        if below is None:
            return None
        node = below
    return node


def place(node: Node, path: Path) -> Mark:
    """The place of the scalar at `path`, or the place of the key of a mapping, a list or an empty value.

    When `path` does not exist, it is the place of the nearest node above.
    """
    mark = node.mark
    for step in path:
        if isinstance(node, Branch) and isinstance(step, str) and step in node.entries:
            mark = node.entries[step].key
        below = _below(node, step)
        if below is None:
            return mark
        node = below
        if not isinstance(step, str) or (isinstance(node, Leaf) and (node.text or not node.plain)):
            mark = node.mark
    return mark


def key_place(node: Node, path: Path) -> Mark:
    """The place of the key at `path`, or the place of the value when it has no key."""
    above = find(node, path[:-1]) if path else None
    if isinstance(above, Branch) and path[-1] in above.entries:
        return above.entries[str(path[-1])].key
    return place(node, path)


def text_of(node: Node) -> str:
    """The texts of all scalars, in no order, to be searched at once, which is quicker than one by one."""
    found, pending = [], [node]
    for each in pending:  # which grows meanwhile
        if isinstance(each, Leaf):
            found.append(each.text)
        elif isinstance(each, Branch):
            pending += [entry.node for entry in each.entries.values()]
        else:
            pending += each.items
    return "\n".join(found)


def leaves(node: Node, path: Path = ()) -> Iterator[tuple[Path, Leaf]]:
    """All scalars with their paths, in the order of the file."""
    pending: list[tuple[Path, Node]] = [(path, node)]
    while pending:
        path, node = pending.pop()
        if isinstance(node, Leaf):
            yield path, node
        elif isinstance(node, Row):
            pending += [((*path, number), item) for number, item in enumerate(node.items)][::-1]
        else:
            pending += [((*path, key), entry.node) for key, entry in node.entries.items()][::-1]


def _below(node: Node, step: str | int) -> Node | None:
    if isinstance(node, Branch) and isinstance(step, str) and step in node.entries:
        return node.entries[step].node
    if isinstance(node, Row) and isinstance(step, int) and 0 <= step < len(node.items):
        return node.items[step]
    return None
