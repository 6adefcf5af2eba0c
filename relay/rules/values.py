"""Values as JSON has them: what each is inside a text, when two are the same, and which comes first.

Python would write null as `None` and true as `True`, take true for 1, and refuse to sort a list with a null in it.
`spend` is told of the work that a value asks for beyond its own length.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from jinja2 import Undefined

from relay.rules.encode import encode
from relay.rules.missing import word

Spend = Callable[[int], None]
Rank = tuple[int, Any]

_ITEM: Final = 64
"""What an item counts for that is compared by hand; measured."""
_CHARACTERS: Final = 16
"""So many characters are compared in the time of one unit of work."""


def text(value: Any, spend: Spend) -> str:
    """A value inside a text: a text as it is, null as nothing, all else as JSON. Raises what a missing value raises."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, Undefined):
        return str(value)
    written = encode(value)
    spend(len(written))
    return written


def is_number(value: Any) -> bool:
    """Whether it is a number of JSON; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_nothing(value: Any) -> bool:
    """Whether it is null, or missing where that is no fault. Raises what a missing value raises."""
    return value is None or (isinstance(value, Undefined) and not value)


def settle(value: Any) -> Any:
    """An iterator (of `map`, `select`) as the list that it stands for."""
    return list(value) if isinstance(value, Iterator | range) else value


def listed(value: Any) -> Iterable[Any]:
    """What a loop goes through: null is an empty list. Raises TypeError for what is no list."""
    if value is None:
        return ()
    if not isinstance(value, Iterable):
        raise TypeError(f"a loop goes through a list, not through {word(value)}")
    return value


def same(left: Any, right: Any, spend: Spend) -> bool:
    """Whether two values are equal in JSON: 1 is 1.0, and true is not 1. What is missing equals nothing, or raises."""
    pending = [(left, right)]
    while pending:
        one, two = map(settle, pending.pop())
        if isinstance(one, list | tuple) and isinstance(two, list | tuple):
            if len(one) != len(two):
                return False
            spend(_ITEM * len(one))
            pending += zip(one, two, strict=True)
        elif isinstance(one, Mapping) and isinstance(two, Mapping):
            if one.keys() != two.keys():
                return False
            spend(_ITEM * len(one))
            pending += [(item, two[key]) for key, item in one.items()]
        elif isinstance(one, bool) or isinstance(two, bool):
            if one is not two:
                _ = one == two  # raises where one is missing and that is a fault
                return False
        else:
            if isinstance(one, str):
                spend(len(one) // _CHARACTERS)
            if one != two:
                return False
    return True


def rank(value: Any, spend: Spend, *, fold: bool = False) -> Rank:
    """By what values of all kinds are sorted: null, false, true, numbers, texts, lists, objects.

    `fold` takes upper and lower case as one. Lists and objects go by their JSON text.
    """
    if is_nothing(value):
        return 0, 0
    if isinstance(value, bool):
        return 1, value
    if isinstance(value, int | float):
        return 2, value
    if isinstance(value, str):
        return 3, value.lower() if fold else value
    return 5 if isinstance(value, Mapping) else 4, text(value, spend)
