"""`delay`: a dispatch is held for a time, in which events may cancel it."""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ConfigDict, Field

from relay.model import Event
from relay.rules.check import Known, inspect_condition
from relay.rules.keys.key import Key, Unless
from relay.rules.keys.text import KeyText, inspect_key
from relay.rules.scope import Scope
from relay.rules.spec import Fault, RuleSpec
from relay.rules.template import Condition
from relay.units import show
from relay.written.block import Block, default
from relay.written.kinds import Condition as ConditionText
from relay.written.kinds import Duration, Jinja, Texts


class UnlessBlock(Block):
    """Events that cancel what is held."""

    source: Texts = default(())
    """Names or globs of sources; default: all."""
    type: Texts = default(())
    """Names or globs of event types; default: all."""
    when: ConditionText | None = default(None)
    """A condition on the event, without braces."""
    key: Jinja
    """The key of what it cancels, a template."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


class DelayBlock(Block):
    """`delay` as a mapping."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=False)

    duration: Duration | None = Field(default=None, validation_alias="for", serialization_alias="for")
    """How long."""
    key: Jinja | None = default(None)
    """Under which it is held, a template; needed for `unless`."""
    unless: Annotated[tuple[UnlessBlock, ...], BeforeValidator(_as_list)] = default(())
    """Events that cancel it meanwhile; they need not match any rule."""


def _short(value: Any) -> Any:
    return value if isinstance(value, dict) else {"for": value}


class Delay(Key):
    """What events cancel is ended as `cancelled` and told with the event's id."""

    name = "delay"
    kind: ClassVar[Any] = Annotated[DelayBlock, BeforeValidator(_short)]
    short = ({"type": "string", "examples": ["15m"]},)
    about = "Holds a dispatch for a time: a duration, or {for, key, unless: [{source, type, when, key}]}."

    def __init__(self, value: DelayBlock, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._for: int = value.duration or 0  # `check` refuses one without
        self._key = None if value.key is None else KeyText(value.key, "delay.key")
        self._unless = [
            Unless(
                each.source,
                each.type,
                None if each.when is None else Condition(each.when),
                KeyText(each.key, "delay.unless.key"),
            )
            for each in value.unless
        ]

    @classmethod
    def check(cls, value: DelayBlock, spec: RuleSpec, known: Known) -> Iterator[Fault]:
        if value.duration is None:
            yield Fault((cls.name,), 1, "says no time: add for, as {for: 15m}")
        if value.unless and value.key is None:
            yield Fault((cls.name, "unless"), 1, "cancels by key, and delay has none: add key: {{ data.ticket.id }}")
        if value.key is not None:
            yield from inspect_key(value.key, (cls.name, "key"), known)
        for number, each in enumerate(value.unless):
            place = (cls.name, "unless", number)
            if each.when is not None:
                for line, message in inspect_condition(each.when, known):
                    yield Fault((*place, "when"), line, message)
            yield from inspect_key(each.key, (*place, "key"), known)

    def plan(self, event: Event, scope: Scope) -> Any:
        plan: dict[str, Any] = {"for": self._for}
        return plan if self._key is None else {**plan, "key": self._key.render(scope)}

    def show(self, event: Event, scope: Scope) -> Any:
        return {**self.plan(event, scope), "for": show(self._for)}

    def unless(self) -> Sequence[Unless]:
        return self._unless
