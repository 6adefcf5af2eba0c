"""`labels`: by which an event is found, and a result told apart."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, WithJsonSchema

from relay.errors import Permanent
from relay.model import Event, Labels, cut_label, remade
from relay.model.labels import LONGEST, MOST
from relay.rules.check import Known, inspect_template
from relay.rules.encode import check_text, encode
from relay.rules.keys.key import Key
from relay.rules.missing import word
from relay.rules.parts import compile_part, failed, fill
from relay.rules.scope import Scope
from relay.rules.spec import Fault, Rendered, RuleSpec
from relay.rules.template import is_template
from relay.written.kinds import LABEL, label, settle

_VALUE: Final = {"type": ["string", "number", "boolean"]}
_KIND: Final = Annotated[
    dict[str, Any],
    BeforeValidator(settle),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": f"^{LABEL}$"},
            "additionalProperties": _VALUE,
            "maxProperties": MOST,
        }
    ),
]


class LabelsKey(Key):
    """A label that cannot be rendered is left out, with the reason; the dispatch goes on."""

    name = "labels"
    kind: ClassVar[Any] = _KIND
    about = f"At most {MOST} names, each with a template: in results, and events are searched by them."

    def __init__(self, value: Mapping[str, Any], spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._labels = {name: _Label(name, given) for name, given in value.items()}

    @classmethod
    def check(cls, value: Mapping[str, Any], spec: RuleSpec, known: Known) -> Iterator[Fault]:
        if len(value) > MOST:
            yield Fault((cls.name,), 1, f"has {len(value)} labels, and a rule has at most {MOST}: take some out")
        for name, given in value.items():
            yield from _check_label(name, given, (cls.name, name), known)

    def mark(self, rendered: Rendered, scope: Scope) -> Rendered:
        values, left_out = {}, {}
        for name, each in self._labels.items():
            try:
                values[name] = each.render(scope)
            except Permanent as error:
                left_out[name] = str(error)
        return remade(rendered, labels=Labels(values, left_out))

    def show(self, event: Event, scope: Scope) -> Any:
        return {name: each.show(scope) for name, each in self._labels.items()}


class _Label:
    """One label, compiled."""

    def __init__(self, name: str, given: Any) -> None:
        self._place = f"labels.{name}"
        self._part = compile_part(given, self._place)

    def render(self, scope: Scope) -> str:
        """Its value. Raises `Permanent` that begins with the place."""
        value = fill(self._part, scope)
        try:
            return _text_of(value)
        except ValueError as error:
            raise failed(self._place, str(error)) from None

    def show(self, scope: Scope) -> Any:
        """Its value for the explanation, or why it is left out."""
        try:
            return self.render(scope)
        except Permanent as error:
            return {"leftOut": str(error)}


def _text_of(value: Any) -> str:
    """A value as that of a label: a number as its text, `true` and `false` as words. Raises ValueError."""
    if not isinstance(value, str | int | float):
        raise ValueError(f"it is {word(value)}; a label is text: write | default(...), or | tojson")  # noqa: TRY004
    text = cut_label(value if isinstance(value, str) else encode(value))
    if not text:
        raise ValueError("it is blank; a label is text: write | default(..., true)")
    check_text(text)
    return text


def _check_label(name: Any, given: Any, path: tuple[str | int, ...], known: Known) -> Iterator[Fault]:
    try:
        label(str(name))
    except ValueError as error:
        yield Fault(path, 1, str(error))
    if isinstance(given, str) and is_template(given):
        for line, message in inspect_template(given, known):
            yield Fault(path, line, message)
        return
    try:
        text = _text_of(given)
    except ValueError as error:
        yield Fault(path, 1, str(error))
    else:
        if isinstance(given, str) and len(text) < len(given.strip()):
            yield Fault(path, 1, f"is longer than {LONGEST} characters, and is cut there: make it shorter", warn=True)
