"""`priority`: who goes first when Cargo is the bottleneck."""

from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, Field, WithJsonSchema

from relay.model import Event
from relay.rules.keys.key import Key
from relay.rules.scope import Scope
from relay.rules.spec import RuleSpec
from relay.written.kinds import typed

_SCHEMA = WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 9})


class Priority(Key):
    """9 goes before 0. Each minute of waiting counts as one step, so that nothing waits for ever."""

    name = "priority"
    kind: ClassVar[Any] = Annotated[int, Field(strict=True, ge=0, le=9), BeforeValidator(typed), _SCHEMA]
    about = "0 to 9, 5 unless given: higher goes first when Cargo is the bottleneck; a minute of waiting is one step."

    def __init__(self, value: int, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._priority = value

    def plan(self, event: Event, scope: Scope) -> Any:
        return self._priority
