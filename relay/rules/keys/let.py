"""`let`: names for all that follows in the rule."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from relay.model import Event
from relay.rules.check import Known, inspect_template
from relay.rules.explain import plain_value
from relay.rules.keys.key import Key
from relay.rules.parts import compile_part, fill
from relay.rules.sandbox import STRICT
from relay.rules.scope import NAMES, Evaluate, Letting, Scope
from relay.rules.spec import Fault, RuleSpec
from relay.rules.template import clean
from relay.rules.walk import texts
from relay.written.kinds import Free

_TAKEN: Final = (
    NAMES
    | STRICT.globals.keys()
    | {"caller", "events", "kwargs", "loop", "self", "varargs"}
    | {"and", "elif", "else", "if", "in", "is", "not", "or", "recursive"}
    | {"False", "None", "True", "false", "none", "true"}
)
"""Names that mean something else in a template."""


class Let(Key):
    """A name is evaluated when it is first used, and at most once for an event; later ones may use earlier ones."""

    name = "let"
    kind = Free
    about = "Names for all that follows in the rule, each a template; a lone {{ expression }} keeps its type."

    def __init__(self, value: Mapping[str, Any], spec: RuleSpec) -> None:
        super().__init__(value, spec)
        parts = {name: compile_part(given, f"let.{name}") for name, given in value.items()}
        self._lets: dict[str, Evaluate] = {name: _evaluate(part) for name, part in parts.items()}

    @classmethod
    def check(cls, value: Mapping[str, Any], spec: RuleSpec, known: Known) -> Iterator[Fault]:
        names = known.names - set(value)
        for name, given in value.items():
            if fault := _refuse(name):
                yield Fault((cls.name, name), 1, fault)
            for path, text in texts(given, (cls.name, name)):
                for line, message in inspect_template(text, replace(known, names=names)):
                    yield Fault(path, line, message)
            names |= {name}

    def lets(self) -> Mapping[str, Evaluate]:
        return self._lets

    def show(self, event: Event, scope: Scope) -> Any:
        if not isinstance(scope, Letting):
            return None
        return {name: plain_value(scope.value(name)) for name in self._lets}


def _evaluate(part: Any) -> Evaluate:
    return lambda scope: fill(part, scope)


def _refuse(name: str) -> str | None:
    if name in _TAKEN:
        return f'"{name}" means something else in a template: take another name'
    if not (name.isidentifier() and name.isascii()):
        return f'"{clean(name)}" cannot stand in a template: write letters, digits and _, first a letter'
    return None
