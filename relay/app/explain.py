"""Why each rule made a chat of an event of the past, or did not: by the rules as they were when it was decided."""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from relay.app.dry import show_verdict
from relay.config import Rule
from relay.model import Event, EventDetail, RuleVersion, Skip, set_hash
from relay.rules import Reason, RuleSet, compile_rules
from relay.rules.index import Index

_FOREIGN = frozenset({Reason.SOURCE, Reason.TYPE})
_KEPT: Final = 4
"""Sets of rules of the past that are kept compiled: who reads one event reads its neighbours, and comes back."""


def explain_past(detail: EventDetail, versions: Sequence[RuleVersion], present: RuleSet) -> dict[str, Any]:
    """The verdicts of the rules whose source and type fit, ready for JSON. Slow, the first time of its rules
    most of all: for people, in a thread.

    `versions` are the rules that decided the event, in their order. Where they are not kept, `present` takes their
    place and `asOf` is `now` instead of `then`. What the ledger decided is told as it decided it.
    """
    event = detail.event
    rules = _rules_then(event, versions, present) if versions else present
    verdicts = [] if event.unreadable is not None else rules.explain(event)
    skips = {skip.rule: skip for skip in detail.skips} if versions else {}
    made = {dispatch.rule for dispatch in detail.dispatches}
    return {
        "asOf": "then" if versions else "now",
        "rules": [
            _decided(show_verdict(verdict), skips.get(verdict.rule), made=verdict.rule in made)
            for verdict in verdicts
            if verdict.reason not in _FOREIGN
        ],
    }


def _rules_then(event: Event, versions: Sequence[RuleVersion], present: RuleSet) -> RuleSet:
    """Those in force now, where they still are the same: they are compiled already."""
    if set_hash(versions) == present.hash:
        return present
    return _compile(event.source, event.type, tuple(versions))


@lru_cache(maxsize=_KEPT)
def _compile(source: str, kind: str | None, versions: tuple[RuleVersion, ...]) -> RuleSet:
    """The rules that may want such an event, with the constants that they named: those of one configuration agree."""
    written = [json.loads(version.text) for version in versions]
    index = Index([_texts(rule, "source") for rule in written], [_texts(rule, "type") for rule in written])
    constants: dict[str, Any] = {}
    specs, kept = [], []
    for number in index.find(source, kind):
        constants |= written[number].pop("vars", {})
        specs.append(Rule.model_validate(written[number]).spec)
        kept.append(versions[number])
    return compile_rules(specs, constants, kept)


def _texts(rule: Mapping[str, Any], key: str) -> tuple[str, ...]:
    given = rule.get(key, ())
    return (given,) if isinstance(given, str) else tuple(given)


def _decided(verdict: dict[str, Any], skip: Skip | None, *, made: bool) -> dict[str, Any]:
    """A verdict with what the ledger decided beside the rule: a value that was unchanged, an event that came late."""
    if skip is None or made or not verdict["matched"]:
        return verdict
    told = f", {skip.detail}" if isinstance(skip.detail, str) else ""
    why = f"it was skipped: {skip.why}{told}"
    return verdict | {"matched": False, "reason": str(Reason.SKIPPED), "why": why, "skip": skip.document()}
