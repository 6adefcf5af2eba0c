"""The configuration while its faults are still being collected: what could be read, and what could not."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from relay.config.explain import explain, scrub
from relay.config.fault import Fault, Warn, near, spell
from relay.config.fill import Opaque
from relay.config.kinds import NIL, label, settle
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

Model = TypeVar("Model", bound=BaseModel)
_BLOCKS: Final[dict[str, type[BaseModel]]] = {
    "cargo": CargoBlock,
    "ledger": LedgerBlock,
    "broker": BrokerBlock,
    "results": ResultsBlock,
    "http": HttpBlock,
    "retry": RetryBlock,
    "encrypt": EncryptBlock,
}
_VAR: Final = re.compile(r"\{\{-?\s*vars\.(\w+)\s*-?\}\}")
_SOURCES: Final[dict[str, type[WebhookSource] | type[AmqpSource]]] = {"webhook": WebhookSource, "amqp": AmqpSource}


@dataclass(slots=True)
class Draft:
    """What was read of `root`. `broken` are the paths at which faults stand already: checks leave them alone.

    `strict`: it is to run as it is, so that what is not on this machine is a fault, else a warning.
    """

    root: Branch
    blocks: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, WebhookSource | AmqpSource] = field(default_factory=dict)
    rules: dict[int, Rule] = field(default_factory=dict)
    vars: dict[str, Any] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    broken: set[Path] = field(default_factory=set)
    strict: bool = True

    def fault(self, path: Path, message: str, *, line: int = 1, warn: bool = False) -> None:
        """Adds a fault (or a warning) at `path`; `line` counts inside that scalar."""
        node = find(self.root, path)
        mark = place(self.root, path)
        if isinstance(node, Leaf) and line + node.first != mark.line + 1:
            mark = Mark(mark.order, node.first + line - 1, 1, mark.file)
        kind = Warn if warn else Fault
        self.faults.append(kind(mark, spell(path, self.root), scrub(message, node)))

    def whole(self, *path: str | int) -> bool:
        """Whether nothing at `path`, above or below it, is broken."""
        return not any(path[: len(bad)] == bad or bad[: len(path)] == path for bad in self.broken)

    def opaque(self, *path: str | int) -> bool:
        """Whether a variable that is not set leaves something at or below `path` unknown."""
        node = find(self.root, path)
        return node is not None and any(isinstance(leaf.value, Opaque) for _, leaf in leaves(node))

    def settings(self) -> Settings:
        """What was read, as settings; only when there are no faults."""
        blocks = {key: block for key, block in self.blocks.items() if block is not None}
        rules = tuple(rule for _, rule in sorted(self.rules.items()))
        return Settings(**blocks, vars=self.vars, sources=self.sources, rules=rules)


def read(root: Branch, *, strict: bool = True) -> Draft:
    """Reads every block, source and rule on its own, so that the faults of one hide none of another."""
    draft = Draft(root, strict=strict)
    for key, entry in root.entries.items():
        if key not in Settings.model_fields:
            message = f"is not a key of the configuration: {near(key, Settings.model_fields)}"
            draft.faults.append(Fault(entry.key, key, message))
    for key, model in _BLOCKS.items():
        node = _present(root, key)
        if node is not None or key != "broker":
            draft.blocks[key] = _read(draft, model, node or Branch(place(root, (key,)), {}), (key,))
    _read_vars(draft)
    _read_sources(draft)
    _read_rules(draft)
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
    """The innermost key on the way to `loc` that is there and can be taken out."""
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
        draft.fault((key,), "must be a mapping, each name with what it stands for")


def _read_vars(draft: Draft) -> None:
    uuids = set(_uuid_vars(draft.root))
    for key, node in _entries(draft, "vars"):
        unknown = isinstance(node, Leaf) and isinstance(node.value, Opaque)
        draft.vars[key] = NIL if unknown and key in uuids else settle(bare(node))


def _uuid_vars(root: Branch) -> Iterator[str]:
    """The constants that rules put where Cargo wants a uuid."""
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
            draft.faults.append(Fault(key_place(draft.root, path), spell(path), str(error)))
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


def _read_rules(draft: Draft) -> None:
    node = _present(draft.root, "rules")
    if node is not None and not isinstance(node, Row):
        draft.broken.add(("rules",))
        draft.fault(("rules",), "must be a list: begin each rule with a dash")
        return
    for number, item in enumerate(node.items if node else ()):
        rule = _read(draft, Rule, item, ("rules", number))
        if rule is not None:
            draft.rules[number] = rule
