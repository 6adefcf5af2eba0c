"""A key by which a rule tells events apart, as `{{ data.ticket.id }}`: a template that gives a short text."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from relay.rules.check import Known, inspect_template
from relay.rules.encode import check_text, encode
from relay.rules.missing import word
from relay.rules.outline import skeleton
from relay.rules.parts import TemplatePart, failed
from relay.rules.scope import Scope
from relay.rules.spec import Fault
from relay.rules.template import Template, parse
from relay.rules.values import is_number
from relay.rules.walk import texts

LONGEST: Final = 1 << 10
"""Bytes of UTF-8."""


class KeyText:
    """The template of a key, compiled. `place` names it for people, as `once.key`; `what` says what it is.

    `longest` is in bytes of UTF-8.
    """

    __slots__ = ("_longest", "_place", "_text", "_what")

    def __init__(self, template: str, place: str, *, what: str = "a key", longest: int = LONGEST) -> None:
        self._text = TemplatePart(Template(template), place)
        self._place = place
        self._what = what
        self._longest = longest

    def render(self, scope: Scope) -> str:
        """The key, trimmed; a number as its text.

        Raises `Permanent` (code `render`) that begins with the place, where it is missing, null, blank, too long or no
        text.
        """
        value = self._text.fill(scope)
        if is_number(value):
            try:  # for an integer the encoder takes longer
                value = str(value) if type(value) is int else encode(value)
            except ValueError:  # more digits than Python writes, or past the end of floats
                raise failed(self._place, f"it is too large a number for {self._what}") from None
        if not isinstance(value, str):
            raise failed(self._place, f"it is {word(value)}; {self._what} is text: write | default(...), or | tojson")
        key = value.strip()
        if not key:
            raise failed(self._place, f"it is blank; {self._what} never is: write | default(..., true)")
        try:
            check_text(key)
        except ValueError as error:
            raise failed(self._place, str(error)) from None
        if (size := len(key.encode())) > self._longest:
            most = f"{self._what} has at most {self._longest}: write | truncate({self._longest // 4})"
            raise failed(self._place, f"it has {size} bytes; {most}")
        return key


SHORT_FORM: Final = ({"type": "string"},)
"""The schema of the short form of a key's block."""


def short_form(value: Any) -> Any:
    """A key's block from its short form, which is the template alone."""
    return {"key": value} if isinstance(value, str) else value


def inspect_key(text: str, path: tuple[str | int, ...], known: Known) -> Iterator[Fault]:
    """What is wrong with a key's template, and a warning where it is the same for all events."""
    faults = [Fault(path, line, message) for line, message in inspect_template(text, known)]
    yield from faults
    if not faults and _is_constant(skeleton(text), known.constant):
        told = "is one key for all events: name what tells them apart, as {{ data.id }}"
        yield Fault(path, 1, told, warn=True)


def constant_names(lets: Mapping[str, Any]) -> frozenset[str]:
    """The names that have the same value for every event: `vars`, and what a rule's `let` makes of them."""
    names = frozenset({"vars"})
    for name, given in lets.items():
        if all(_is_constant(skeleton(text), names) for _, text in texts(given, ())):
            names |= {name}
    return names


@lru_cache(maxsize=1_024)
def _is_constant(text: str, names: frozenset[str]) -> bool:
    """Whether it uses nothing but these names."""
    try:
        tree = parse(text)
    except TemplateSyntaxError:
        return False
    bound = {node.name for node in tree.find_all(nodes.Name) if node.ctx != "load"}
    return not {node.name for node in tree.find_all(nodes.Name)} - bound - names - {"range", "null", "loop"}
