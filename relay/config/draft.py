"""A configuration whose faults are still being collected: what could be read, and what could not."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from relay.config.alerts import AlertsBlock
from relay.config.case import Case, PlacedCase
from relay.config.explain import explain, scrub
from relay.config.fault import ConfigFault, Warn, near, spell
from relay.config.rule import Rule
from relay.config.settings import (
    BrokerBlock,
    CargoBlock,
    EncryptBlock,
    HttpBlock,
    LedgerBlock,
    ResultsBlock,
    RetryBlock,
    Settings,
)
from relay.config.source import AmqpSource, WebhookSource
from relay.config.tree import Branch, Leaf, Mark, Node, Path, Row, bare, find, key_place, leaves, place
from relay.written.kinds import NIL, label, settle
from relay.written.reference import Opaque

Model = TypeVar("Model", bound=BaseModel)
_BLOCKS: Final[dict[str, type[BaseModel]]] = {
    "cargo": CargoBlock,
    "ledger": LedgerBlock,
    "broker": BrokerBlock,
    "results": ResultsBlock,
    "http": HttpBlock,
    "retry": RetryBlock,
    "encrypt": EncryptBlock,
    "alerts": AlertsBlock,
}
_VAR: Final = re.compile(r"\{\{-?\s*vars\.(\w+)\s*-?\}\}")
_SOURCES: Final[dict[str, type[WebhookSource] | type[AmqpSource]]] = {"webhook": WebhookSource, "amqp": AmqpSource}


@dataclass(slots=True)
class Draft:
    """What was read of `root`. `broken` are the paths that have faults already, which further checks skip.

    `strict` makes missing files and variables faults, as `serve` needs; otherwise they are warnings.
    """

    root: Branch
    blocks: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, WebhookSource | AmqpSource] = field(default_factory=dict)
    rules: dict[int, Rule] = field(default_factory=dict)
    tests: dict[int, Case] = field(default_factory=dict)
    vars: dict[str, Any] = field(default_factory=dict)
    faults: list[ConfigFault] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)
    strict: bool = True

    def fault(self, path: Path, message: str, *, line: int = 1, warn: bool = False) -> None:
        """Add a fault (or a warning) at `path`. `line` counts from 1 inside the scalar there."""
        node = find(self.root, path)
        mark = place(self.root, path)
        if isinstance(node, Leaf) and line + node.first != mark.line + 1:
            mark = Mark(mark.order, node.first + line - 1, 1, mark.file)
        kind = Warn if warn else ConfigFault
        self.faults.append(kind(mark, spell(path, self.root), scrub(message, node)))

    def whole(self, *path: str | int) -> bool:
        """Whether nothing at `path`, above it or below it is broken."""
        return not any(path[: len(fault)] == fault or fault[: len(path)] == path for fault in self.broken)

    def opaque(self, *path: str | int) -> bool:
        """Whether something at or below `path` is unknown because a variable is not set."""
        node = find(self.root, path)
        return node is not None and any(isinstance(leaf.value, Opaque) for _, leaf in leaves(node))

    def settings(self) -> Settings:
        """The settings, without the tests. Call it only when there are no faults."""
        blocks = {key: block for key, block in self.blocks.items() if block is not None}
        rules = tuple(rule for _, rule in sorted(self.rules.items()))
        return Settings(**blocks, vars=self.vars, sources=self.sources, rules=rules)

    def cases(self) -> tuple[PlacedCase, ...]:
        """The tests, each with its place."""
        marks = [(case, place(self.root, ("tests", number))) for number, case in sorted(self.tests.items())]
        return tuple(PlacedCase(case, str(mark), File(mark.file).parent) for case, mark in marks)


def read(root: Branch, *, strict: bool = True) -> Draft:
    """Read every block, source and rule separately, so that the faults of one do not hide those of another."""
    draft = Draft(root, strict=strict)
    for key, entry in root.entries.items():
        if key not in Settings.model_fields:
            message = f"is not a key of the configuration: {near(key, Settings.model_fields)}"
            draft.faults.append(ConfigFault(entry.key, key, message))
    for key, model in _BLOCKS.items():
        node = _present(root, key)
        if node is not None or key != "broker":
            draft.blocks[key] = _read(draft, model, node or Branch(place(root, (key,)), {}), (key,))
    _read_vars(draft)
    _read_sources(draft)
    draft.rules = read_rows(draft, "rules", Rule)
    draft.tests = read_rows(draft, "tests", Case)
    return draft


def _present(root: Branch, key: str) -> Node | None:
    node = find(root, (key,))
    return None if isinstance(node, Leaf) and node.value is None else node


def _read(draft: Draft, model: type[Model], node: Node, path: Path) -> Model | None:
    values = bare(node)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        draft.faults.extend(explain(error, model, node, path, draft.root))
        bad = {_culprit(values, detail["loc"]) for detail in error.errors()}
    draft.broken.update(path + culprit for culprit in bad)
    try:
        return model.model_validate(_without(values, bad, ()))
    except ValidationError:
        return None


def _culprit(values: Any, loc: Path) -> Path:
    """The innermost key on the path to `loc` that exists and can be removed."""
    for number, step in enumerate(loc):
        if not isinstance(values, dict) or step not in values:
            return loc[:number]
        values = values[step]
    return loc


def _without(values: Any, bad: set[Path], path: Path) -> Any:
    if not isinstance(values, dict):
        return values
    return {key: _without(value, bad, (*path, key)) for key, value in values.items() if (*path, key) not in bad}


def _entries(draft: Draft, key: str) -> Iterator[tuple[str, Node]]:
    node = _present(draft.root, key)
    if isinstance(node, Branch):
        yield from ((name, entry.node) for name, entry in node.entries.items())
    elif node is not None:
        draft.broken.add((key,))
        draft.fault((key,), "must be a mapping of names to values: write each as name: value")


def _read_vars(draft: Draft) -> None:
    entries = list(_entries(draft, "vars"))
    unknown = {key for key, node in entries if isinstance(node, Leaf) and isinstance(node.value, Opaque)}
    uuids = unknown.intersection(_uuid_vars(draft.root)) if unknown else unknown
    for key, node in entries:
        draft.vars[key] = NIL if key in uuids else settle(bare(node))


def _uuid_vars(root: Branch) -> Iterator[str]:
    """The constants that rules use where Cargo expects a uuid."""
    for path, leaf in leaves(root):
        used = _VAR.fullmatch(leaf.text.strip())
        if used and str(path[-1]).endswith("Uuid"):
            yield used[1]


def _read_sources(draft: Draft) -> None:
    for key, node in _entries(draft, "sources"):
        path = ("sources", key)
        try:
            label(key)
        except ValueError as error:
            draft.faults.append(ConfigFault(key_place(draft.root, path), spell(path), str(error)))
        model = _source_model(draft, node, path)
        source = _read(draft, model, node, path) if model else None
        if source is not None:
            draft.sources[key] = source


def _source_model(draft: Draft, node: Node, path: Path) -> type[WebhookSource] | type[AmqpSource] | None:
    kind = find(node, ("type",))
    if isinstance(kind, Leaf) and kind.value in _SOURCES:
        return _SOURCES[str(kind.value)]
    draft.broken.add(path)
    if not isinstance(node, Branch):
        draft.fault(path, "must be a mapping of keys: write at least {type: webhook, scheme: ...}")
    elif kind is None:
        draft.fault((*path, "type"), "is missing: write type: webhook or type: amqp")
    else:
        word = kind.text if isinstance(kind, Leaf) else ""
        draft.fault((*path, "type"), f"is not one of webhook, amqp: {near(word, _SOURCES)}")
    return None


def read_rows(draft: Draft, key: str, model: type[Model]) -> dict[int, Model]:
    """What could be read of a list, by number."""
    node = _present(draft.root, key)
    if node is not None and not isinstance(node, Row):
        draft.broken.add((key,))
        draft.fault((key,), f"must be a list: begin each {key[:-1]} with a dash")
        return {}
    found = [
        (number, _read(draft, model, item, (key, number))) for number, item in enumerate(node.items if node else ())
    ]
    return {number: each for number, each in found if each is not None}
