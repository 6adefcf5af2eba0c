"""Fills `${VAR}`, `${VAR:-default}` and `${file:/path}` into scalars, once: what was filled in is not read again."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as File
from typing import Final

from relay.config.fault import Fault, Warn, spell
from relay.config.parse import meaning
from relay.config.tree import Branch, Entry, Leaf, Node, Path, Row

_REFERENCE: Final = re.compile(r"\$\$|\$\{([^{}]*)\}|\$\{")
_NAME: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_LARGEST: Final = 1 << 20


class Filled(str):
    """A scalar that was nothing but one reference: a number where only a number can stand, else text."""

    __slots__ = ()


class Loose(Filled):
    """An unquoted one: a number also where anything can stand, as YAML would have it."""

    __slots__ = ()


class Opaque(str):
    """A scalar that could not be filled in; it reads as it stands in the file, and no check looks into it."""

    __slots__ = ()


class Filler:
    """Fills trees from `env`. When `strict`, what cannot be filled in is a fault, else a warning."""

    def __init__(self, env: Mapping[str, str], *, strict: bool) -> None:
        self.env = env
        self.strict = strict
        self.faults: list[Fault] = []

    def fill(self, root: Branch) -> Branch:
        """The tree with all references in values filled in; keys are left alone."""
        self._root = root
        return self._branch(root, ())

    def _branch(self, node: Branch, path: Path) -> Branch:
        filled = {key: Entry(entry.key, self._node(entry.node, (*path, key))) for key, entry in node.entries.items()}
        return Branch(node.mark, filled)

    def _node(self, node: Node, path: Path) -> Node:
        if isinstance(node, Branch):
            return self._branch(node, path)
        if isinstance(node, Row):
            return Row(node.mark, tuple(self._node(item, (*path, n)) for n, item in enumerate(node.items)))
        if "$" not in node.text:
            return node
        return self._leaf(node, path)

    def _leaf(self, leaf: Leaf, path: Path) -> Leaf:
        filled: dict[str, str] = {}
        known = len(self.faults)
        text = _REFERENCE.sub(lambda match: self._put(match, leaf, path, filled), leaf.text)
        if len(self.faults) > known:
            return replace(leaf, text=text, value=Opaque(leaf.text))
        alone = _REFERENCE.fullmatch(leaf.text) is not None and leaf.text != "$$"
        kind = (Loose if leaf.plain else Filled) if alone and _typeable(text) else str
        return replace(leaf, text=text, value=kind(text), filled=filled)

    def _put(self, match: re.Match[str], leaf: Leaf, path: Path, filled: dict[str, str]) -> str:
        if match[0] == "$$":
            return "$"
        try:
            value = self._value(match, leaf)
        except (LookupError, ValueError) as error:
            kind = Warn if isinstance(error, LookupError) and not self.strict else Fault
            self.faults.append(kind(leaf.mark, spell(path, self._root), str(error.args[0])))
            return match[0]
        if value:
            filled[value] = match[0]
        return value

    def _value(self, match: re.Match[str], leaf: Leaf) -> str:
        inside = match[1]
        if inside is None:
            raise ValueError("`${` is not closed: write ${NAME}, or $${ for the characters themselves")
        if inside.startswith("file:"):
            return self._file(inside.removeprefix("file:"), leaf)
        name = _NAME.fullmatch(inside)
        if name is None:
            raise ValueError(f"`{match[0]}` names no variable: write ${{NAME}}, ${{NAME:-default}} or ${{file:/path}}")
        value = self.env.get(name[1])
        if name[2] is not None:
            value = value or name[2]
        if value is None:
            raise LookupError(f"the variable {name[1]} is not set: set it, or write ${{{name[1]}:-default}}")
        if not value.isascii() and value.encode("utf-8", "replace").decode() != value:
            raise ValueError(f"the variable {name[1]} is not UTF-8 text: encode what it holds")
        return value

    def _file(self, name: str, leaf: Leaf) -> str:
        path = File(leaf.mark.file).parent / name
        try:
            with path.open("rb") as stream:
                content = stream.read(_LARGEST + 1)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "no such path"
            raise LookupError(f"the file {path} cannot be read ({reason}): mount it or mend the path") from None
        if len(content) > _LARGEST:
            raise ValueError(f"the file {path} is larger than 1MiB: it cannot be a value")
        try:
            return content.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise ValueError(f"the file {path} is not UTF-8 text: encode what it holds") from None


def _typeable(text: str) -> bool:
    try:
        meaning(text)
    except ValueError:
        return False
    return True
