"""Filters that sort, group and add: over items of all kinds, null among them."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, Final

from jinja2 import pass_context
from jinja2.exceptions import FilterArgumentError
from jinja2.filters import _GroupTuple, make_attrgetter, make_multi_attrgetter

from relay.rules.budget import Rendering
from relay.rules.operators import calculate
from relay.rules.values import is_nothing, rank

Path = str | int | None


@pass_context
def sort(
    rendering: Rendering,
    value: Iterable[Any],
    reverse: bool = False,
    case_sensitive: bool = False,
    attribute: Path = None,
) -> list[Any]:
    """As Jinja's; null first, then false, true, numbers, texts, lists, objects."""
    find = make_multi_attrgetter(rendering.environment, attribute)

    def key(item: Any) -> list[Any]:
        return [rank(part, rendering.spend, fold=not case_sensitive) for part in find(item)]

    return sorted(value, key=key, reverse=reverse)


@pass_context
def dictsort(
    rendering: Rendering,
    value: Mapping[Any, Any],
    case_sensitive: bool = False,
    by: str = "key",
    reverse: bool = False,
) -> list[tuple[Any, Any]]:
    """As Jinja's, in the order of `sort`."""
    if by not in {"key", "value"}:
        raise FilterArgumentError('dictsort sorts by "key" or by "value"')
    at = int(by == "value")
    return sorted(
        value.items(), key=lambda pair: rank(pair[at], rendering.spend, fold=not case_sensitive), reverse=reverse
    )


@pass_context
def group(
    rendering: Rendering,
    value: Iterable[Any],
    attribute: str | int,
    default: Any = None,
    case_sensitive: bool = False,
) -> list[Any]:
    """As Jinja's `groupby`, in the order of `sort`."""
    find = make_attrgetter(rendering.environment, attribute, default=default)

    def key(item: Any) -> Any:
        return rank(find(item), rendering.spend, fold=not case_sensitive)

    found = []
    for _, items in groupby(sorted(value, key=key), key=key):
        alike = list(items)
        found.append(_GroupTuple(find(alike[0]), alike))
    return found


def _extreme(choose: Callable[..., Any]) -> Callable[..., Any]:
    @pass_context
    def pick(rendering: Rendering, value: Iterable[Any], case_sensitive: bool = False, attribute: Path = None) -> Any:
        find = make_attrgetter(rendering.environment, attribute)
        items = [item for item in value if not is_nothing(find(item))]
        if not items:
            return rendering.environment.undefined("there is no item to choose: the list is empty")
        return choose(items, key=lambda item: rank(find(item), rendering.spend, fold=not case_sensitive))

    return pick


@pass_context
def total(rendering: Rendering, iterable: Iterable[Any], attribute: Path = None, start: float = 0) -> Any:
    """As Jinja's `sum`; null adds nothing."""
    find = make_attrgetter(rendering.environment, attribute)
    result: Any = start
    for item in iterable:
        number = find(item)
        if number is not None:
            result = calculate("+", result, number)
    return result


@pass_context
def unique(
    rendering: Rendering, value: Iterable[Any], case_sensitive: bool = False, attribute: Path = None
) -> Iterator[Any]:
    """As Jinja's; but numbers are told apart by their text: of their hashes a stranger can make as many alike as he
    wants, and looking for one among those takes as long as there are."""
    find = make_attrgetter(rendering.environment, attribute)
    seen = set()
    for item in value:
        kind, key = rank(find(item), rendering.spend, fold=not case_sensitive)
        if isinstance(key, float) and key.is_integer():
            key = int(key)
        told = (kind, (hex(key) if isinstance(key, int) else repr(key)) if isinstance(key, int | float) else key)
        if told not in seen:
            seen.add(told)
            yield item


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "dictsort": dictsort,
    "groupby": group,
    "max": _extreme(max),
    "min": _extreme(min),
    "sort": sort,
    "sum": total,
    "unique": unique,
}
