"""Why a condition is true or false: each of its terms, with the values that it found."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from relay.errors import Permanent
from relay.rules.sandbox import LENIENT
from relay.rules.scope import Failed, Scope
from relay.rules.template import Condition, clean, describe

_LONGEST: Final = 2_000
"""Characters of JSON of one value in an explanation."""
_KEPT: Final = 8_192
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")


@dataclass(frozen=True, slots=True)
class Term:
    """One term of a condition, as `data.amount > 5`.

    `joined` is how it is joined to the one before it: `and`, `or`, or None for the first. `holds` is None where it
    cannot be evaluated, for the reason `error`. `values` are the paths that it names and what stands there, `missing`
    those that are not there.
    """

    text: str
    joined: str | None
    holds: bool | None
    values: dict[str, Any] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    error: str | None = None

    def document(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "condition": self.text,
            "joined": self.joined,
            "holds": self.holds,
            "values": self.values,
            "missing": list(self.missing),
            "error": self.error,
        }


def look_into(condition: str, scope: Scope) -> list[Term]:
    """The terms of a condition, each judged by itself. Slow the first time: for people."""
    return [_judge(text, joined, scope) for joined, text in _terms(condition)]


@lru_cache(maxsize=_KEPT)
def _terms(condition: str) -> tuple[tuple[str | None, str], ...]:
    """Kept, as what a condition compiles to: a page explains the same hundreds of them again and again."""
    return tuple(split(condition))


def split(condition: str) -> list[tuple[str | None, str]]:
    """The terms between the outermost `or`, else between the outermost `and`, each behind the word that joins it.

    A condition with an outermost `if` is one term, since that binds weaker than both.
    """
    words = list(_outermost(condition))
    if any(word == "if" for word, _ in words):
        return [(None, condition.strip())]
    for joint in ("or", "and"):
        places = [place for word, place in words if word == joint]
        if places:
            starts = [0, *(place + len(joint) for place in places)]
            pieces = zip(starts, [*places, len(condition)], strict=True)
            return [(joint if start else None, condition[start:end].strip()) for start, end in pieces]
    return [(None, condition.strip())]


def _outermost(condition: str) -> Iterator[tuple[str, int]]:
    """The words `and`, `or` and `if` outside of brackets and quotes, with their places."""
    depth = place = 0
    for _, kind, text in LENIENT.lexer.tokeniter("{{" + condition + "}}", None):
        if kind == "operator":
            depth += (text in _OPENING) - (text in _CLOSING)
        elif kind == "name" and not depth and text in {"and", "or", "if"}:
            yield text, place - 2
        place += len(text)


def plain_value(value: Any) -> Any:
    """A value as JSON for people: whole while it is short, else its text cut."""
    if isinstance(value, Failed):
        return {"failed": clean(value.reason)}
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except Exception as error:  # noqa: BLE001 - what is missing raises when it is written
        return f"(it cannot be shown: {describe(error)})"
    if len(text) > _LONGEST:
        return clean(f"{text[:_LONGEST]}...")
    return json.loads(text.encode(errors="replace"))  # half of a surrogate pair, as of from_json, is in no response


def _judge(text: str, joined: str | None, scope: Scope) -> Term:
    try:
        term = Condition(text)
        values = {path: plain_value(value) for path, value in term.values(scope).items()}
        missing = tuple(term.gaps(scope))
    except (Permanent, ValueError) as error:
        return Term(text, joined, None, error=str(error))
    try:
        return Term(text, joined, term.holds(scope), values, missing)
    except Permanent as error:
        return Term(text, joined, None, values, missing, str(error))
