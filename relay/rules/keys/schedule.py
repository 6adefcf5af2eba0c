"""`schedule`: a dispatch is held till it opens."""

from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, ConfigDict, Field

from relay.model import Event
from relay.rules.calendar import Calendar, read_day, read_hours, read_schedule
from relay.rules.check import Known
from relay.rules.keys.key import Key
from relay.rules.scope import Scope
from relay.rules.spec import Fault, RuleSpec
from relay.written.block import Block
from relay.written.kinds import Texts, listed


def _as_text(value: Any) -> Any:
    """A day as text: YAML may have made a date of it."""
    return tuple(str(each) if isinstance(each, date) else each for each in listed(value))


class ScheduleBlock(Block):
    """`schedule` as a mapping."""

    model_config = ConfigDict(validate_by_alias=True, validate_by_name=False)

    open: Texts
    """When it is open, as `mon-fri 09:00-18:00 Europe/Paris`."""
    closed: Annotated[Texts, BeforeValidator(_as_text)] = Field(
        default=(), validation_alias="except", serialization_alias="except"
    )
    """Days on which it does not open, as 2026-12-25."""


def _short(value: Any) -> Any:
    return value if isinstance(value, dict) else {"open": value}


class Schedule(Key):
    """It is looked at again when the dispatch has its turn, so that none goes while it is closed."""

    name = "schedule"
    kind: ClassVar[Any] = Annotated[ScheduleBlock, BeforeValidator(_short)]
    short = ({"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1})
    about = "Holds a dispatch till it opens: `mon-fri 09:00-18:00 Europe/Paris`, a list, or {open, except}."

    def __init__(self, value: ScheduleBlock, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._plan = {"open": list(value.open), "except": list(value.closed)}

    @classmethod
    def check(cls, value: ScheduleBlock, spec: RuleSpec, known: Known) -> Iterator[Fault]:
        faults = list(_inspect(value))
        yield from faults
        if not faults:
            yield from _inspect_openings(read_schedule(value.open, value.closed))

    def plan(self, event: Event, scope: Scope) -> Any:
        return self._plan


def _inspect(value: ScheduleBlock) -> Iterator[Fault]:
    for number, text in enumerate(value.open):
        try:
            read_hours(text)
        except ValueError as error:
            yield Fault(("schedule", "open", number), 1, str(error))
    for number, text in enumerate(value.closed):
        try:
            read_day(text)
        except ValueError as error:
            yield Fault(("schedule", "except", number), 1, str(error))


def _inspect_openings(calendar: Calendar) -> Iterator[Fault]:
    """A schedule whose days are all left out never opens."""
    for hours in calendar.hours:
        try:
            hours.opens_at(0, frozenset())
        except ValueError as error:
            yield Fault(("schedule",), 1, str(error))
