"""Jinja's filters know Python's values; here each gets those of JSON.

A filter of texts gets the text of a value, one of lists gets null as an empty list, one of numbers gives null back, and
an argument that is null is as one that was left out.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from types import NoneType
from typing import Any, Final

from jinja2 import Undefined, pass_context
from jinja2.utils import _PassArg

from relay.rules.budget import Rendering
from relay.rules.missing import word
from relay.rules.values import is_number, settle

_TEXTS: Final = frozenset(
    {"capitalize", "center", "format", "from_json", "indent", "lower", "regex_replace", "regex_search", "replace"}
    | {"domain", "e164", "strip_html", "truncate_words"}
    | {"split", "string", "striptags", "timestamp", "title", "trim", "truncate", "upper", "wordcount", "wordwrap"}
)
_LISTS: Final = frozenset(
    {"batch", "first", "groupby", "join", "list", "map", "max", "min", "reject", "rejectattr", "select", "selectattr"}
    | {"slice", "sort", "sum", "unique"}
)
_SIZED: Final = frozenset({"count", "last", "length", "reverse"})
"""These take a list only when it is whole."""
_OBJECTS: Final = frozenset({"dictsort", "items"})
_NUMBERS: Final = frozenset({"abs", "round"})
_NULL: Final[Mapping[str, type]] = {
    **dict.fromkeys(("abs", "domain", "e164", "from_json", "in_zone", "iso", "round", "timestamp"), NoneType),
    **dict.fromkeys(("filesizeformat", "format"), str),
    "split": list,
}
"""What null gives, empty, without a look at the arguments."""
_TEXT_ARGUMENTS: Final[Mapping[str, frozenset[str]]] = {
    "e164": frozenset({"region"}),
    "in_zone": frozenset({"zone"}),
    "join": frozenset({"d"}),
    "jsonpath": frozenset({"path"}),
    "regex_replace": frozenset({"pattern", "by"}),
    "regex_search": frozenset({"pattern"}),
    "replace": frozenset({"old", "new"}),
    "split": frozenset({"sep"}),
    "trim": frozenset({"chars"}),
    "truncate_words": frozenset({"end"}),
    "truncate": frozenset({"end"}),
    "wordwrap": frozenset({"wrapstring"}),
}
_NULL_IS_MEANT: Final = frozenset({"d", "default", "float", "int", "groupby"})
"""Their arguments are what is given where there is nothing."""

Default = tuple[str, Any]


def adapt(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter `name` over values of JSON; it takes the rendering, as `metered` passes it on."""
    passed, arguments = _PassArg.from_obj(function), _Arguments(name, function)

    @pass_context
    @wraps(function)
    def run(rendering: Rendering, value: Any, *args: Any, **kwargs: Any) -> Any:
        if value is None and name in _NULL:
            return _NULL[name]()
        value = _take(rendering, name, value)
        if args or kwargs:
            args, kwargs = arguments.take(rendering, args, kwargs)
        match passed:
            case _PassArg.context:
                return function(rendering, value, *args, **kwargs)
            case _PassArg.eval_context:
                return function(rendering.eval_ctx, value, *args, **kwargs)
            case _PassArg.environment:
                return function(rendering.environment, value, *args, **kwargs)
            case _:
                return function(value, *args, **kwargs)

    return run


class _Arguments:
    """What stands behind the value of a filter, in order, each with its default."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        own = 1 if _PassArg.from_obj(function) is None else 2
        found = list(inspect.signature(function).parameters.values())[own:]
        self._known = [(one.name, one.default) for one in found if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
        self._by_name = {one[0]: one for one in self._known}
        self._texts = _TEXT_ARGUMENTS.get(name, frozenset())
        self._meant = name in _NULL_IS_MEANT

    def take(
        self, rendering: Rendering, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments as the filter takes them."""
        known = [*self._known, *[None] * len(args)]
        placed = tuple(self._one(rendering, value, known[number]) for number, value in enumerate(args))
        return placed, {key: self._one(rendering, value, self._by_name.get(key)) for key, value in kwargs.items()}

    def _one(self, rendering: Rendering, value: Any, known: Default | None) -> Any:
        if known is None or isinstance(value, Undefined):
            return value
        name, default = known
        if value is None and not self._meant and default is not inspect.Parameter.empty:
            return default
        return rendering.text(value) if name in self._texts else value


def _take(rendering: Rendering, name: str, value: Any) -> Any:
    """The value as the filter takes it. Raises TypeError for a kind that it does not take."""
    if name in _TEXTS:
        return value if isinstance(value, str) else rendering.text(value)
    if isinstance(value, Undefined):
        return value
    if name in _LISTS:
        return _items(name, value)
    if name in _SIZED:
        return settle(_items(name, value))
    if name in _OBJECTS and not isinstance(value, Mapping):
        if value is None:
            return {}
        raise TypeError(f"{name} takes an object, not {word(value)}")
    if name in _NUMBERS and not is_number(value):
        told = "; write | float before" if isinstance(value, str) else ""
        raise TypeError(f"{name} takes a number, not {word(value)}{told}")
    return value


def _items(name: str, value: Any) -> Any:
    if value is None:
        return []
    if not isinstance(value, Iterable):
        raise TypeError(f"{name} takes a list, not {word(value)}")
    return value
