"""Checks and compiles rules; matches events with them."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from relay.depth import BODY, value_exceeds
from relay.errors import NotFound, Permanent
from relay.model import Event, Failure
from relay.rules.body import compile_body, is_open, place_of, render_text
from relay.rules.check import Known, inspect_condition, inspect_template
from relay.rules.index import Index
from relay.rules.scope import Scope, scope_of
from relay.rules.shape import check_constants, check_shape
from relay.rules.spec import Explanation, Fault, Reason, Rendered, RuleSpec
from relay.rules.template import Condition, Template

_MOST_SHOWN: Final = 80
"""Characters of a value in an explanation."""

OnWhenError = Callable[[Event, str, str], None]
"""Told the event, the rule and why its `when` could not be evaluated."""


def check_rule(spec: RuleSpec, vars: Mapping[str, Any]) -> list[Fault]:  # noqa: A002 - the word of the configuration
    """Every fault of a rule that can be known without an event."""
    if value_exceeds(spec.chat, BODY):
        return [Fault(("chat",), 1, "it nests too deeply: make it flatter")]
    known = Known(vars=vars)
    faults = [Fault(("chat", *path), 1, message) for path, message in check_shape(spec.chat, is_open)]
    faults += [Fault(("chat", *path), 1, message) for path, message in check_constants(spec.chat)]
    for path, text in _texts(spec.chat, ("chat",)):
        faults += [Fault(path, line, message) for line, message in inspect_template(text, known)]
    if spec.when is not None:
        faults += [Fault(("when",), line, message) for line, message in inspect_condition(spec.when, known)]
    if spec.message is not None:
        faults += [Fault(("message",), line, message) for line, message in inspect_template(spec.message, known)]
        if not spec.message.strip():
            faults.append(Fault(("message",), 1, "it is empty: write what to say in the chat, or leave the key out"))
    return faults


def compile_rules(specs: Sequence[RuleSpec], vars: Mapping[str, Any]) -> "RuleSet":  # noqa: A002 - as above
    """The rules, ready to match. Raises ValueError with all that `check_rule` finds, one fault per line."""
    faults = [
        f"rule {spec.name}: {place_of(str(fault.path[0]), fault.path[1:])}: line {fault.line}: {fault.message}"
        for spec in specs
        for fault in check_rule(spec, vars)
    ]
    if faults:
        raise ValueError("\n".join(faults))
    return RuleSet(specs, vars)


class RuleSet:
    """Compiled rules in the order of the file. Made by `compile_rules`; never changes."""

    def __init__(self, specs: Sequence[RuleSpec], vars: Mapping[str, Any]) -> None:  # noqa: A002 - as above
        self.rules = tuple(specs)
        self._vars = vars
        self._compiled = [_Rule(spec) for spec in specs]
        self._numbers = {spec.name: number for number, spec in enumerate(specs)}
        self._index = Index([spec.sources for spec in specs], [spec.types for spec in specs])

    def match(self, event: Event, on_when_error: OnWhenError | None = None) -> list[Rendered]:
        """Every rule that wants the event, rendered, up to the first that stops. Never raises for what is in it.

        A `when` that cannot be evaluated is false, and told to `on_when_error`.
        """
        found: list[Rendered] = []
        numbers = self._index.find(event.source, event.type)
        scope = scope_of(event, self._vars) if numbers else {}
        for number in numbers:
            rule = self._compiled[number]
            if rule.wants(event, scope, on_when_error):
                found.append(rule.render(scope))
                if rule.spec.stop:
                    break
        return found

    def explain(self, event: Event) -> list[Explanation]:
        """What every rule makes of the event, in order, and why."""
        return list(self._explain(event))

    def render(self, rule: str, event: Event) -> Rendered:
        """One rule on one event, whether it matches or not. Raises `NotFound` when the rule is gone."""
        if rule not in self._numbers:
            raise NotFound(f'there is no rule "{rule}" in the configuration any more')
        return self._compiled[self._numbers[rule]].render(scope_of(event, self._vars))

    def _explain(self, event: Event) -> Iterator[Explanation]:
        scope = scope_of(event, self._vars)
        stopped: str | None = None
        for number, rule in enumerate(self._compiled):
            name = rule.spec.name
            reason, why = (Reason.STOPPED, f"rule {stopped} stopped the matching") if stopped else (None, "")
            if reason is None:
                reason, why = self._judge(number, rule, event, scope)
            matched = reason is Reason.MATCHED
            yield Explanation(name, matched, reason, why, rule.render(scope) if matched else None)
            if matched and rule.spec.stop:
                stopped = name

    def _judge(self, number: int, rule: "_Rule", event: Event, scope: Scope) -> tuple[Reason, str]:
        spec = rule.spec
        if not self._index.has_source(number, event.source):
            return Reason.SOURCE, f"the source is {event.source}, not {_either(spec.sources)}"
        if not self._index.has_type(number, event.type):
            was = "the event has no type" if event.type is None else f"the type is {event.type}"
            return Reason.TYPE, f"{was}, not {_either(spec.types)}"
        return rule.judge(scope)


class _Rule:
    """One rule, compiled."""

    __slots__ = ("_body", "_condition", "_message", "_trigger_type", "spec")

    def __init__(self, spec: RuleSpec) -> None:
        self.spec = spec
        self._condition = None if spec.when is None else Condition(spec.when)
        self._body = compile_body(spec.chat)
        self._message = None if spec.message is None else Template(spec.message)
        self._trigger_type = _constant_type(spec.chat)

    def wants(self, event: Event, scope: Scope, on_when_error: OnWhenError | None) -> bool:
        if self._condition is None:
            return True
        try:
            return self._condition.holds(scope)
        except Permanent as error:
            if on_when_error is not None:
                on_when_error(event, self.spec.name, str(error))
            return False

    def judge(self, scope: Scope) -> tuple[Reason, str]:
        if self._condition is None:
            return Reason.MATCHED, "it matched"
        try:
            if self._condition.holds(scope):
                return Reason.MATCHED, "it matched"
        except Permanent as error:
            return Reason.ERROR, f"when cannot be evaluated, so it is false: {error}"
        return Reason.WHEN, _explain(self._condition, scope)

    def render(self, scope: Scope) -> Rendered:
        spec = self.spec
        try:
            body = self._body.render(scope)
            message = None if self._message is None else render_text(self._message, scope, "message")
        except Permanent as error:
            failure = Failure("render", f"rule {spec.name}: {error}")
            return Rendered(
                spec.name, None, trigger_type=self._trigger_type, on_unknown=spec.on_unknown, failure=failure
            )
        return Rendered(spec.name, body.text, message, body.trigger_type, body.name, body.agent_uuid, spec.on_unknown)


def _explain(condition: Condition, scope: Scope) -> str:
    """Why it is false: the values that it looked at, and what was not there."""
    try:
        gaps, values = condition.gaps(scope), condition.values(scope)
    except Permanent as error:
        return f"when is false; what it looked at cannot be shown: {error}"
    seen = [f"{path} is {_short(value)}" for path, value in values.items()]
    return "; ".join(["when is false", *seen, *([f"missing: {', '.join(gaps)}"] if gaps else [])])


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _constant_type(chat: Mapping[str, Any]) -> str:
    trigger = chat["trigger"]
    kind = trigger["type"] if isinstance(trigger, Mapping) else trigger
    return "connector" if is_open(kind) else str(kind)


def _texts(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


def _either(patterns: Sequence[str]) -> str:
    return " or ".join(patterns)
