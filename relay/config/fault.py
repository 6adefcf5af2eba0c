"""What is wrong with a configuration, and where."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from relay.config.tree import Leaf, Mark, Node, Path, find


@dataclass(frozen=True, slots=True)
class Fault:
    """`message` says what is wrong and what would be right; it never holds a secret's value."""

    mark: Mark
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.mark}: {self.key}: {self.message}"


@dataclass(frozen=True, slots=True)
class Warn(Fault):
    """Not wrong, but perhaps not meant."""


def lines(faults: Iterable[Fault]) -> list[str]:
    """Each once, in the order of the files."""
    ordered = sorted(set(faults), key=lambda fault: (fault.mark, fault.key, fault.message))
    return list(dict.fromkeys(str(fault) for fault in ordered))


def spell(path: Path, root: Node | None = None) -> str:
    """A path as people write it: `rules[2].chat.trigger`; with its `root` a rule goes by its name, if it has one."""
    text = ""
    named = find(root, (*path[:2], "name")) if root and len(path) > 1 and path[0] == "rules" else None
    if isinstance(named, Leaf) and isinstance(named.value, str) and not named.filled:
        text, path = f"rules[{named.value}]", path[2:]
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def near(word: str, known: Iterable[str]) -> str:
    """`did you mean `x`?` when a known word is close, else the known words."""
    words = sorted(known)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.7)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known here: {', '.join(words)}" if words else "there are none here"
