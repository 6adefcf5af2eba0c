"""Which rules want an event, and the chat that each asks for. Pure: no clock, no network, no environment."""

from relay.rules.checker import RuleChecker, check_rule
from relay.rules.missing import missing_path
from relay.rules.ruleset import RuleSet, compile_rules
from relay.rules.scope import scope_of
from relay.rules.spec import Explanation, Fault, Matched, Reason, Rendered, RuleSpec
from relay.rules.template import Template
from relay.rules.version import make_version, rule_text

__all__ = [
    "Explanation",
    "Fault",
    "Matched",
    "Reason",
    "Rendered",
    "RuleChecker",
    "RuleSet",
    "RuleSpec",
    "Template",
    "check_rule",
    "compile_rules",
    "make_version",
    "missing_path",
    "rule_text",
    "scope_of",
]
