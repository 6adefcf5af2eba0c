"""`defaults:` of a file: any key of a rule (`relay.rules.keys`) for each rule of that file that does not set it."""

from typing import Final

from relay.config.fault import ConfigFault, Warn, near
from relay.config.rule import Defaults
from relay.config.tree import Branch, KeyedNode, Leaf, Node, Row

_DEFAULTS: Final = "defaults"
_RULES: Final = "rules"


def spread(file: Branch) -> tuple[Branch, list[ConfigFault]]:
    """The file with its defaults put into its rules, and what is wrong with them as a whole.

    What a rule has from there stands in it as if it were written there, at the line of `defaults`.
    """
    given = file.entries.get(_DEFAULTS)
    if given is None or (isinstance(given.node, Leaf) and given.node.value is None):
        return file, []
    rest = {key: entry for key, entry in file.entries.items() if key != _DEFAULTS}
    if not isinstance(given.node, Branch):
        told = "must be a mapping: write the keys that every rule of this file has, as sample: 10%"
        return Branch(file.mark, rest), [ConfigFault(given.key, _DEFAULTS, told)]
    known = Defaults.model_fields
    faults: list[ConfigFault] = [
        ConfigFault(entry.key, f"{_DEFAULTS}.{key}", f"is not a key that rules have from there: {near(key, known)}")
        for key, entry in given.node.entries.items()
        if key not in known
    ]
    rules = rest.get(_RULES)
    if rules is None or not isinstance(rules.node, Row):
        faults.append(
            Warn(given.key, _DEFAULTS, "has no effect: it is for the rules of its own file, and there are none")
        )
        return Branch(file.mark, rest), faults
    keys = {key: entry for key, entry in given.node.entries.items() if key in known}
    rest[_RULES] = KeyedNode(rules.key, Row(rules.node.mark, tuple(_give(rule, keys) for rule in rules.node.items)))
    return Branch(file.mark, rest), faults


def _give(rule: Node, keys: dict[str, KeyedNode]) -> Node:
    return Branch(rule.mark, {**keys, **rule.entries}) if isinstance(rule, Branch) else rule
