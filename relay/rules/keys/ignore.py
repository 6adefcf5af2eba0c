"""`ignore`: events that are not for this rule, as the agent's own writes."""

from collections.abc import Iterator
from typing import Any

from relay.errors import Permanent
from relay.model import Event, Skip, Why
from relay.rules.check import Known, inspect_condition
from relay.rules.explain import look_into
from relay.rules.keys.key import Key
from relay.rules.scope import Scope
from relay.rules.spec import Fault, RuleSpec
from relay.rules.template import Condition
from relay.written.kinds import Condition as ConditionText


class Ignore(Key):
    """What is missing is false, as in `when`; a condition that cannot be evaluated ignores nothing."""

    name = "ignore"
    kind = ConditionText
    about = "A bare Jinja expression: events for which it holds are not for this rule."

    def __init__(self, value: str, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._condition = Condition(value)
        self._skip = Skip(spec.name, Why.IGNORED, value.strip())

    @classmethod
    def check(cls, value: str, spec: RuleSpec, known: Known) -> Iterator[Fault]:
        return (Fault((cls.name,), line, message) for line, message in inspect_condition(value, known))

    def skip(self, event: Event, scope: Scope) -> Skip | None:
        try:
            return self._skip if self._condition.holds(scope) else None
        except Permanent:
            return None

    def show(self, event: Event, scope: Scope) -> Any:
        return [term.document() for term in look_into(self._condition.text, scope)]
