"""Adds a source and a rule to a configuration that is there, and leaves every line of it as it is."""

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from relay.cli.init import BROKER, compose_rule, compose_setup, compose_source
from relay.errors import RelayError

if TYPE_CHECKING:
    from relay.cli.vendors import First
    from relay.config.tree import Branch


@dataclass(frozen=True, slots=True)
class Added:
    """What was written: the file, the names in it, and the lines that are new."""

    path: Path
    source: str
    rule: str
    text: str


def extend(path: Path, vendor: str, first: "First") -> Added:
    """Add `first` to the file at `path`, or as a file of its own to the folder there, under names that are free.

    Raises RelayError when there is nothing there, when it is no configuration, and when it is written so that nothing
    can be added line by line.
    """
    files = sorted(path.glob("*.yaml")) if path.is_dir() else [path]
    trees = {file: _parse(file, _read(file)) for file in files}
    source = _free(_names(trees.values(), "sources"), first.source, vendor)
    rule = _free(_names(trees.values(), "rules"), f"{source}-rule", f"{vendor}-rule")
    setup = _indent(f"# At the sender of {source}:\n{compose_setup(first, source)}")
    blocks = {"sources": f"{setup}\n{compose_source(first, source)}", "rules": compose_rule(first, source, rule)}
    broker = BROKER if first.queue and not any("broker" in tree.entries for tree in trees.values()) else None
    if path.is_dir():
        target = path / f"{source}.yaml"
        before, tree = "", None
    else:
        target, before, tree = path.resolve(), _read(path), trees[path]
    text = before if before.endswith("\n") or not before else f"{before}\n"
    for key in ("sources", "rules"):
        text = _insert(text, tree, key, blocks[key])
        tree = _parse(target, text)
    if broker:
        text += f"\n{broker}\n"
    _write(target, text)
    return Added(target if path.is_dir() else path, source, rule, "\n".join([*blocks.values(), broker or ""]))


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def _read(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise RelayError(f"{file} is not UTF-8; save it as UTF-8") from None
    except OSError as error:
        raise RelayError(
            f"{file} cannot be read: {error.strerror}; write a first configuration with `relay init` and --out"
        ) from None


def _parse(file: Path, text: str) -> "Branch":
    from relay.config.fault import Warn
    from relay.config.parse import parse
    from relay.config.tree import Branch, Mark
    from relay.errors import Misconfigured

    node, faults = parse(text, str(file), 0)
    if wrong := [str(fault) for fault in faults if not isinstance(fault, Warn)]:
        raise Misconfigured(wrong)
    if node is None or (not isinstance(node, Branch) and not text.strip()):
        return Branch(Mark(0, 1, 1, str(file)), {})
    if not isinstance(node, Branch):
        raise RelayError(f"{file} is not a configuration: it must begin with keys such as cargo:, sources: and rules:")
    return node


def _names(trees: "Iterable[Branch]", key: str) -> set[str]:
    from relay.config.merge import rule_name
    from relay.config.tree import Branch, Row, find

    found: set[str] = set()
    for tree in trees:
        node = find(tree, (key,))
        if isinstance(node, Branch):
            found |= set(node.entries)
        elif isinstance(node, Row):
            found |= {name for item in node.items if (name := rule_name(item)) is not None}
    return found


def _free(taken: set[str], *wanted: str) -> str:
    """The first of these names that is not taken, else the last with a number."""
    numbered = (f"{wanted[-1]}-{number}" for number in count(2))
    return next(name for name in chain(wanted, numbered) if name not in taken)


def _insert(text: str, tree: "Branch | None", key: str, block: str) -> str:
    """`block` (indented by two) at the end of the block `key`, which is made when there is none."""
    from relay.config.tree import Leaf, Row

    entry = None if tree is None else tree.entries.get(key)
    if entry is None:
        return f"{text}\n{key}:\n{block}\n" if text.strip() else f"{key}:\n{block}\n"
    lines = text.splitlines(keepends=True)
    node, begin = entry.node, entry.key.line
    if isinstance(node, Leaf):
        if node.value is not None:
            raise RelayError(f"{entry.key}: {key} holds nothing to which a line could be added; make it a block")
        return "".join([*lines[:begin], f"{block}\n", *lines[begin:]])
    if lines[node.mark.line - 1][node.mark.column - 1] in "{[":
        raise RelayError(f"{node.mark}: {key} is written in brackets; write one entry a line, then add to it")
    indent = (node.mark.column if isinstance(node, Row) else _column(node)) - 1
    after = re.compile(r"[^\s#]" if indent else r"[^\s#-]|---")  # a list may stand as far left as its key
    end = next((number for number in range(begin, len(lines)) if after.match(lines[number])), len(lines))
    while end > begin and re.fullmatch(r"(#.*)?\s*", lines[end - 1]):
        end -= 1  # blank lines and comments of what follows
    shifted = "\n".join(" " * indent + line.removeprefix("  ") if line else line for line in block.splitlines())
    return "".join([*lines[:end], f"{shifted}\n", *lines[end:]])


def _column(node: "Branch") -> int:
    return min(entry.key.column for entry in node.entries.values())


def _write(target: Path, text: str) -> None:
    """All or nothing: beside it first, then in its place."""
    beside = target.with_name(f".{target.name}.new")
    try:
        beside.write_text(text, encoding="utf-8", newline="")
        if target.exists():
            shutil.copymode(target, beside)
        beside.replace(target)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise RelayError(f"{target} cannot be written: {error.strerror}; nothing was changed") from None
