"""How much one rendering may do: a template is an operator's, but how often it turns and on what is a stranger's.

Work is counted in characters and items that are gone through or made; a turn of a loop and a call count for `STEP` of
them. What could make much out of little (`center(1000000000)`) is refused before it is made.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any, Final

from jinja2 import pass_context
from jinja2.runtime import Context, Undefined
from jinja2.utils import _PassArg

from relay.rules import values
from relay.rules.encode import LIMIT

WORK: Final = 16 * LIMIT
"""The most that one rendering of one template may do, in characters and items."""

STEP: Final = 256
"""What a turn of a loop or a call of a filter counts for, beside the sizes of what it takes and gives."""

SLOW: Final = 32 << 10
"""The most characters for what takes much longer than it takes to copy them."""

ITEMS: Final = 100_000
"""The most items that a number may ask for; Jinja's `range` has the same."""

_COSTS: Final[Mapping[str, int]] = {
    "batch": STEP // 4,
    "e164": 8,
    "fence": 4,
    "format": 4,
    "from_json": 4,
    "groupby": 4 * STEP,
    "join": 8,
    "jsonpath": STEP,
    "max": STEP // 2,
    "min": STEP // 2,
    "slice": STEP // 4,
    "sort": 2 * STEP,
    "split": 32,
    "strip_html": 64,
    "sum": 8,
    "title": 16,
    "unique": STEP // 2,
    "urlencode": 8,
    "wordcount": 4,
}
"""What a character or item counts for where it takes longer than a copy; measured on the worst of 1 MiB."""

_ARGUMENT: Final = 1_000
_PLACES: Final = 400
_WIDTH: Final = re.compile(r"%(?:\([^()]*\))?[-+ #0]*(?:\*|[0-9]{5}|[0-9]{0,4}\.(?:\*|[0-9]{5}))")
_SLOW: Final = frozenset({"striptags", "wordwrap"})
_BY_PATH: Final = frozenset(
    {"dictsort", "groupby", "map", "max", "min", "reject", "rejectattr", "select", "selectattr", "sort", "sum"}
    | {"trim", "unique"}
)


class Spent(ValueError):
    """A rendering has done all the work that it may."""

    def __init__(self) -> None:
        super().__init__(
            f"it takes more work than one template may ({WORK} characters and items, a turn of a loop is {STEP}): "
            "go through fewer items, or cut texts with | truncate first"
        )


class Rendering(Context):
    """The scope of one rendering; `calls` are those that are under way, `left` is the work that it still may do."""

    calls = 0
    left = WORK

    def spend(self, units: int) -> None:
        """Count work. Raises Spent."""
        self.left -= units
        if self.left < 0:
            raise Spent

    def each(self, items: Iterable[Any], written: int = 0) -> Iterator[Any]:
        """The items, each counted when it is asked for, with the `written` characters that its turn repeats."""
        for item in values.listed(items):
            self.spend(STEP + written)
            yield item

    def text(self, value: Any) -> str:
        """A value inside a text, as `values.text` has it, what is written anew counted."""
        return values.text(value, self.spend)

    def joined(self, parts: Iterable[Any]) -> str:
        """What `~` gives, counted."""
        text = "".join(map(self.text, parts))
        self.spend(len(text))
        return text

    def weighed(self, value: Any) -> Any:
        """The value, its size counted."""
        self.spend(weight(value))
        return value


def weight(value: Any) -> int:
    """Characters of a text, items of what has any; 0 for all else."""
    return len(value) if isinstance(value, str | list | tuple | dict) else 0


def metered(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter or test `name` of Jinja, whose work is counted on the rendering that it stands in."""
    passed, cost = _PassArg.from_obj(function), _COSTS.get(name, 1)

    @pass_context
    @wraps(function)
    def run(rendering: Rendering, value: Any, *args: Any, **kwargs: Any) -> Any:
        given = (*args, *kwargs.values())
        rendering.spend(STEP + weight(value) * cost + sum(map(weight, given)))
        if name in _GROWTH or given or name in _SLOW:
            _require_modest(name, value, args, kwargs)
        if isinstance(value, Iterator):
            value = rendering.each(value, cost)
        match passed:
            case _PassArg.context:
                result = function(rendering, value, *args, **kwargs)
            case _PassArg.eval_context:
                result = function(rendering.eval_ctx, value, *args, **kwargs)
            case _PassArg.environment:
                result = function(rendering.environment, value, *args, **kwargs)
            case _:
                result = function(value, *args, **kwargs)
        rendering.spend(weight(result))
        return rendering.each(result) if isinstance(result, Iterator) else result

    return run


def require_product(items: int, size: int) -> None:
    """Raises OverflowError where so many of that size are more than a body may have."""
    if items * size > LIMIT:
        raise OverflowError(f"it would make more than {LIMIT} (1 MiB) characters or items")


def require_format(text: str) -> None:
    """Raises OverflowError where `%99999d` or `%*d` asks for a width that a number alone decides."""
    if _WIDTH.search(text):
        raise OverflowError("a width or precision in a format has at most four digits, and none is *")


def _require_modest(name: str, value: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    if name in _SLOW and isinstance(value, str) and len(value) > SLOW:
        raise OverflowError(f"{name} takes at most {SLOW} characters, here are {len(value)}: | truncate it first")
    if name in _BY_PATH and any(weight(given) > _ARGUMENT for given in (*args, *kwargs.values()) if type(given) is str):
        raise OverflowError(f"{name}: an argument has at most {_ARGUMENT} characters")
    if grow := _GROWTH.get(name):
        grow(value, args, kwargs)


def _argument(args: tuple[Any, ...], kwargs: Mapping[str, Any], at: int, name: str, default: Any = None) -> Any:
    return args[at] if len(args) > at else kwargs.get(name, default)


def _center(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    width = _argument(args, kwargs, 0, "width", 80)
    require_product(1, width if isinstance(width, int) else 0)


def _indent(value: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    width = _argument(args, kwargs, 0, "width", 4)
    require_product(len(str(value).splitlines()) + 1, width if isinstance(width, int) else weight(width))


def _replace(value: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    old, new = (str(_argument(args, kwargs, at, name, "")) for at, name in enumerate(("old", "new")))
    require_product(str(value).count(old), max(0, len(new) - len(old)))


def _join(value: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    require_product(weight(value), weight(_argument(args, kwargs, 0, "d", "")))


def _format(value: Any, _: tuple[Any, ...], __: Mapping[str, Any]) -> None:
    require_format(str(value))


def _wordwrap(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    require_product(SLOW, weight(_argument(args, kwargs, 2, "wrapstring")))


def _count(name: str) -> Callable[[Any, tuple[Any, ...], Mapping[str, Any]], None]:
    def require(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        count = _argument(args, kwargs, 0, name)
        if isinstance(count, int) and count > ITEMS:
            raise OverflowError(f"at most {ITEMS} may be asked for, not {count}")

    return require


def _round(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    precision = _argument(args, kwargs, 0, "precision", 0)
    if isinstance(precision, int) and abs(precision) > _PLACES:
        raise OverflowError(f"round: a precision is within {_PLACES}, not {precision}")


def _sum(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    start = _argument(args, kwargs, 1, "start", 0)
    if not isinstance(start, int | float | Undefined):
        raise TypeError("sum: it begins with a number; lists are put together by a loop")


_GROWTH: Final[Mapping[str, Callable[[Any, tuple[Any, ...], Mapping[str, Any]], None]]] = {
    "batch": _count("linecount"),
    "center": _center,
    "format": _format,
    "indent": _indent,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "slice": _count("slices"),
    "sum": _sum,
    "wordwrap": _wordwrap,
}
