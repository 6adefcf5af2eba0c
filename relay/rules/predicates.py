"""The tests of the template language (`is startswith("No")`): Jinja's own and ours, over values of JSON.

A test of what a value is not is false, and never an error: null begins with nothing, a text is not odd.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from jinja2 import Environment, Undefined, pass_context, pass_environment
from jinja2.tests import TESTS as STOCK

from relay.rules.budget import Rendering, metered
from relay.rules.operators import compare
from relay.rules.values import is_nothing, is_number, same, text

Test = Callable[..., bool]

_COMPARISONS: Final = {
    **dict.fromkeys(("==", "eq", "equalto"), "eq"),
    **dict.fromkeys(("!=", "ne"), "ne"),
    **dict.fromkeys(("<", "lt", "lessthan"), "lt"),
    **dict.fromkeys((">", "gt", "greaterthan"), "gt"),
    **dict.fromkeys(("<=", "le"), "lteq"),
    **dict.fromkeys((">=", "ge"), "gteq"),
    "in": "in",
}


def _comparison(op: str) -> Test:
    @pass_context
    def test(rendering: Rendering, value: Any, other: Any) -> bool:
        return compare(op, value, other, rendering.spend)

    return test


def _of_number(test: Callable[..., bool]) -> Test:
    def judge(value: Any, *args: Any) -> bool:
        if any(is_nothing(each) or not is_number(each) for each in (value, *args)):
            return False
        return test(value, *args)

    return judge


def _of_texts(test: Callable[..., bool]) -> Test:
    @pass_context
    def judge(rendering: Rendering, value: Any, *args: Any) -> bool:
        texts = [None if is_nothing(each) else text(each, rendering.spend) for each in (value, *args)]
        return None not in texts and test(*texts)

    return judge


@pass_context
def _is_same(rendering: Rendering, value: Any, other: Any) -> bool:
    """Whether it is the very value: Python's identity would hang on how a number is kept."""
    alike = type(value) is type(other) and not isinstance(value, Undefined)
    return alike and same(value, other, rendering.spend)


@pass_environment
def _is_filter(environment: Environment, value: Any) -> bool:
    return isinstance(value, str) and value in environment.filters


@pass_environment
def _is_test(environment: Environment, value: Any) -> bool:
    return isinstance(value, str) and value in environment.tests


def _is_starting(value: str, start: str) -> bool:
    return value.startswith(start)


def _is_ending(value: str, end: str) -> bool:
    return value.endswith(end)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and is_number(value)


_STOCK: Final[Mapping[str, Any]] = STOCK

_ALL: Final[Mapping[str, Any]] = {
    **STOCK,
    **{name: _comparison(op) for name, op in _COMPARISONS.items()},
    **{name: _of_number(_STOCK[name]) for name in ("odd", "even", "divisibleby")},
    "number": is_number,
    "integer": _is_integer,
    "lower": _of_texts(str.islower),
    "upper": _of_texts(str.isupper),
    "startswith": _of_texts(_is_starting),
    "endswith": _of_texts(_is_ending),
    "sameas": _is_same,
    "filter": _is_filter,
    "test": _is_test,
}
_CHEAP: Final = frozenset(
    {"boolean", "callable", "defined", "escaped", "false", "filter", "float", "integer", "iterable", "mapping"}
    | {"none", "number", "sequence", "string", "test", "true", "undefined"}
)
"""Those that look at the kind of a value, and not into it."""

TESTS: Final[Mapping[str, Test]] = {
    name: each if name in _CHEAP else metered(name, each) for name, each in _ALL.items()
}
