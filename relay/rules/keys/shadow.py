"""`shadow`: a rule that matches and renders, and makes nothing."""

import json
from typing import Any

from relay.model import Event, Skip, Why
from relay.rules.keys.key import Key
from relay.rules.scope import Scope
from relay.rules.spec import Rendered, RuleSpec
from relay.written.kinds import Flag


class Shadow(Key):
    """The detail of its skip is the body that would have been sent, or why there is none."""

    name = "shadow"
    kind = Flag
    about = "Whether the rule only renders and counts: nothing is sent, and no state of it changes."

    def __init__(self, value: bool, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._is_on = value

    def show(self, event: Event, scope: Scope) -> Any:
        return True if self._is_on else None

    def withhold(self, rendered: Rendered) -> Skip | None:
        if not self._is_on:
            return None
        failure = rendered.failure
        detail: Any = failure.message if failure else json.loads(rendered.body or "null")
        return Skip(rendered.rule, Why.SHADOW, detail)
