"""`newest`: an event that is older than the newest one of its key comes too late."""

import re
import sys
from collections.abc import Iterator
from decimal import Decimal
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
_LONGEST: Final = 310
"""Characters of a number as text: no more digits than the greatest number has, a point and a sign."""
_TOO_LARGE: Final = "it is too large a number: it has at most 308 digits"
_NUMBER: Final = re.compile(r"-?(?:\d+\.?\d*|\.\d+)")
_FINER: Final = re.compile(r"([0-9][.,][0-9]{3})([0-9]{1,9})[0-9]*")
"""A second with more than three decimals, of which those up to the twelfth count."""


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
    skips_late = True

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


def _number(value: Any) -> int | float | str:
    """A number as it is, a time as milliseconds since the epoch; with decimals as text, which no float rounds.

    Raises Permanent (code `render`).
    """
    number = value
    if isinstance(value, str):
        text = value.strip()
        try:
            number = _read_number(text) if _NUMBER.fullmatch(text) else _milliseconds(text)
        except ValueError as error:
            raise failed("newest.by", f"{error}; it is a number, or a time as ISO text") from None
        if isinstance(number, str):
            return number
    if not is_number(number):
        raise failed("newest.by", f"it is {word(number)}; it is a number, or a time as ISO text")
    if not -_GREATEST <= number <= _GREATEST:  # not of infinity, either
        raise failed("newest.by", _TOO_LARGE)
    return number  # type: ignore[no-any-return] # is_number has looked


def _read_number(text: str) -> int | str:
    if len(text) > _LONGEST:
        raise failed("newest.by", _TOO_LARGE)
    return str(Decimal(text)) if "." in text else int(text)


def _milliseconds(text: str) -> int | str:
    """A time, also what a sender writes of it beyond milliseconds. Raises ValueError."""
    finer = _FINER.search(text)
    if finer is None:
        return moment.parse(text)
    whole = moment.parse(text[: finer.end(1)] + text[finer.end() :])
    exact = whole + Decimal(f"0.{finer[2]}")
    return whole if exact == whole else str(exact)
