"""Reads one rule from a text that is in no file, to be tried."""

from collections.abc import Collection
from typing import Final

from relay.config.check import check_rules
from relay.config.draft import Draft, read_rows
from relay.config.fault import ConfigFault, Warn, lines
from relay.config.parse import parse
from relay.config.rule import Rule
from relay.config.settings import Settings
from relay.config.tree import Branch, KeyedNode, Leaf, Mark, Node, Row
from relay.errors import Misconfigured

_TOP: Final = Mark(0, 1, 1, "rule")
_WHAT: Final = "is not one rule: write its keys, such as name, source, when and chat"


def read_rule(text: str, settings: Settings) -> Rule:
    """The rule, written alone or as the only item of a list. Raises Misconfigured with every fault and its place.

    `${}` is not filled: whoever may try a rule may not see the environment.
    """
    node, faults = parse(text, "rule", 0)
    while isinstance(node, Row) and len(node.items) == 1:
        node = node.items[0]
    if not isinstance(node, Branch):
        raise Misconfigured(lines(faults or [ConfigFault(_TOP, "rule", _WHAT)]))
    draft = Draft(_around(node, settings.sources), vars=dict(settings.vars))
    draft.rules = read_rows(draft, "rules", Rule)
    check_rules(draft)
    wrong = [fault for fault in (*faults, *draft.faults) if not isinstance(fault, Warn)]
    if wrong or not draft.rules:
        raise Misconfigured(lines(wrong or [ConfigFault(_TOP, "rule", _WHAT)]))
    return draft.rules[0]


def _around(rule: Branch, sources: Collection[str]) -> Branch:
    """A configuration in which the rule is the only one."""

    def entry(node: Node) -> KeyedNode:
        return KeyedNode(_TOP, node)

    known = {name: entry(Leaf(_TOP, name, name, True, 1)) for name in sources}
    return Branch(_TOP, {"sources": entry(Branch(_TOP, known)), "rules": entry(Row(_TOP, (rule,)))})
