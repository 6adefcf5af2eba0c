"""`order`: the dispatches of one key go one after another."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator

from relay.model import Event
from relay.rules.check import Known
from relay.rules.keys.key import Key
from relay.rules.keys.text import SHORT_FORM, KeyText, inspect_key, short_form
from relay.rules.scope import Scope
from relay.rules.spec import Fault, RuleSpec
from relay.written.block import Block, default
from relay.written.kinds import Jinja


class OrderBlock(Block):
    """`order` as a mapping."""

    key: Jinja
    """What belongs together, a template."""
    skip: Literal["parked"] | None = default(None)
    """`parked`: a parked dispatch does not hold up those behind it."""


class Order(Key):
    """The next one goes when the one before has its chat and its first message, or has ended."""

    name = "order"
    kind: ClassVar[Any] = Annotated[OrderBlock, BeforeValidator(short_form)]
    short = SHORT_FORM
    about = "Dispatches of one key go one after another, in order of arrival: a template, or {key, skip: parked}."

    def __init__(self, value: OrderBlock, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._key = KeyText(value.key, "order.key")
        self._skip = value.skip

    @classmethod
    def check(cls, value: OrderBlock, spec: RuleSpec, known: Known) -> Iterator[Fault]:
        yield from inspect_key(value.key, (cls.name, "key"), known)

    def plan(self, event: Event, scope: Scope) -> Any:
        return {"key": self._key.render(scope), "skip": self._skip}
