"""`limit`: how many chats a rule makes in a time."""

from collections import Counter
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BeforeValidator

from relay.model import Event
from relay.rules.check import Known
from relay.rules.keys.key import Key
from relay.rules.keys.text import KeyText, inspect_key
from relay.rules.scope import Scope
from relay.rules.spec import Fault, RuleSpec
from relay.written.block import Block, default
from relay.written.kinds import Jinja, Pace

_MOST: Final = 10
"""Items of the list: each is a row of the ledger that a claim locks."""


class ChatLimitBlock(Block):
    """One item of `limit`."""

    rate: Pace
    """How many start in any window of that length."""
    key: Jinja | None = default(None)
    """What has a rate of its own, a template; left out: the rule as a whole."""
    then: Literal["hold", "park", "drop"] = default("hold")
    """What becomes of the next one: it waits for its place, waits for a person, or ends as suppressed."""


def _counted(value: Any) -> Any:
    if isinstance(value, list) and not 1 <= len(value) <= _MOST:
        raise ValueError(f"has {len(value)} items: write one to {_MOST}, as [{{rate: 100/d}}], or leave the key out")
    return value


def _names(items: Sequence[ChatLimitBlock]) -> list[str]:
    """What the ledger counts the starts of each item under: its time and its key, whatever its place in the list.

    Not its count, so that the starts of before count under another one. Of several alike each has its number.
    """
    names: list[str] = []
    seen = Counter[str]()
    for item in items:
        key = "" if item.key is None else sha256(item.key.encode()).hexdigest()[:16]
        alike = f"{item.rate.period} {key}"
        names.append(f"{alike} {seen[alike]}")
        seen[alike] += 1
    return names


class ChatLimit(Key):
    """In no window of the length of a rate do more start. Retries by hand count, further calls of one do not."""

    name = "limit"
    kind: ClassVar[Any] = Annotated[tuple[ChatLimitBlock, ...], BeforeValidator(_counted)]
    about = "How many chats start in any window, a list of {rate, key, then}; then: hold, park or drop."

    def __init__(self, value: tuple[ChatLimitBlock, ...], spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._items = [
            (item, None if item.key is None else KeyText(item.key, f"limit[{number}].key"))
            for number, item in enumerate(value)
        ]
        self._names = _names(value)

    @classmethod
    def check(cls, value: tuple[ChatLimitBlock, ...], spec: RuleSpec, known: Known) -> Iterator[Fault]:
        for number, item in enumerate(value):
            if item.key is not None:
                yield from inspect_key(item.key, (cls.name, number, "key"), known)

    def plan(self, event: Event, scope: Scope) -> Any:
        return [
            {
                "key": key and key.render(scope),
                "rate": [item.rate.count, item.rate.period],
                "then": item.then,
                "as": name,
            }
            for (item, key), name in zip(self._items, self._names, strict=True)
        ]

    def show(self, event: Event, scope: Scope) -> Any:
        return [
            {"key": key and key.render(scope), "rate": str(item.rate), "then": item.then} for item, key in self._items
        ]
