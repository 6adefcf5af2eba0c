"""`thread`: one chat per key, in which later events go on."""

from collections.abc import Iterator
from typing import Any, ClassVar

from relay.model import Event
from relay.rules.check import Known
from relay.rules.keys.debounce import gathers
from relay.rules.keys.key import Key
from relay.rules.keys.text import KeyText, inspect_key
from relay.rules.scope import Scope
from relay.rules.spec import Fault, RuleSpec
from relay.units import show
from relay.written.block import Block
from relay.written.kinds import Duration, Jinja


class ThreadBlock(Block):
    """`thread` as a mapping."""

    key: Jinja
    """What belongs together, a template."""
    idle: Duration
    """When nothing was said for longer, the next event makes a new chat."""


class Thread(Key):
    """The first dispatch makes the chat with `message`; later ones say `follow` in it, one after another."""

    name = "thread"
    kind: ClassVar[Any] = ThreadBlock
    about = "One chat per key: the first event makes it, later ones say the rule's `follow` in it: {key, idle}."

    def __init__(self, value: ThreadBlock, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._key = KeyText(value.key, "thread.key")
        self._idle = value.idle

    @classmethod
    def check(cls, value: ThreadBlock, spec: RuleSpec, known: Known) -> Iterator[Fault]:
        yield from inspect_key(value.key, (cls.name, "key"), known)
        if spec.message is None:
            yield Fault((cls.name,), 1, "needs a message, which begins the chat: add message: ...")
        if spec.keys.get("order") is not None:
            yield Fault(("order",), 1, "cannot go with thread, which keeps the order of its key: remove one of the two")
        if gathers(spec.keys):
            told = "cannot go with thread, in which each event is said: write keep: last, or remove one of the two"
            yield Fault(("debounce", "keep"), 1, told)

    def plan(self, event: Event, scope: Scope) -> Any:
        return {"key": self._key.render(scope), "idle": self._idle}

    def show(self, event: Event, scope: Scope) -> Any:
        return {"key": self._key.render(scope), "idle": show(self._idle)}
