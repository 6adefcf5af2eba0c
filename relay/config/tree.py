"""What the YAML files say, as a tree in which every key and value knows its place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in a file. `order` is the file's turn, so that faults sort; `line` and `column` count from 1.

    Line 0 is no line: all of `file` is meant.
    """

    order: int
    line: int
    column: int
    file: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar. `value` is what it means by YAML 1.2, `text` what stands there.

    `plain` says that it was unquoted. `first` is the line of the first line of its content: the line after the
    indicator for block scalars. `filled` maps what was filled in for `${}` to the reference it was filled in for.
    """

    mark: Mark
    text: str
    value: Any
    plain: bool
    first: int
    filled: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Row:
    """A list."""

    mark: Mark
    items: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A key's place and its value."""

    key: Mark
    node: "Node"


@dataclass(frozen=True, slots=True)
class Branch:
    """A mapping. Keys are taken as they are written: `on`, `1` and `null` are texts, as in JSON."""

    mark: Mark
    entries: Mapping[str, Entry]


Node = Leaf | Row | Branch


def bare(node: Node) -> Any:
    """The tree as plain dicts, lists and scalars."""
    if isinstance(node, Branch):
        return {key: bare(entry.node) for key, entry in node.entries.items()}
    if isinstance(node, Row):
        return [bare(item) for item in node.items]
    return node.value


def find(node: Node, path: Path) -> Node | None:
    """The node at `path`, None when there is none."""
    for step in path:
        below = _below(node, step)
        if below is None:
            return None
        node = below
    return node


def place(node: Node, path: Path) -> Mark:
    """Where the scalar at `path` stands, or the key of what is more or less than a scalar.

    When there is nothing at `path`, it is the place of the nearest thing around it.
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
    """Where the key at `path` stands; for what has no key, its own place."""
    above = find(node, path[:-1]) if path else None
    if isinstance(above, Branch) and path[-1] in above.entries:
        return above.entries[str(path[-1])].key
    return place(node, path)


def leaves(node: Node, path: Path = ()) -> Iterator[tuple[Path, Leaf]]:
    """Every scalar with its path, in the order of the file."""
    if isinstance(node, Leaf):
        yield path, node
    elif isinstance(node, Row):
        for number, item in enumerate(node.items):
            yield from leaves(item, (*path, number))
    else:
        for key, entry in node.entries.items():
            yield from leaves(entry.node, (*path, key))


def _below(node: Node, step: str | int) -> Node | None:
    if isinstance(node, Branch) and isinstance(step, str) and step in node.entries:
        return node.entries[step].node
    if isinstance(node, Row) and isinstance(step, int) and 0 <= step < len(node.items):
        return node.items[step]
    return None
