"""`untrusted`, `untrusted_max`: what a stranger wrote is fenced wherever a model will read it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from relay.model import Event
from relay.rules.check import Known
from relay.rules.explain import look_into
from relay.rules.fence import LONGEST
from relay.rules.keys.debounce import gathers
from relay.rules.keys.key import Key
from relay.rules.keys.let import Let
from relay.rules.scope import Scope
from relay.rules.spec import Fault, RuleSpec
from relay.rules.taint import ROOTS, Taint, steps_of
from relay.rules.template import Read, is_template
from relay.rules.walk import texts
from relay.written.kinds import Count, Texts

_MOST: Final = "untrusted_max"


class Untrusted(Key):
    """Where one of the paths is written into `message`, `follow` or `name`, also by `let`, it is cut and fenced."""

    name = "untrusted"
    kind = Texts
    about = "Paths, as data.description, whose text is cut and fenced in `message`, `follow` and the chat's `name`."
    reads_texts = True

    def __init__(self, value: Sequence[str], spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._paths = value
        self._taint = _taint(value, spec)
        self._most = spec.keys.get(_MOST) or LONGEST

    @classmethod
    def check(cls, value: Sequence[str], spec: RuleSpec, known: Known) -> Iterator[Fault]:
        for number, path in enumerate(value):
            if _steps(path) is None:
                roots = ", ".join(sorted(ROOTS))
                told = f"is not a path of what comes in ({roots}): write one, as data.description"
                yield Fault((cls.name, number), 1, told)
        yield from _blocks(spec)

    def show(self, event: Event, scope: Scope) -> Any:
        return {path: value for path in self._paths for value in look_into(path, scope)[0].values.values()}

    def rewrite(self) -> Read | None:
        return _Fenced(self._taint, self._most)


@dataclass(frozen=True, slots=True)
class _Fenced:
    """Reads templates with a fence around what is untrusted; equal where many rules say the same."""

    taint: Taint
    most: int

    def __call__(self, text: str) -> nodes.Template:
        return self.taint.fenced(text, self.most)


class UntrustedMax(Key):
    """How much of an untrusted text is written."""

    name = _MOST
    kind = Count
    about = f"The most characters of one untrusted text, {LONGEST:,} unless given."

    @classmethod
    def check(cls, value: int, spec: RuleSpec, known: Known) -> Iterator[Fault]:
        if not spec.keys.get(Untrusted.name):
            yield Fault((cls.name,), 1, "has no effect without `untrusted`: add the paths there", warn=True)


def _blocks(spec: RuleSpec) -> Iterator[Fault]:
    """Blocks of `message`, `follow` and `name` that would change a fenced text."""
    paths = spec.keys.get(Untrusted.name)
    if not paths or any(_steps(path) is None for path in paths):
        return
    name = spec.chat.get("name")
    for place, text in ((("message",), spec.message), (("follow",), spec.follow), (("chat", "name"), name)):
        try:
            lines = _taint(paths, spec).hidden(text) if isinstance(text, str) and is_template(text) else ()
        except TemplateSyntaxError:
            continue  # it is reported as such
        for line in lines:
            told = "a block around an untrusted text would change its fence: write {{ text | filter }}"
            yield Fault(place, line, told)


def _steps(path: str) -> Any:
    try:
        return steps_of(path)
    except TemplateSyntaxError:
        return None


def _taint(paths: Sequence[str], spec: RuleSpec) -> Taint:
    """With the names of `let` that hold something untrusted, each judged by those before it."""
    taint = Taint(tuple(steps for path in paths if (steps := steps_of(path)) is not None))
    if gathers(spec.keys):
        taint = taint.plus({"events"})  # each has what came in, under another path
    for name, value in (spec.keys.get(Let.name) or {}).items():
        written = [text for _, text in texts(value, ()) if is_template(text)]
        taint = taint.let(name, written, lone_text=isinstance(value, str) and bool(written))
    return taint
