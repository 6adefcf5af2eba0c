"""Fills `${VAR}`, `${VAR:-default}` and `${file:/path}` into scalars. References in filled values are not expanded."""

import re
from collections.abc import Mapping
from pathlib import Path as File
from typing import Final

from relay.config.fault import ConfigFault, Warn, spell
from relay.config.tree import Branch, KeyedNode, Leaf, Node, Path, Row, text_of
from relay.written.reference import Filled, Loose, Opaque
from relay.written.scalar import meaning

_REFERENCE: Final = re.compile(r"\$\$|\$\{([^{}]*)\}|\$\{")
_NAME: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)
_SECRET: Final = re.compile(r"(?i)secret|token|passw|passphrase|credential|(^|_)(key|pwd|pat)s?($|_(?!file$))|^old$")
"""Keys, and names of variables, whose values are secrets as a rule (`encrypt.old` are former keys)."""
_LARGEST: Final = 1 << 20


class Filler:
    """Fills trees from `env`. A missing variable or file is a fault when `strict`, otherwise a warning."""

    def __init__(self, env: Mapping[str, str], *, strict: bool) -> None:
        self.env = env
        self.strict = strict
        self.faults: list[ConfigFault] = []
        self.files: list[File] = []
        """The files that `${file:}` names."""

    def fill(self, root: Branch) -> Branch:
        """The tree with all references in values filled. Keys are not changed."""
        self._root = root
        return self._branch(root, ())

    def _branch(self, node: Branch, path: Path) -> Branch:
        changed = {
            key: KeyedNode(entry.key, filled)
            for key, entry in node.entries.items()
            if (filled := self._node(entry.node, (*path, key))) is not entry.node
        }
        return Branch(node.mark, {**node.entries, **changed}) if changed else node

    def _node(self, node: Node, path: Path) -> Node:
        """The node itself where nothing in it is a reference: most are not."""
        if "$" not in text_of(node):
            return node
        if isinstance(node, Leaf):
            return self._leaf(node, path)
        if isinstance(node, Branch):
            return self._branch(node, path)
        items = tuple(self._node(item, (*path, number)) for number, item in enumerate(node.items))
        changed = any(new is not old for new, old in zip(items, node.items, strict=True))
        return Row(node.mark, items) if changed else node

    def _leaf(self, leaf: Leaf, path: Path) -> Leaf:
        filled: dict[str, str] = {}
        faults_before = len(self.faults)
        text = _REFERENCE.sub(lambda match: self._put(match, leaf, path, filled), leaf.text)
        if len(self.faults) > faults_before:
            return leaf._replace(text=text, value=Opaque(leaf.text))
        alone = _REFERENCE.fullmatch(leaf.text) is not None and leaf.text != "$$"
        kind = (Loose if leaf.plain else Filled) if alone and _typeable(text) else str
        return leaf._replace(text=text, value=kind(text), filled=filled)

    def _put(self, match: re.Match[str], leaf: Leaf, path: Path, filled: dict[str, str]) -> str:
        if match[0] == "$$":
            return "$"
        try:
            value = self._value(match, leaf, path)
        except (LookupError, ValueError) as error:
            kind = Warn if isinstance(error, LookupError) and not self.strict else ConfigFault
            self.faults.append(kind(leaf.mark, spell(path, self._root), str(error.args[0])))
            return match[0]
        if value:
            filled[value] = match[0]
        return value

    def _value(self, match: re.Match[str], leaf: Leaf, path: Path) -> str:
        inside = match[1]
        if inside is None:
            raise ValueError("`${` is not closed: write ${NAME}, or $${ for a literal ${")
        if inside.startswith("file:"):
            return self._file(inside.removeprefix("file:"), leaf)
        name = _NAME.fullmatch(inside)
        if name is None:
            raise ValueError(f"`{match[0]}` is not a reference: write ${{NAME}}, ${{NAME:-default}} or ${{file:/path}}")
        value = self.env.get(name[1])
        if name[2] is not None:
            value = value or name[2]
        if value is None:
            raise LookupError(f"the variable {name[1]} is not set: {_advise(name[1], path)}")
        if not value.isascii() and value.encode("utf-8", "replace").decode() != value:
            raise ValueError(f"the variable {name[1]} is not UTF-8 text: encode what it holds")
        return value

    def _file(self, name: str, leaf: Leaf) -> str:
        path = File(leaf.mark.file).parent / name
        self.files.append(path)
        try:
            with path.open("rb") as stream:
                content = stream.read(_LARGEST + 1)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or "no such path"
            raise LookupError(f"the file {path} cannot be read ({reason}): mount it or correct the path") from None
        if len(content) > _LARGEST:
            raise ValueError(f"the file {path} is larger than 1MiB: name a smaller file")
        try:
            return content.decode().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise ValueError(f"the file {path} is not UTF-8 text: encode what it holds") from None


def _advise(name: str, path: Path) -> str:
    """What to do about a variable that is not set: a secret has no place in the file, so not by its default either."""
    key = next((part for part in reversed(path) if isinstance(part, str)), "")
    if _SECRET.search(key) or _SECRET.search(name):
        return f"set it (`export {name}=...`), or name a file that holds it: ${{file:/run/secrets/...}}"
    return f"set it, or write ${{{name}:-default}}"


def _typeable(text: str) -> bool:
    try:
        meaning(text)
    except ValueError:
        return False
    return True
