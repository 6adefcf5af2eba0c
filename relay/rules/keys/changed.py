"""`changed`: only when a value differs from the last that the rule saw for the key."""

from collections.abc import Iterator
from hashlib import sha256
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from relay.model import Event
from relay.rules.check import Known, inspect_template
from relay.rules.encode import encode
from relay.rules.keys.key import Key
from relay.rules.keys.text import KeyText, inspect_key
from relay.rules.parts import compile_part, failed, fill
from relay.rules.scope import Scope
from relay.rules.spec import Fault, RuleSpec
from relay.rules.template import describe
from relay.written.block import Block, default
from relay.written.kinds import Jinja, listed


class ChangedBlock(Block):
    """`changed` as a mapping."""

    key: Jinja
    """What the values belong to, a template."""
    of: Annotated[tuple[Jinja, ...], Field(min_length=1), BeforeValidator(listed)]
    """The values, each a template; a lone {{ expression }} keeps its type."""
    first: Literal["match", "skip"] = default("match")
    """What the first sight of a key is."""


class Changed(Key):
    """The values are kept as a hash; an event with the same ones is skipped as `unchanged`."""

    name = "changed"
    kind: ClassVar[Any] = ChangedBlock
    about = "Only when one of the values in `of` differs from the last that the rule saw for the key: {key, of, first}."
    skips_late = True

    def __init__(self, value: ChangedBlock, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._key = KeyText(value.key, "changed.key")
        self._of = [compile_part(text, f"changed.of[{number}]") for number, text in enumerate(value.of)]
        self._first = value.first

    @classmethod
    def check(cls, value: ChangedBlock, spec: RuleSpec, known: Known) -> Iterator[Fault]:
        yield from inspect_key(value.key, (cls.name, "key"), known)
        for number, text in enumerate(value.of):
            for line, message in inspect_template(text, known):
                yield Fault((cls.name, "of", number), line, message)

    def plan(self, event: Event, scope: Scope) -> Any:
        values = [fill(part, scope) for part in self._of]
        try:  # half of a surrogate pair is a value like any other: nothing of it leaves
            text = encode(values).encode("utf-8", "surrogatepass")
        except Exception as error:  # noqa: BLE001 - an iterator of a template may raise anything
            raise failed("changed.of", describe(error)) from None
        return {"key": self._key.render(scope), "hash": sha256(text).hexdigest(), "first": self._first}
