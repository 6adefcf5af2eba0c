"""Puts files together: those of a folder add up, later paths override earlier ones."""

from collections.abc import Sequence

from relay.config.fault import Fault
from relay.config.tree import Branch, Entry, Leaf, Mark, Node, Row, find

_RULES = "rules"


def gather(files: Sequence[Branch], at: Mark) -> tuple[Branch, list[Fault]]:
    """The files of one path as one tree. What is given twice is a fault that names both places."""
    entries: dict[str, Entry] = {}
    faults: list[Fault] = []
    for file in files:
        for name, entry in file.entries.items():
            if name not in entries or _empty(entries[name].node):
                entries[name] = entry
            elif not _empty(entry.node):
                entries[name] = _add(name, entries[name], entry, faults)
    faults.extend(_repeated(entries))
    return Branch(files[0].mark if files else at, entries), faults


def override(below: Branch, above: Branch) -> Branch:
    """`above` over `below`: mappings key by key; a rule takes the place of the rule of its name, others follow."""
    entries = dict(below.entries)
    for name, entry in above.entries.items():
        known = entries.get(name)
        entries[name] = entry if known is None else Entry(entry.key, _over(name, known.node, entry.node))
    return Branch(below.mark, entries)


def rule_name(node: Node) -> str | None:
    """The name that a rule's mapping gives, None when it gives none."""
    name = find(node, ("name",))
    return name.text if isinstance(name, Leaf) else None


def _empty(node: Node) -> bool:
    return isinstance(node, Leaf) and node.value is None


def _add(name: str, first: Entry, second: Entry, faults: list[Fault]) -> Entry:
    one, two = first.node, second.node
    if isinstance(one, Row) and isinstance(two, Row) and name == _RULES:
        return Entry(first.key, Row(one.mark, one.items + two.items))
    if not (isinstance(one, Branch) and isinstance(two, Branch)):
        faults.append(_twice(name, first.key, second.key))
        return first
    faults.extend(
        _twice(f"{name}.{key}", one.entries[key].key, entry.key)
        for key, entry in two.entries.items()
        if key in one.entries
    )
    return Entry(first.key, Branch(one.mark, {**two.entries, **one.entries}))


def _twice(key: str, first: Mark, second: Mark) -> Fault:
    return Fault(second, key, f"is given twice, first at {first}: keep one")


def _repeated(entries: dict[str, Entry]) -> list[Fault]:
    rules = entries[_RULES].node if _RULES in entries else None
    seen: dict[str, Mark] = {}
    faults = []
    for rule in rules.items if isinstance(rules, Row) else ():
        name = rule_name(rule)
        if name is not None and name in seen:
            faults.append(_twice(f"rules[{name}]", seen[name], rule.mark))
        elif name is not None:
            seen[name] = rule.mark
    return faults


def _over(name: str, below: Node, above: Node) -> Node:
    if name == _RULES and isinstance(below, Row) and isinstance(above, Row):
        return _over_rules(below, above)
    return _deep(below, above)


def _deep(below: Node, above: Node) -> Node:
    if not (isinstance(below, Branch) and isinstance(above, Branch)):
        return above
    entries = dict(below.entries)
    for key, entry in above.entries.items():
        known = entries.get(key)
        entries[key] = entry if known is None else Entry(entry.key, _deep(known.node, entry.node))
    return Branch(below.mark, entries)


def _over_rules(below: Row, above: Row) -> Row:
    newer = {name: rule for rule in above.items if (name := rule_name(rule)) is not None}
    kept = [newer.pop(rule_name(rule) or "", rule) for rule in below.items]
    placed = {id(rule) for rule in kept}
    return Row(above.mark, (*kept, *(rule for rule in above.items if id(rule) not in placed)))
