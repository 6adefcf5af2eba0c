"""Adds a source and a rule to an existing configuration without changing its other lines."""

import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

from relay.cli.init import BROKER, compose_rule, compose_setup, compose_source
from relay.errors import RelayError
from relay.place import exists, is_folder

if TYPE_CHECKING:
    from relay.cli.vendors import First
    from relay.config.tree import Branch


@dataclass(frozen=True, slots=True)
class Addition:
    """What was added: the file, the names of the source and the rule, and the new lines."""

    path: Path
    source: str
    rule: str
    text: str


def extend(path: Path, vendor: str, first: "First") -> Addition:
    """Add `first` to the file at `path`, or as a new file to the folder at `path`, under names that are not in use.

    Raises RelayError when `path` does not exist, when it is not a configuration, and when it is written in a way that
    does not allow adding lines.
    """
    files = sorted(path.glob("*.yaml")) if is_folder(path) else [path]
    trees = {file: _parse(file, _read(file)) for file in files}
    source = _free(_names(trees.values(), "sources"), first.source, vendor)
    rule = _free(_names(trees.values(), "rules"), f"{source}-rule", f"{vendor}-rule")
    setup = _indent(f"# At the sender of {source}:\n{compose_setup(first, source)}")
    blocks = {"sources": f"{setup}\n{compose_source(first, source)}", "rules": compose_rule(first, source, rule)}
    broker = BROKER if first.queue and not any("broker" in tree.entries for tree in trees.values()) else None
    if is_folder(path):
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
    return Addition(target if is_folder(path) else path, source, rule, "\n".join([*blocks.values(), broker or ""]))


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
    if messages := [str(fault) for fault in faults if not isinstance(fault, Warn)]:
        raise Misconfigured(messages)
    if node is None or (not isinstance(node, Branch) and not text.strip()):
        return Branch(Mark(0, 1, 1, str(file)), {})
    if not isinstance(node, Branch):
        raise RelayError(f"{file} is not a configuration: it must begin with keys such as cargo:, sources: and rules:")
    return node


def _names(trees: "Iterable[Branch]", key: str) -> set[str]:
    from relay.config.merge import rule_name
    from relay.config.tree import Branch, Row, find

    names: set[str] = set()
    for tree in trees:
        node = find(tree, (key,))
        if isinstance(node, Branch):
            names |= set(node.entries)
        elif isinstance(node, Row):
            names |= {name for item in node.items if (name := rule_name(item)) is not None}
    return names


def _free(taken: set[str], *candidates: str) -> str:
    """The first of these names that is not in use, otherwise the last one with a number."""
    numbered = (f"{candidates[-1]}-{number}" for number in count(2))
    return next(name for name in chain(candidates, numbered) if name not in taken)


def _insert(text: str, tree: "Branch | None", key: str, block: str) -> str:
    """Insert `block` (indented by two) at the end of the block `key`, which is created when it is missing."""
    from relay.config.tree import Leaf, Row

    entry = None if tree is None else tree.entries.get(key)
    if entry is None:
        return f"{text}\n{key}:\n{block}\n" if text.strip() else f"{key}:\n{block}\n"
    lines = text.splitlines(keepends=True)
    node, begin = entry.node, entry.key.line
    if isinstance(node, Leaf):
        if node.value is not None:
            raise RelayError(f"{entry.key}: {key} is not a block, so no line can be added; write it as a block")
        return "".join([*lines[:begin], f"{block}\n", *lines[begin:]])
    if lines[node.mark.line - 1][node.mark.column - 1] in "{[":
        raise RelayError(f"{node.mark}: {key} is written in brackets; write one entry per line, then try again")
    indent = (node.mark.column if isinstance(node, Row) else _column(node)) - 1
    after = re.compile(r"[^\s#]" if indent else r"[^\s#-]|---")  # a list may have the same indentation as its key
    end = next((number for number in range(begin, len(lines)) if after.match(lines[number])), len(lines))
    while end > begin and re.fullmatch(r"(#.*)?\s*", lines[end - 1]):
        end -= 1  # blank lines and comments that belong to the next block
    shifted = "\n".join(" " * indent + line.removeprefix("  ") if line else line for line in block.splitlines())
    return "".join([*lines[:end], f"{shifted}\n", *lines[end:]])


def _column(node: "Branch") -> int:
    return min(entry.key.column for entry in node.entries.values())


def _write(target: Path, text: str) -> None:
    """Replace the file atomically: write a temporary file beside it, then rename it."""
    temporary = target.with_name(f".{target.name}.new")
    try:
        temporary.write_text(text, encoding="utf-8", newline="")
        if exists(target):
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RelayError(f"{target} cannot be written: {error.strerror}; nothing was changed") from None
