"""What is wrong with a configuration, and where."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

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


class Line(str):
    """A fault as one line, which still knows its parts."""

    __slots__ = ("fault",)
    fault: Fault

    @classmethod
    def of(cls, fault: Fault) -> "Line":
        line = cls(fault)
        line.fault = fault
        return line


def lines(faults: Iterable[Fault]) -> list[Line]:
    """Each once, in the order of the files."""
    ordered = sorted(set(faults), key=lambda fault: (fault.mark, fault.key, fault.message))
    return list(dict.fromkeys(Line.of(fault) for fault in ordered))


def describe(line: str) -> dict[str, Any]:
    """A fault's parts for a program: file, line and column (null where there is no place), key, message, hint.

    The hint is what follows the last colon of the message: what would be right.
    """
    if not isinstance(line, Line):
        return {"file": None, "line": None, "column": None, "key": None, "message": line, "hint": None}
    fault = line.fault
    message, _, hint = fault.message.rpartition(": ")
    return {
        "file": fault.mark.file,
        "line": fault.mark.line or None,
        "column": fault.mark.column if fault.mark.line else None,
        "key": fault.key,
        "message": message or fault.message,
        "hint": hint if message else None,
    }


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
