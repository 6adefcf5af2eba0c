"""Fills `${VAR}`, `${VAR:-default}` and `${file:/path}` into scalars, once: what was filled in is not read again."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as File
from typing import Final

from relay.config.fault import Fault, Warn, spell
from relay.config.parse import meaning
from relay.config.tree import Branch, Entry, Leaf, Node, Path, Row

_REFERENCE: Final = re.compile(r"\$\$|\$\{([^{}]*)\}|\$\{")
_NAME: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_LARGEST: Final = 1 << 20


class Loose(str):
    """An unquoted scalar that was nothing but one reference: a number where one is wanted, else text."""

    __slots__ = ()


class Opaque(str):
    """A scalar that could not be filled in; it reads as it stands in the file, and no check looks into it."""

    __slots__ = ()


@dataclass(slots=True)
class Filler:
    """Fills trees from `env`. When `strict`, what cannot be filled in is a fault, else a warning."""

    env: Mapping[str, str]
    strict: bool
    faults: list[Fault] = field(default_factory=list)

    def fill(self, node: Node, path: Path = ()) -> Node:
        """The tree with all references in values filled in; keys are left alone."""
        if isinstance(node, Branch):
            filled = {k: Entry(e.key, self.fill(e.node, (*path, k))) for k, e in node.entries.items()}
            return Branch(node.mark, filled)
        if isinstance(node, Row):
            return Row(node.mark, tuple(self.fill(item, (*path, n)) for n, item in enumerate(node.items)))
        if "$" not in node.text:
            return node
        return self._leaf(node, path)

    def _leaf(self, leaf: Leaf, path: Path) -> Leaf:
        filled: dict[str, str] = {}
        missing = False

        def put(match: re.Match[str]) -> str:
            nonlocal missing
            if match[0] == "$$":
                return "$"
            try:
                value = self._value(match, leaf)
            except LookupError as error:
                missing = True
                self._report(leaf, path, str(error.args[0]))
                return match[0]
            except ValueError as error:
                missing = True
                self.faults.append(Fault(leaf.mark, spell(path), str(error)))
                return match[0]
            if value:
                filled[value] = match[0]
            return value

        text = _REFERENCE.sub(put, leaf.text)
        if missing:
            return replace(leaf, text=text, value=Opaque(leaf.text))
        alone = _REFERENCE.fullmatch(leaf.text) is not None and leaf.text != "$$"
        loose = leaf.plain and alone and _typeable(text)
        return replace(leaf, text=text, value=Loose(text) if loose else text, filled=filled)

    def _report(self, leaf: Leaf, path: Path, message: str) -> None:
        kind = Fault if self.strict else Warn
        self.faults.append(kind(leaf.mark, spell(path), message))

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
