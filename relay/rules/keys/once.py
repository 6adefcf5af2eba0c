"""`once`: at most one chat per key in a time."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator

from relay.model import Event
from relay.rules.check import Known
from relay.rules.keys.key import Key
from relay.rules.keys.text import SHORT_FORM, KeyText, inspect_key, short_form
from relay.rules.scope import Scope
from relay.rules.spec import Fault, RuleSpec
from relay.units import show
from relay.written.block import Block, default
from relay.written.kinds import Duration, Jinja


class OnceBlock(Block):
    """`once` as a mapping."""

    key: Jinja
    """What tells chats apart, a template."""
    within: Duration | None = default(None)
    """How long, from the first event on; left out: `ledger.remember`."""


class Once(Key):
    """Later events of the key are suppressed. A key whose dispatch ended without a chat is free again."""

    name = "once"
    kind: ClassVar[Any] = Annotated[OnceBlock, BeforeValidator(short_form)]
    short = SHORT_FORM
    about = "At most one chat per key: a template, or {key, within} (`within` left out: ledger.remember)."

    def __init__(self, value: OnceBlock, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._key = KeyText(value.key, "once.key")
        self._within = value.within

    @classmethod
    def check(cls, value: OnceBlock, spec: RuleSpec, known: Known) -> Iterator[Fault]:
        yield from inspect_key(value.key, (cls.name, "key"), known)

    def plan(self, event: Event, scope: Scope) -> Any:
        return {"key": self._key.render(scope), "within": self._within}

    def show(self, event: Event, scope: Scope) -> Any:
        within = "ledger.remember" if self._within is None else show(self._within)
        return {"key": self._key.render(scope), "within": within}
