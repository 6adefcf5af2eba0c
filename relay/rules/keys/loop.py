"""`loop`: parks what an agent's own writes would bring about again and again."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from relay.model import Event
from relay.rules.check import Known
from relay.rules.keys.key import Key
from relay.rules.keys.text import SHORT_FORM, KeyText, inspect_key, short_form
from relay.rules.scope import Scope
from relay.rules.spec import Fault, RuleSpec
from relay.written.block import Block, default
from relay.written.kinds import Jinja, Pace


class LoopBlock(Block):
    """`loop` as a mapping."""

    key: Jinja | None = default(None)
    """What tells the things apart that the events are about, a template; left out: the event's subject, if any."""
    trips: Pace = default("20/10m")
    """How many dispatches of a key may go in that time; the next one trips it."""


class Loop(Key):
    """The dispatch past `trips`, and those after it, are parked until the key was quiet for that time."""

    name = "loop"
    kind: ClassVar[Any] = Annotated[LoopBlock, BeforeValidator(short_form)]
    short = SHORT_FORM
    about = "The loop guard: {key, trips}, the event's subject and 20/10m unless given; what comes past it is parked."
    default: ClassVar[Any] = LoopBlock()

    def __init__(self, value: LoopBlock, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._key = None if value.key is None else KeyText(value.key, "loop.key")
        self._trips = value.trips

    @classmethod
    def check(cls, value: LoopBlock, spec: RuleSpec, known: Known) -> Iterator[Fault]:
        if value.key is not None:
            yield from inspect_key(value.key, (cls.name, "key"), known)

    def plan(self, event: Event, scope: Scope) -> Any:
        key = (event.subject or "").strip() if self._key is None else self._key.render(scope)
        return {"key": key, "trips": [self._trips.count, self._trips.period]} if key else None

    def show(self, event: Event, scope: Scope) -> Any:
        plan = self.plan(event, scope)
        return plan and {"key": plan["key"], "trips": str(self._trips)}
