"""Puts files together: those of a folder add up, later paths override earlier ones."""

from collections.abc import Sequence

from relay.config.fault import Fault, Warn
from relay.config.tree import Branch, Entry, Leaf, Mark, Node, Row, bare, find

_RULES = "rules"
_SOURCES = "sources"


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


def told(below: Branch, above: Branch) -> list[Warn]:
    """What `override` takes away: one line for each source, rule and other value that `above` gives anew.

    A value that is written the same in both is no override.
    """
    found: list[Warn] = []
    for name, entry in above.entries.items():
        known = below.entries.get(name)
        if known is None:
            continue
        if name == _RULES and isinstance(known.node, Row) and isinstance(entry.node, Row):
            older = {rule_name(rule): rule for rule in known.node.items if rule_name(rule) is not None}
            pairs = [
                (f"rules[{rule_name(rule)}]", rule.mark, older.get(rule_name(rule)), rule) for rule in entry.node.items
            ]
        elif name == _SOURCES and isinstance(known.node, Branch) and isinstance(entry.node, Branch):
            pairs = [
                (f"{name}.{key}", mine.key, known.node.entries[key].node, mine.node)
                for key, mine in entry.node.entries.items()
                if key in known.node.entries
            ]
        else:
            found += _told_below(name, known.node, entry.node)
            continue
        found += [_overrides(key, mark, old.mark) for key, mark, old, new in pairs if old and _differs(old, new)]
    return found


def _told_below(key: str, below: Node, above: Node) -> list[Warn]:
    if isinstance(below, Branch) and isinstance(above, Branch):
        return [
            warning
            for name, entry in above.entries.items()
            if name in below.entries
            for warning in _told_below(f"{key}.{name}", below.entries[name].node, entry.node)
        ]
    return [_overrides(key, above.mark, below.mark)] if _differs(below, above) else []


def _overrides(key: str, mark: Mark, older: Mark) -> Warn:
    return Warn(mark, key, f"overrides the one at {older}, because its file is named by a later --config")


def _differs(below: Node, above: Node) -> bool:
    """Whether `above`, laid over `below`, changes it."""
    return bool(bare(_deep(below, above)) != bare(below))


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
