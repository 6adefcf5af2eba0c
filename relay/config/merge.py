"""Merges files: the files of a folder are combined, and later paths override earlier ones."""

from collections.abc import Sequence

from relay.config.fault import ConfigFault, Warn
from relay.config.tree import Branch, KeyedNode, Leaf, Mark, Node, Row, bare, find

_ROWS = frozenset({"rules", "tests"})
"""Lists whose items have names: those of several files add up."""
_SOURCES = "sources"


def gather(files: Sequence[Branch], at: Mark) -> tuple[Branch, list[ConfigFault]]:
    """Combine the files of one path. Something that is given twice is a fault that names both places."""
    entries: dict[str, KeyedNode] = {}
    faults: list[ConfigFault] = []
    for file in files:
        for name, entry in file.entries.items():
            if name not in entries or _empty(entries[name].node):
                entries[name] = entry
            elif not _empty(entry.node):
                entries[name] = _add(name, entries[name], entry, faults)
    faults.extend(_repeated(entries))
    return Branch(files[0].mark if files else at, entries), faults


def override(below: Branch, above: Branch) -> Branch:
    """Lay `above` over `below`: mappings key by key. A rule or test replaces that of the same name; new ones follow."""
    entries = dict(below.entries)
    for name, entry in above.entries.items():
        lower = entries.get(name)
        entries[name] = entry if lower is None else KeyedNode(entry.key, _over(name, lower.node, entry.node))
    return Branch(below.mark, entries)


def list_overrides(below: Branch, above: Branch) -> list[Warn]:
    """Warnings for each source, rule and other value of `below` that `above` overrides with a different one."""
    warnings: list[Warn] = []
    for name, entry in above.entries.items():
        lower = below.entries.get(name)
        if lower is None:
            continue
        if name in _ROWS and isinstance(lower.node, Row) and isinstance(entry.node, Row):
            older = {rule_name(rule): rule for rule in lower.node.items if rule_name(rule) is not None}
            pairs = [
                (f"{name}[{rule_name(rule)}]", rule.mark, older.get(rule_name(rule)), rule) for rule in entry.node.items
            ]
        elif name == _SOURCES and isinstance(lower.node, Branch) and isinstance(entry.node, Branch):
            pairs = [
                (f"{name}.{key}", upper.key, lower.node.entries[key].node, upper.node)
                for key, upper in entry.node.entries.items()
                if key in lower.node.entries
            ]
        else:
            warnings += _list_overrides_below(name, lower.node, entry.node)
            continue
        warnings += [
            _overrides(key, mark, lower_node.mark)
            for key, mark, lower_node, upper_node in pairs
            if lower_node and _differs(lower_node, upper_node)
        ]
    return warnings


def _list_overrides_below(key: str, below: Node, above: Node) -> list[Warn]:
    if isinstance(below, Branch) and isinstance(above, Branch):
        return [
            warning
            for name, entry in above.entries.items()
            if name in below.entries
            for warning in _list_overrides_below(f"{key}.{name}", below.entries[name].node, entry.node)
        ]
    return [_overrides(key, above.mark, below.mark)] if _differs(below, above) else []


def _overrides(key: str, mark: Mark, older: Mark) -> Warn:
    return Warn(mark, key, f"overrides the value at {older}, because a later --config names this file")


def _differs(below: Node, above: Node) -> bool:
    """Whether laying `above` over `below` changes it."""
    return bool(bare(_deep(below, above)) != bare(below))


def rule_name(node: Node) -> str | None:
    """The name in the mapping of a rule or a test, None when it has none."""
    name = find(node, ("name",))
    return name.text if isinstance(name, Leaf) else None


def _empty(node: Node) -> bool:
    return isinstance(node, Leaf) and node.value is None


def _add(name: str, first: KeyedNode, second: KeyedNode, faults: list[ConfigFault]) -> KeyedNode:
    first_node, second_node = first.node, second.node
    if isinstance(first_node, Row) and isinstance(second_node, Row) and name in _ROWS:
        return KeyedNode(first.key, Row(first_node.mark, first_node.items + second_node.items))
    if not (isinstance(first_node, Branch) and isinstance(second_node, Branch)):
        faults.append(_twice(name, first.key, second.key))
        return first
    faults.extend(
        _twice(f"{name}.{key}", first_node.entries[key].key, entry.key)
        for key, entry in second_node.entries.items()
        if key in first_node.entries
    )
    return KeyedNode(first.key, Branch(first_node.mark, {**second_node.entries, **first_node.entries}))


def _twice(key: str, first: Mark, second: Mark) -> ConfigFault:
    return ConfigFault(second, key, f"is given twice, first at {first}: keep one")


def _repeated(entries: dict[str, KeyedNode]) -> list[ConfigFault]:
    faults = []
    for key in sorted(_ROWS & entries.keys()):
        rows = entries[key].node
        seen: dict[str, Mark] = {}
        for row in rows.items if isinstance(rows, Row) else ():
            name = rule_name(row)
            if name is not None and name in seen:
                faults.append(_twice(f"{key}[{name}]", seen[name], row.mark))
            elif name is not None:
                seen[name] = row.mark
    return faults


def _over(name: str, below: Node, above: Node) -> Node:
    if name in _ROWS and isinstance(below, Row) and isinstance(above, Row):
        return _over_rules(below, above)
    return _deep(below, above)


def _deep(below: Node, above: Node) -> Node:
    if not (isinstance(below, Branch) and isinstance(above, Branch)):
        return above
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        lower = entries.get(key)
        entries[key] = entry if lower is None else KeyedNode(entry.key, _deep(lower.node, entry.node))
    return Branch(below.mark, entries)


def _over_rules(below: Row, above: Row) -> Row:
    newer = {name: rule for rule in above.items if (name := rule_name(rule)) is not None}
    kept = [newer.pop(rule_name(rule) or "", rule) for rule in below.items]
    placed = {id(rule) for rule in kept}
    return Row(above.mark, (*kept, *(rule for rule in above.items if id(rule) not in placed)))
