"""The rehearsal of other rules: what they make of events of the past, beside what the rules in force make of them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import unified_diff
from typing import Any, Final

from relay.config import Rule
from relay.errors import RelayError
from relay.model import Event
from relay.rules import Rendered, RuleSet, compile_rules, make_version
from relay.rules.keys import KEYS, Key

_LONGEST: Final = 200
"""Lines of a diff in an example."""
_ORDER: Final = frozenset({"expires", "priority"})
"""Keys that the ledger is asked for and that say when there is a chat, not whether."""
_OWN: Final = frozenset({"chat", "let"})
"""Keys whose value is the operator's own, in which an empty list is one."""


@dataclass(slots=True)
class RuleChange:
    """How many chats a rule makes by the rules in force and by the new ones, and what differs.

    `examples` has the first event of each kind of difference (`more`, `fewer`, `changed`).
    """

    today: int = 0
    new: int = 0
    more: int = 0
    fewer: int = 0
    changed: int = 0
    examples: dict[str, dict[str, Any]] = field(default_factory=dict)


class Rehearsal:
    """Compares two sets of rules event by event. Only what matches and renders is compared, nothing is sent.

    A chat is a rule that matches and can be rendered. A rule that was renamed and makes the same chat is no difference.
    """

    def __init__(self, today: RuleSet, new: RuleSet) -> None:
        self.today = today
        self.new = new
        self.events = 0
        self.unread = 0
        self.rules: dict[str, RuleChange] = {}

    def wants(self, source: str, kind: str | None) -> bool:
        """Whether any rule of the two may want an event; the others need not be read."""
        return self.today.wants(source, kind) or self.new.wants(source, kind)

    def take(self, event: Event | RelayError | None) -> None:
        """Compare the chats of one event. None is one that no rule wants, an error one that cannot be read."""
        self.events += 1
        if isinstance(event, RelayError) or (event is not None and event.unreadable is not None):
            self.unread += 1
        elif event is not None:
            self._judge(event)

    def _judge(self, event: Event) -> None:
        before, after = (_chats(rules, event) for rules in (self.today, self.new))
        for names, chats in (("today", before), ("new", after)):
            for rule in chats:
                change = self._of(rule)
                setattr(change, names, getattr(change, names) + 1)
        for rule in before.keys() & after.keys():
            if _lines(before[rule]) != _lines(after[rule]):
                self._note(rule, "changed", event, before[rule], after[rule])
        gone = {rule: chat for rule, chat in before.items() if rule not in after}
        added = {rule: chat for rule, chat in after.items() if rule not in before}
        for rule, former in _renamed(gone, added):
            del gone[former], added[rule]
        for rule, chat in gone.items():
            self._note(rule, "fewer", event, chat, None)
        for rule, chat in added.items():
            self._note(rule, "more", event, None, chat)

    def document(self) -> dict[str, Any]:
        """What was found, as JSON values."""
        changes = self.rules.values()
        specs = (*self.new.rules, *self.today.rules)
        places = {spec.name: place for place, spec in reversed([*enumerate(specs)])}
        return {
            "events": self.events,
            "unread": self.unread,
            "today": sum(change.today for change in changes),
            "new": sum(change.new for change in changes),
            **{kind: sum(getattr(change, kind) for change in changes) for kind in ("more", "fewer", "changed")},
            "rules": [
                {
                    "rule": rule,
                    **{name: getattr(change, name) for name in ("today", "new", "more", "fewer", "changed")},
                    "examples": [{"kind": kind, **example} for kind, example in change.examples.items()],
                }
                for rule, change in sorted(self.rules.items(), key=lambda named: places[named[0]])
            ],
            "notJudged": [{"rule": rule, "keys": keys} for rule, keys in _unjudged(specs).items()],
        }

    def _of(self, rule: str) -> RuleChange:
        return self.rules.setdefault(rule, RuleChange())

    def _note(self, rule: str, kind: str, event: Event, before: Rendered | None, after: Rendered | None) -> None:
        change = self._of(rule)
        setattr(change, kind, getattr(change, kind) + 1)
        if kind in change.examples:
            return
        # What one side does not make is explained by the rules of that side.
        silent = self.new if after is None else self.today if before is None else None
        change.examples[kind] = {
            "eventId": event.id,
            "why": None if silent is None else _why(silent, rule, event),
            "diff": list(_diff(_lines(before), _lines(after))),
        }


def rules_of_document(settings: Mapping[str, Any]) -> RuleSet:
    """The rules in force at a running relay, from the `settings` that its API shows."""
    rules = [Rule.model_validate(_written(rule)) for rule in settings["rules"]]
    constants = settings["vars"]
    versions = [make_version(rule.name, rule.text, constants) for rule in rules]
    return compile_rules([rule.spec for rule in rules], constants, versions)


def _written(rule: Mapping[str, Any]) -> dict[str, Any]:
    """A rule as one would write it. An empty list stands for a key that was left out, but in a chat it is a value."""
    return {key: value if key in _OWN else _without_empty(value) for key, value in rule.items() if value != []}


def _without_empty(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_empty(item) for key, item in value.items() if item != []}
    return [_without_empty(item) for item in value] if isinstance(value, list) else value


def _chats(rules: RuleSet, event: Event) -> dict[str, Rendered]:
    return {made.rule: made for made in rules.match(event, alone=True).rendered if made.failure is None}


def _renamed(gone: Mapping[str, Rendered], added: Mapping[str, Rendered]) -> Iterator[tuple[str, str]]:
    """Pairs of a new and a former rule that make the same chat."""
    former = {"\n".join(_lines(chat)): rule for rule, chat in gone.items()}
    for rule, chat in list(added.items()):
        if (old := former.pop("\n".join(_lines(chat)), None)) is not None:
            yield rule, old


def _lines(chat: Rendered | None) -> list[str]:
    """A chat as a person reads it: the body, then what is said in it."""
    if chat is None:
        return []
    body = json.dumps(json.loads(chat.body or "null"), indent=2, sort_keys=True, ensure_ascii=False).splitlines()
    said = [("message", chat.message), ("follow", chat.follow)]
    return body + [f"{name}: {line}" for name, text in said if text is not None for line in text.splitlines()]


def _diff(before: Sequence[str], after: Sequence[str]) -> Iterator[str]:
    """The lines that go with -, those that come with +."""
    lines = list(unified_diff(before, after, lineterm="", n=2))[2:]
    yield from lines[:_LONGEST]
    if len(lines) > _LONGEST:
        yield f"... {len(lines) - _LONGEST} more lines"


def _why(rules: RuleSet, rule: str, event: Event) -> str:
    """Why a rule makes no chat of the event."""
    for verdict in rules.explain(event):
        if verdict.rule == rule:
            failure = verdict.rendered.failure if verdict.rendered else None
            return failure.message if failure else verdict.why
    return "there is no such rule"


def _unjudged(specs: Sequence[Any]) -> dict[str, list[str]]:
    """The keys by which the ledger decides, which a rehearsal does not ask, by rule; not those that all rules have."""
    asked = [key for key in KEYS if key.plan is not Key.plan and key.name not in _ORDER]
    found: dict[str, list[str]] = {}
    for spec in specs:
        for key in asked:
            value = spec.keys.get(key.name)
            names = found.setdefault(spec.name, [])
            if value is not None and value != Rule.model_fields[key.name].default and key.name not in names:
                names.append(key.name)
    return {rule: names for rule, names in found.items() if names}
