"""The port of a rule's keys: what each may do on an event's way through its rule (RULES, "The way of one event").

A key is one module with one class, listed in `relay.rules.keys.KEYS` in the order of that way. It owns how the file
writes it (`kind`, a pydantic type), what is refused at load (`check`), its step, and its part of the explanation. A
rule calls only the steps that a key overrides, so that a key which is not written costs nothing.

A key that needs the ledger (a value that was seen before, a lock, a window) renders its templates here, in `plan`, by
`relay.rules.keys.text.KeyText`, and hands them on with the dispatch. Its step is a module of `ledger/queries/keys`,
which the commit that accepts the event calls under the lock of the rendered key.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from relay.model import Event, Skip
from relay.rules.check import Known
from relay.rules.keys.text import KeyText
from relay.rules.scope import Evaluate, Scope
from relay.rules.spec import Fault, Rendered, RuleSpec
from relay.rules.template import Condition, Read


@dataclass(frozen=True, slots=True)
class Unless:
    """Events that cancel what the rule holds. `sources` and `types` are as in a rule."""

    sources: tuple[str, ...]
    types: tuple[str, ...]
    when: Condition | None
    key: KeyText
    """The key of what they cancel."""


class Key:
    """One key of one rule, compiled. `value` is what pydantic made of the file; it has passed `check`."""

    name: ClassVar[str]
    kind: ClassVar[Any]
    """How the file writes it."""
    short: ClassVar[tuple[Mapping[str, Any], ...]] = ()
    """JSON schemas of shorter ways to write it, which `kind` takes too."""
    about: ClassVar[str]
    """The key's meaning, for the schema and for messages."""
    default: ClassVar[Any] = None
    """What a rule has that does not write it, made of `kind`; None for nothing."""
    reads_texts: ClassVar[bool] = False
    """Whether `check` looks into the rule's other texts, so that its constants and paths matter, too."""

    skips_late: ClassVar[bool] = False
    """Whether its step in the ledger may skip an event: by then `stop` has ended the matching."""

    def __init__(self, value: Any, spec: RuleSpec) -> None: ...

    @classmethod
    def check(cls, value: Any, spec: RuleSpec, known: Known) -> Iterator[Fault]:
        """What is wrong, beyond what `kind` refuses. `known` has the names of the rule's `let`, if it has one.

        Paths are those of the rule, so they begin with the key's name.
        """
        yield from ()

    def lets(self) -> Mapping[str, Evaluate]:
        """Names that it adds to the scope."""
        return {}

    def skip(self, event: Event, scope: Scope) -> Skip | None:
        """Before the chat is rendered: why the rule makes none of this event. Never raises for what is in it."""
        return None

    def rewrite(self) -> Read | None:
        """What reads the templates of texts that a person or a model will read, in place of the plain parser."""
        return None

    def cover(self, rendered: Rendered) -> Rendered:
        """What leaves for Cargo, changed."""
        return rendered

    def withhold(self, rendered: Rendered) -> Skip | None:
        """After rendering: why the chat is not made all the same."""
        return None

    def plan(self, event: Event, scope: Scope) -> Any:
        """After rendering: what its step in the ledger needs, as a JSON value; None for nothing.

        It is kept with the dispatch. Raises `Permanent` (code `render`) when a template fails, and the dispatch fails
        with it.
        """
        return None

    def unless(self) -> Sequence[Unless]:
        """Which events cancel what the rule holds."""
        return ()

    def mark(self, rendered: Rendered, scope: Scope) -> Rendered:
        """At last, also where the chat could not be rendered: what its results carry and where they go."""
        return rendered

    def show(self, event: Event, scope: Scope) -> Any:
        """What it made of the event, as a JSON value for the explanation; None for nothing."""
        return None
