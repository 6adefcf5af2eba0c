"""One rule, compiled."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from relay.errors import Permanent
from relay.model import Event, Failure, Skip, remade
from relay.rules.body import compile_body, is_open, render_text
from relay.rules.explain import look_into
from relay.rules.keys import KEYS, Key, Unless, gathers
from relay.rules.scope import Letting, Scope
from relay.rules.spec import Explanation, Reason, Rendered, RuleSpec
from relay.rules.template import Condition, Template, describe

_MOST_SHOWN: Final = 80
"""Characters of a value in an explanation."""

OnWhenError = Callable[[Event, str, str], None]
"""Told the event, the rule and why its `when` could not be evaluated."""


class CompiledRule:
    """One rule with its keys. A step that no key of the rule has costs nothing."""

    __slots__ = (
        "_body",
        "_condition",
        "_covers",
        "_follow",
        "_gathers",
        "_keys",
        "_lets",
        "_marks",
        "_message",
        "_planning",
        "_skips",
        "_trigger",
        "_withholds",
        "spec",
    )

    def __init__(self, spec: RuleSpec) -> None:
        self.spec = spec
        self._keys = keys = [key(value, spec) for key in KEYS if (value := spec.keys.get(key.name)) is not None]
        self._lets = {name: evaluate for key in keys for name, evaluate in key.lets().items()}
        self._skips = [key.skip for key in keys if type(key).skip is not Key.skip]
        self._covers = [key.cover for key in keys if type(key).cover is not Key.cover]
        self._withholds = [key.withhold for key in keys if type(key).withhold is not Key.withhold]
        self._gathers = gathers(spec.keys)
        self._marks = [key.mark for key in keys if type(key).mark is not Key.mark]
        self._planning = [key for key in keys if type(key).plan is not Key.plan]
        read = next((rewrite for key in keys if (rewrite := key.rewrite()) is not None), None)
        self._condition = None if spec.when is None else Condition(spec.when)
        self._body = compile_body(spec.chat, read=read)
        self._message = None if spec.message is None else Template(spec.message, read)
        self._follow = None if spec.follow is None else Template(spec.follow, read)
        self._trigger = _constant_type(spec.chat)

    def run(
        self, event: Event, scope: Scope, on_when_error: OnWhenError | None, *, alone: bool = False
    ) -> Rendered | Skip | None:
        """The chat that it asks for, or why it skips the event, or None when it does not want it.

        A chat of all events of a window has no body yet; `alone` makes it of this event.
        """
        scope = self._extend(scope)
        if not self._wants(event, scope, on_when_error):
            return None
        rendered, skip = self._decide(event, scope, alone=alone)
        return rendered if skip is None else skip

    def render(self, event: Event, scopes: Sequence[Scope]) -> Rendered:
        """Its chat of the last of these scopes, which is the event's, whether it wants the event or not."""
        scope = self._extend(scopes[-1])
        rendered = self._render(self._with_events(scope, scopes))
        if self._planning:
            rendered = self._plan(event, scope, rendered)
        return self._mark(rendered, scope)

    def _decide(self, event: Event, scope: Scope, *, alone: bool) -> tuple[Rendered | None, Skip | None]:
        """The chat, where it was rendered, and why the event is skipped all the same.

        Whatever a key raises fails this dispatch alone: the event must not stay with its sender or in its queue.
        """
        try:
            for step in self._skips:
                if skip := step(event, scope):
                    return None, skip
            if self._gathers and not alone and not self._withholds:
                spec = self.spec
                rendered = Rendered(spec.name, None, trigger_type=self._trigger, on_unknown=spec.on_unknown)
            else:
                rendered = self._render(self._with_events(scope, [scope]))
            for withhold in self._withholds:
                if skip := withhold(rendered):
                    return rendered, skip
        except Exception as error:  # noqa: BLE001 - said above
            rendered = self._fail(error)
        if self._planning:
            rendered = self._plan(event, scope, rendered)
        return self._mark(rendered, scope), None

    def _mark(self, rendered: Rendered, scope: Scope) -> Rendered:
        for mark in self._marks:
            try:
                rendered = mark(rendered, scope)
            except Exception as error:  # noqa: BLE001 - as in _decide
                rendered = rendered if rendered.failure else rendered.fail(_say(error))
        return rendered

    def unless(self) -> list[Unless]:
        """Which events cancel what it holds."""
        return [unless for key in self._keys for unless in key.unless()]

    def called_off(self, unless: Unless, event: Event, scope: Scope, on_when_error: OnWhenError | None) -> str | None:
        """The key of what an event cancels whose source and type fit; None for nothing."""
        scope = self._extend(scope)
        try:
            return unless.key.render(scope) if unless.when is None or unless.when.holds(scope) else None
        except Exception as error:  # noqa: BLE001 - as in _decide
            if on_when_error is not None:
                on_when_error(event, self.spec.name, f"in delay.unless: {_say(error)}")
            return None

    def _plan(self, event: Event, scope: Scope, rendered: Rendered) -> Rendered:
        """The chat with what the steps in the ledger need; a key that cannot be rendered fails it."""
        if rendered.failure is not None:
            return rendered
        try:
            steps = {key.name: step for key in self._planning if (step := key.plan(event, scope)) is not None}
        except Exception as error:  # noqa: BLE001 - as in _decide
            return self._fail(error)
        return remade(rendered, plan=steps) if steps else rendered

    def _fail(self, error: Exception) -> Rendered:
        spec = self.spec
        failure = Failure("render", f"rule {spec.name}: {_say(error)}")
        return Rendered(spec.name, None, trigger_type=self._trigger, on_unknown=spec.on_unknown, failure=failure)

    def explain(self, event: Event, scope: Scope) -> Explanation:
        """What it makes of an event whose source and type fit, and why."""
        name, scope = self.spec.name, self._extend(scope)
        condition = self._condition
        conditions = () if condition is None else tuple(term.document() for term in look_into(condition.text, scope))
        keys = {key.name: value for key in self._keys if (value := _shown(key, event, scope)) is not None}
        reason, why = self._judge(scope)
        if reason is not Reason.MATCHED:
            return Explanation(name, False, reason, why, None, conditions, keys)
        rendered, skip = self._decide(event, scope, alone=True)
        if skip is None:
            return Explanation(name, True, reason, why, rendered, conditions, keys)
        why = f"it was skipped: {skip.why}" + (f", {skip.detail}" if isinstance(skip.detail, str) else "")
        return Explanation(name, False, Reason.SKIPPED, why, rendered, conditions, keys, skip)

    def _with_events(self, scope: Scope, scopes: Sequence[Scope]) -> Scope:
        """The scope of the chat: where the rule gathers, `events` has what came in, in order of arrival."""
        if not self._gathers:
            return scope
        events = [{name: each[name] for name in ("data", "event", "headers")} for each in scopes]
        return Letting({**scope, "events": events}, self._lets)

    def _extend(self, scope: Scope) -> Scope:
        return Letting(scope, self._lets) if self._lets else scope

    def _wants(self, event: Event, scope: Scope, on_when_error: OnWhenError | None) -> bool:
        if self._condition is None:
            return True
        try:
            return self._condition.holds(scope)
        except Permanent as error:
            if on_when_error is not None:
                on_when_error(event, self.spec.name, str(error))
            return False

    def _judge(self, scope: Scope) -> tuple[Reason, str]:
        if self._condition is None:
            return Reason.MATCHED, "it matched"
        try:
            if self._condition.holds(scope):
                return Reason.MATCHED, "it matched"
        except Permanent as error:
            return Reason.ERROR, f"when cannot be evaluated, so it is false: {error}"
        return Reason.WHEN, _explain(self._condition, scope)

    def _render(self, scope: Scope) -> Rendered:
        spec = self.spec
        try:
            body = self._body.render(scope)
            message = None if self._message is None else render_text(self._message, scope, "message")
            # None would mean that there is none: then `message` is said.
            follow = None if self._follow is None else render_text(self._follow, scope, "follow") or ""
            rendered = Rendered(
                *(spec.name, body.text, message, body.trigger_type, body.name, body.agent_uuid, spec.on_unknown),
                follow=follow,
            )
            for cover in self._covers:
                rendered = cover(rendered)
        except Exception as error:  # noqa: BLE001 - as in _decide
            return self._fail(error)
        return rendered


def _shown(key: Key, event: Event, scope: Scope) -> Any:
    """What a key made of an event, for the explanation: what it shows, or what its step in the ledger would get."""
    try:
        return key.show(event, scope) or key.plan(event, scope)
    except Exception as error:  # noqa: BLE001 - as in CompiledRule._decide
        return {"error": _say(error)}


def _say(error: Exception) -> str:
    """Why a rule failed; of what nobody foresaw, its type too."""
    return str(error) if isinstance(error, Permanent) else f"{type(error).__name__}: {describe(error)}"


def _explain(condition: Condition, scope: Scope) -> str:
    """Why it is false: the values that it looked at, and what was not there."""
    try:
        gaps, values = condition.gaps(scope), condition.values(scope)
    except Permanent as error:
        return f"when is false; what it looked at cannot be shown: {error}"
    seen = [f"{path} is {_short(value)}" for path, value in values.items()]
    return "; ".join(["when is false", *seen, *([f"missing: {', '.join(gaps)}"] if gaps else [])])


def _short(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except Exception as error:  # noqa: BLE001 - as in plain_value
        return f"(it cannot be shown: {describe(error)})"
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def _constant_type(chat: Mapping[str, Any]) -> str:
    trigger = chat["trigger"]
    kind = trigger["type"] if isinstance(trigger, Mapping) else trigger
    return "connector" if is_open(kind) else str(kind)
