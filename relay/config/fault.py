"""The faults of a configuration and their places."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from relay.config.tree import Leaf, Mark, Node, Path, find


@dataclass(frozen=True, slots=True)
class ConfigFault:
    """A mistake in the configuration. `message` says what is wrong and what is right, and never contains a secret."""

    mark: Mark
    key: str
    message: str

    def __str__(self) -> str:
        return f"{self.mark}: {self.key}: {self.message}"


@dataclass(frozen=True, slots=True)
class Warn(ConfigFault):
    """A warning: valid, but perhaps not intended."""


class FaultLine(str):
    """A fault as a line of text that keeps the fault."""

    __slots__ = ("fault",)
    fault: ConfigFault

    @classmethod
    def of(cls, fault: ConfigFault) -> "FaultLine":
        line = cls(fault)
        line.fault = fault
        return line


def lines(faults: Iterable[ConfigFault]) -> list[FaultLine]:
    """The faults as lines, without repetitions, in the order of the files.

    A fault that several rules share, because they have it from one place, is listed for the first of them only.
    """
    ordered = sorted(set(faults), key=lambda fault: (fault.mark, fault.key, fault.message))
    first = {(fault.mark, fault.message, _key_in_rule(fault.key)): fault for fault in reversed(ordered)}
    return [
        FaultLine.of(fault) for fault in ordered if first[fault.mark, fault.message, _key_in_rule(fault.key)] is fault
    ]


def _key_in_rule(key: str) -> str:
    """The key without the name of its rule."""
    return key.partition("].")[2] if key.startswith("rules[") else key


def describe(line: str) -> dict[str, Any]:
    """The parts of a fault as JSON values: file, line and column (null without a place), key, message and hint.

    The hint, which says what is right, is the text after the last colon of the message.
    """
    if not isinstance(line, FaultLine):
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
    """Write a path as `rules[2].chat.trigger`. With `root`, a rule is given by its name, if it has one."""
    text = ""
    name = find(root, (*path[:2], "name")) if root and len(path) > 1 and path[0] == "rules" else None
    if isinstance(name, Leaf) and isinstance(name.value, str) and not name.filled:
        text, path = f"rules[{name.value}]", path[2:]
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def near(word: str, candidates: Iterable[str]) -> str:
    """`did you mean `x`?` when a candidate is similar, otherwise the list of candidates."""
    words = sorted(candidates)
    close = difflib.get_close_matches(word, words, n=1, cutoff=0.7)
    if close:
        return f"did you mean `{close[0]}`?"
    return f"known are {', '.join(words)}" if words else "there are none"
