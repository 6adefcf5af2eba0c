"""Operators over values of JSON: comparisons, arithmetic, `~`, `%` of a text, slices.

Null is nothing: `~` and `+` put nothing in its place, it is neither less nor more than anything and in nothing but a
list that holds it. Arithmetic with it has no answer and raises, as with a text.
"""

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Self

from jinja2 import Undefined

from relay.rules.encode import encode
from relay.rules.missing import word
from relay.rules.values import Spend, is_nothing, is_number, rank, same, settle, text

_ITEM: Final = 64
_LOOK: Final = 4
"""What an item of a list counts for that is compared by hand, or by Python; measured."""
_SYMBOLS: Final = {"lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}
_ORDERS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
}
PLAIN: Final[Mapping[str, Callable[[Any, Any], Any]]] = {"eq": operator.eq, "ne": operator.ne, **_ORDERS}
ALIKE: Final = frozenset({str, int, float})
"""Types whose values Python compares as JSON does."""
_CHARACTERS: Final = 16
"""So many characters are compared in the time of one unit of work."""
_ARITHMETIC: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}
_TAKES: Final = {
    "+": "two numbers, two texts or two lists",
    "*": "two numbers, or a text or list and a whole number",
}


def compare(op: str, left: Any, right: Any, spend: Spend) -> bool:
    """One comparison, `op` by Jinja's name (`eq`, `lteq`, `notin`). Raises TypeError for kinds without an order."""
    if type(left) is type(right) and type(left) in ALIKE and op in PLAIN:  # most are of this kind
        if type(left) is str:
            spend(len(left) // _CHARACTERS)
        return bool(PLAIN[op](left, right))
    match op:
        case "eq":
            return same(left, right, spend)
        case "ne":
            return not same(left, right, spend)
        case "in":
            return holds(right, left, spend)
        case "notin":
            return not holds(right, left, spend)
        case _:
            return _precedes(op, settle(left), settle(right), spend)


def holds(container: Any, item: Any, spend: Spend) -> bool:
    """Whether a list has the item, an object the key, a text the text. Raises TypeError for what holds nothing."""
    if is_nothing(container):
        return False
    if isinstance(container, str):
        spend(len(container))
        return not is_nothing(item) and text(item, spend) in container
    if isinstance(container, Mapping):
        if is_nothing(item) or isinstance(item, bool):
            return False
        return isinstance(item, str | int) and item in container
    if isinstance(container, list | tuple | range | Iterator):
        items = settle(container)
        spend(_LOOK * len(items))
        return _has(items, item, spend)
    raise TypeError(f"`in` looks into a text, a list or an object, not into {word(container)}")


def _has(items: Any, item: Any, spend: Spend) -> bool:
    """Whether a list has the item. What Python compares as JSON does is left to it: it is fifty times as fast."""
    if item is None or isinstance(item, bool):
        return any(each is item for each in items)
    if isinstance(item, str) or (is_number(item) and item not in items):
        return item in items
    spend(_ITEM * len(items))
    return any(same(item, each, spend) for each in items)


def calculate(op: str, left: Any, right: Any) -> Any:
    """Arithmetic. Raises TypeError that says what the operator takes."""
    if isinstance(left, Undefined) or isinstance(right, Undefined):
        return _ARITHMETIC[op](left, right)  # raises, with the path
    if op == "+":
        left, right = settle(left), settle(right)
        if left is None and (right is None or isinstance(right, str | list | tuple)):
            return right
        if right is None and isinstance(left, str | list | tuple):
            return left
        if isinstance(left, list | tuple) and isinstance(right, list | tuple):
            return [*left, *right]
    if not _is_taken(op, left, right):
        raise TypeError(_refuse(op, left, right))
    return _ARITHMETIC[op](left, right)


def negate(op: str, value: Any) -> Any:
    """`-value` or `+value`. Raises TypeError unless it is a number."""
    if not is_number(value) and not isinstance(value, Undefined):
        raise TypeError(f"{op} takes a number, not {word(value)}{_cure(value)}")
    return -value if op == "-" else +value


def cut(value: Any, part: slice) -> Any:
    """A slice of a text or a list; of null null. Raises TypeError for what has no parts."""
    if isinstance(value, str | list | tuple | Undefined):
        return value[part]
    if value is None:
        return None
    if isinstance(value, range | Iterator):
        return list(value)[part]
    raise TypeError(f"a slice is cut out of a text or a list, not out of {word(value)}")


def put(form: str, values: Any, spend: Spend) -> str:
    """`"%s of %d" % values`: a tuple, a mapping, or one value. Raises TypeError where they do not fit."""
    if isinstance(values, Mapping):
        given: Any = _Fields(values, spend)
    else:
        given = tuple(_shown(value, spend) for value in (values if isinstance(values, tuple) else (values,)))
    try:
        return str(form % given)
    except TypeError as error:
        raise TypeError(f"the format does not fit what it is given: {error}") from None


def _precedes(op: str, left: Any, right: Any, spend: Spend) -> bool:
    if isinstance(left, Undefined) or isinstance(right, Undefined) or (is_number(left) and is_number(right)):
        return _ORDERS[op](left, right)  # what is missing raises: in a condition that is false, and told
    if left is None or right is None:
        return False
    first, second = rank(left, spend), rank(right, spend)
    if first[0] != second[0]:
        told = f"{_SYMBOLS[op]} is not supported between {word(left)} and {word(right)}"
        raise TypeError(f"{told}: convert one of them, as with | float")
    return _ORDERS[op](first, second)


def _is_taken(op: str, left: Any, right: Any) -> bool:
    if is_number(left) and is_number(right):
        return True
    if op == "+":
        return isinstance(left, str) and isinstance(right, str)
    pairs: Iterable[tuple[Any, Any]] = ((left, right), (right, left)) if op == "*" else ()
    return any(
        isinstance(many, str | list | tuple) and isinstance(times, int) and is_number(times) for many, times in pairs
    )


def _refuse(op: str, left: Any, right: Any) -> str:
    told = f"{op} takes {_TAKES.get(op, 'two numbers')}, here are {word(left)} and {word(right)}"
    if op == "+" and (isinstance(left, str) or isinstance(right, str)):
        return f"{told}; ~ joins values of all kinds as text"
    return told + (_cure(left) or _cure(right))


def _cure(value: Any) -> str:
    if value is None:
        return "; | default(0, true) takes the place of null"
    return "; | float makes a number of a text" if isinstance(value, str) else ""


def _shown(value: Any, spend: Spend) -> Any:
    """What a format gets: numbers as they are, which have formats of their own, and all else as text."""
    return value if is_number(value) or isinstance(value, Undefined) else Text(value, spend)


class Text(str):
    """A value as text, and as JSON for `%r`. Its name stands in Python's messages."""

    __slots__ = ("_value",)
    _value: Any

    def __new__(cls, value: Any, spend: Spend) -> Self:
        made = super().__new__(cls, text(value, spend))
        made._value = value
        return made

    def __repr__(self) -> str:
        return encode(self._value)


class _Fields(dict[str, Any]):
    """What a format takes by name, `%(name)s`."""

    __slots__ = ("_spend",)

    def __init__(self, values: Mapping[str, Any], spend: Spend) -> None:
        super().__init__(values)
        self._spend = spend

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise ValueError(f'the format names "{key}", which it is not given')
        return _shown(super().__getitem__(key), self._spend)

    def __str__(self) -> str:
        return text(dict(self), self._spend)

    __repr__ = __str__
