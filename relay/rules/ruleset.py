"""Compiles rules; matches events with them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from relay.errors import NotFound
from relay.model import Event, RuleVersion, Skip, set_hash
from relay.rules.body import place_of
from relay.rules.checker import check_rule
from relay.rules.index import Index
from relay.rules.keys.budget import Budget, plan_of
from relay.rules.keys.delay import Delay
from relay.rules.rule import CompiledRule, OnWhenError
from relay.rules.scope import scope_of
from relay.rules.spec import Explanation, Matched, Reason, Rendered, RuleSpec

_AT_ONCE: Final = 200
"""The most rules that are compiled before the first event."""


def compile_rules(
    specs: Sequence[RuleSpec],
    vars: Mapping[str, Any],  # noqa: A002 - the word of the configuration
    versions: Sequence[RuleVersion] = (),
) -> "RuleSet":
    """The rules, ready to match. Raises ValueError with all that `check_rule` finds, one fault per line."""
    faults = [
        f"rule {spec.name}: {place_of(str(fault.path[0]), fault.path[1:])}: line {fault.line}: {fault.message}"
        for spec in specs
        for fault in check_rule(spec, vars)
        if not fault.warn
    ]
    if faults:
        raise ValueError("\n".join(faults))
    return RuleSet(specs, vars, versions)


class RuleSet:
    """Rules in the order of the file, of which `check_rule` finds no fault (`compile_rules` asks it).

    Never changes, but for `former`: rules that are not in force any more, whose `unless` goes on to cancel what they
    have held.

    Each rule is compiled when it is first wanted, which takes a few milliseconds: thousands would hold up the start.
    A few are compiled at once.

    `versions` are those of the rules, none where nothing is stored of them; `hash` is that of all of them.
    """

    def __init__(
        self,
        specs: Sequence[RuleSpec],
        vars: Mapping[str, Any],  # noqa: A002 - as above
        versions: Sequence[RuleVersion] = (),
    ) -> None:
        self.rules = tuple(specs)
        self.versions = tuple(versions)
        self.former: tuple[RuleSet, ...] = ()
        self.hash = set_hash(versions)
        self._hashes = {version.rule: version.hash for version in versions}
        self._vars = vars
        self._compiled: list[CompiledRule | None] = [None] * len(specs)
        self._numbers = {spec.name: number for number, spec in enumerate(specs)}
        self._index = Index([spec.sources for spec in specs], [spec.types for spec in specs])
        calls_off = [
            (number, which, block)
            for number, spec in enumerate(specs)
            if (delay := spec.keys.get(Delay.name)) is not None
            for which, block in enumerate(delay.unless)
        ]
        self._unless = [(number, which) for number, which, _ in calls_off]
        self._unless_index = Index([each.source for *_, each in calls_off], [each.type for *_, each in calls_off])
        if len(specs) <= _AT_ONCE:
            for number in range(len(specs)):
                self._rule(number)

    def _rule(self, number: int) -> CompiledRule:
        rule = self._compiled[number]
        if rule is None:
            rule = self._compiled[number] = CompiledRule(self.rules[number])
        return rule

    def budgets(self) -> dict[str, Mapping[str, Any]]:
        """The budgets of rules that have one, by rule, as the ledger is asked for them."""
        return {spec.name: plan_of(block) for spec in self.rules if (block := spec.keys.get(Budget.name)) is not None}

    def trigger_types(self) -> frozenset[str]:
        """The types of the triggers that the rules name."""
        triggers = [spec.chat.get("trigger") for spec in self.rules]
        named = [trigger.get("type") for trigger in triggers if isinstance(trigger, Mapping)]
        return frozenset(kind for kind in named if isinstance(kind, str) and "{" not in kind)

    def match(self, event: Event, on_when_error: OnWhenError | None = None, *, alone: bool = False) -> Matched:
        """Every rule that wants the event, rendered, up to the first that stops. Never raises for what is in it.

        A `when` that cannot be evaluated is false, and told to `on_when_error`. A rule that skips the event does not
        stop the matching; one that would go does, also where the ledger then skips the event. `alone` renders chats
        that would gather several events, of this one.
        """
        rendered: list[Rendered] = []
        skips: list[Skip] = []
        numbers = self._index.find(event.source, event.type)
        scope = scope_of(event, self._vars) if numbers else {}
        for number in numbers:
            rule = self._rule(number)
            outcome = rule.run(event, scope, on_when_error, alone=alone)
            if isinstance(outcome, Skip):
                skips.append(outcome)
            elif outcome is not None:
                rendered.append(outcome)
                if rule.spec.stop:
                    break
        cancels = self.cancels(event, on_when_error) if self._unless else ()
        return Matched(tuple(rendered), tuple(skips), cancels, self._former_cancels(event) if self.former else ())

    def _former_cancels(self, event: Event) -> tuple[tuple[str, str, str], ...]:
        """By rule, key and version. One that cannot be evaluated is told only while its rule is in force."""
        return tuple(
            dict.fromkeys(
                (rule, key, version)
                for rules in self.former
                for rule, key in rules.cancels(event)
                if (version := rules.version(rule)) is not None and version != self.version(rule)
            )
        )

    @property
    def cancels_any(self) -> bool:
        """Whether an event may cancel what a rule holds."""
        return bool(self._unless)

    def cancels(self, event: Event, on_when_error: OnWhenError | None = None) -> tuple[tuple[str, str], ...]:
        """By rule and key what the event cancels while one of these rules holds it."""
        numbers = self._unless_index.find(event.source, event.type)
        if not numbers:
            return ()
        scope, cancels = scope_of(event, self._vars), []
        for number in numbers:
            holder, which = self._unless[number]
            rule = self._rule(holder)
            if (key := rule.called_off(rule.unless()[which], event, scope, on_when_error)) is not None:
                cancels.append((rule.spec.name, key))
        return tuple(cancels)

    def wants(self, source: str, kind: str | None) -> bool:
        """Whether any rule may want an event of this source and type."""
        return bool(self._index.find(source, kind))

    def explain(self, event: Event) -> list[Explanation]:
        """What every rule makes of the event, in order, and why."""
        return list(self._explain(event))

    def render_all(self, rule: str, events: Sequence[Event]) -> Rendered:
        """One rule on the events of a window, in order of arrival. Raises `NotFound` when the rule is gone."""
        if rule not in self._numbers:
            raise NotFound(f'there is no rule "{rule}" in the configuration any more')
        scopes = [scope_of(event, self._vars) for event in events]
        return self._rule(self._numbers[rule]).render(events[-1], scopes)

    def render(self, rule: str, event: Event) -> Rendered:
        """One rule on one event, whether it matches or not. Raises `NotFound` when the rule is gone."""
        return self.render_all(rule, [event])

    def version(self, rule: str) -> str | None:
        """The hash of the rule's version."""
        return self._hashes.get(rule)

    def _explain(self, event: Event) -> Iterator[Explanation]:
        scope = scope_of(event, self._vars)
        stopped: str | None = None
        for number, spec in enumerate(self.rules):
            name = spec.name
            if stopped:
                yield Explanation(name, False, Reason.STOPPED, f"rule {stopped} stopped the matching")
                continue
            if foreign := self._foreign(number, spec, event):
                yield Explanation(name, False, *foreign)
                continue
            explained = self._rule(number).explain(event, scope)
            yield explained
            if explained.matched and spec.stop:
                stopped = name

    def _foreign(self, number: int, spec: RuleSpec, event: Event) -> tuple[Reason, str] | None:
        """Why the rule is no candidate for the event; None when it is one."""
        if not self._index.has_source(number, event.source):
            return Reason.SOURCE, f"the source is {event.source}, not {_either(spec.sources)}"
        if not self._index.has_type(number, event.type):
            was = "the event has no type" if event.type is None else f"the type is {event.type}"
            return Reason.TYPE, f"{was}, not {_either(spec.types)}"
        return None


def _either(patterns: Sequence[str]) -> str:
    return " or ".join(patterns)
