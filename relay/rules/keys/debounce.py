"""`debounce`: the events of a key are gathered until it is quiet, and make one chat."""

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

from relay.model import Event
from relay.rules.check import Known
from relay.rules.keys.key import Key
from relay.rules.keys.text import KeyText, inspect_key
from relay.rules.scope import Scope
from relay.rules.spec import Fault, RuleSpec
from relay.units import show
from relay.written.block import Block, default
from relay.written.kinds import Duration, Jinja

_MANY = 10
"""How many waits a window lasts at most, unless the rule says otherwise."""


class DebounceBlock(Block):
    """`debounce` as a mapping."""

    key: Jinja
    """What belongs together, a template."""
    wait: Duration
    """How long the key must be quiet."""
    max: Duration | None = default(None)
    """How long it takes at most from the first event on; left out: ten times `wait`."""
    keep: Literal["last", "first", "all"] = default("last")
    """Whose event makes the chat; `all`: one chat that sees `events`."""


def gathers(keys: Any) -> bool:
    """Whether a rule with these keys makes one chat of all events of a window."""
    value = keys.get(Debounce.name)
    return value is not None and value.keep == "all"


class Debounce(Key):
    """The dispatches of the other events end as `superseded`, told with the one that goes."""

    name = "debounce"
    kind: ClassVar[Any] = DebounceBlock
    about = "Waits until the key was quiet, and makes one chat of its events: {key, wait, max, keep: last|first|all}."

    def __init__(self, value: DebounceBlock, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._key = KeyText(value.key, "debounce.key")
        self._times = {"wait": value.wait, "max": value.max or _MANY * value.wait}
        self._keep = value.keep

    @classmethod
    def check(cls, value: DebounceBlock, spec: RuleSpec, known: Known) -> Iterator[Fault]:
        yield from inspect_key(value.key, (cls.name, "key"), known)
        if value.max is not None and value.max < value.wait:
            yield Fault((cls.name, "max"), 1, "is shorter than wait: make it at least as long")
        if value.keep == "all" and spec.keys.get("once") is not None:
            told = "cannot go with once, which would leave out all events of the key but one: remove one of the two"
            yield Fault((cls.name, "keep"), 1, told)

    def plan(self, event: Event, scope: Scope) -> Any:
        return {"key": self._key.render(scope), **self._times, "keep": self._keep, "size": len(event.raw)}

    def show(self, event: Event, scope: Scope) -> Any:
        times = {name: show(time) for name, time in self._times.items()}
        return {"key": self._key.render(scope), **times, "keep": self._keep}
