"""`newest`: an event that is older than the newest one of its key comes too late."""

import sys
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from relay import moment
from relay.model import Event
from relay.rules.check import Known, inspect_template
from relay.rules.keys.key import Key
from relay.rules.keys.text import KeyText, inspect_key
from relay.rules.missing import word
from relay.rules.parts import compile_part, failed, fill
from relay.rules.scope import Scope
from relay.rules.spec import Fault, RuleSpec
from relay.rules.values import is_number
from relay.written.block import Block
from relay.written.kinds import Jinja

_GREATEST: Final = sys.float_info.max


class NewestBlock(Block):
    """`newest` as a mapping."""

    key: Jinja
    """What the events are about, a template."""
    by: Jinja
    """A number, or a time as ISO text, that grows with each event of the key."""


class Newest(Key):
    """An event with a smaller `by` than the greatest one of its key is skipped as `stale`; an equal one is not."""

    name = "newest"
    kind: ClassVar[Any] = NewestBlock
    about = "Skips events that are older than the newest one of their key: {key, by}; `by` is a number or a time."

    def __init__(self, value: NewestBlock, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._key = KeyText(value.key, "newest.key")
        self._by = compile_part(value.by, "newest.by")

    @classmethod
    def check(cls, value: NewestBlock, spec: RuleSpec, known: Known) -> Iterator[Fault]:
        yield from inspect_key(value.key, (cls.name, "key"), known)
        for line, message in inspect_template(value.by, known):
            yield Fault((cls.name, "by"), line, message)

    def plan(self, event: Event, scope: Scope) -> Any:
        return {"key": self._key.render(scope), "by": _number(fill(self._by, scope))}


def _number(value: Any) -> int | float:
    """A number as it is; a time as milliseconds since the epoch. Raises Permanent (code `render`)."""
    if isinstance(value, str):
        try:
            value = float(value) if value.strip().lstrip("-").replace(".", "", 1).isdigit() else moment.parse(value)
        except ValueError as error:
            raise failed("newest.by", f"{error}; it is a number, or a time as ISO text") from None
    if not is_number(value):
        raise failed("newest.by", f"it is {word(value)}; it is a number, or a time as ISO text")
    if not -_GREATEST <= value <= _GREATEST:  # not of infinity, either
        raise failed("newest.by", "it is too large a number: it has at most 308 digits")
    return value  # type: ignore[no-any-return] # is_number has looked
