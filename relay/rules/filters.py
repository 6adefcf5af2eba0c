"""Filters and tests beside Jinja's own.

| filter | gives |
| --- | --- |
| `tojson` | compact JSON text, nothing escaped for HTML |
| `from_json` | the value that a JSON text holds |
| `iso` | an ISO 8601 text in UTC of seconds (or, from 100,000,000,000 up, milliseconds) since the epoch |
| `timestamp` | whole seconds since the epoch of an ISO 8601 text |
| `split(sep)` | the parts of a text, trimmed; without `sep` its words |
| `regex_search(pattern)` | the first match, or its first group if there is one; missing when nothing matches |
| `regex_replace(pattern, by)` | the text with every match replaced |

| test | true when |
| --- | --- |
| `startswith(text)`, `endswith(text)` | the text begins or ends so |
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from jinja2 import Environment, pass_context, pass_environment
from jinja2.filters import FILTERS as STOCK_FILTERS
from jinja2.filters import ignore_case, make_attrgetter
from jinja2.tests import TESTS as STOCK_TESTS

from relay.depth import BODY, TooDeep, text_exceeds
from relay.rules import pattern as pattern_
from relay.rules.budget import Rendering, metered
from relay.rules.encode import encode
from relay.units import iso, parse_iso

_MILLISECONDS_FROM: Final = 100_000_000_000
_UNWANTED: Final = frozenset({"attr", "random", "xmlattr", "pprint", "safe", "e", "escape", "forceescape", "urlize"})


def _tojson(value: Any) -> str:
    return encode(value)


def _from_json(value: Any) -> Any:
    text = str(value)
    if text_exceeds(text, BODY):
        raise TooDeep
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise ValueError(f"from_json: the text is not JSON ({getattr(error, 'msg', error)})") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _iso(value: Any) -> str:
    number = float(value)
    return iso(int(number if abs(number) >= _MILLISECONDS_FROM else number * 1_000))


def _timestamp(value: Any) -> int:
    return parse_iso(str(value)) // 1_000


def _split(value: Any, sep: str | None = None) -> list[str]:
    return [part.strip() for part in str(value).split(sep)]


@pass_environment
def _regex_search(environment: Environment, value: Any, pattern: str) -> Any:
    match = pattern_.search(pattern, str(value))
    if match is None:
        return environment.undefined(f"regex_search: nothing matches {pattern}")
    return match[1] if match.re.groups else match[0]


@pass_context
def _regex_replace(rendering: Rendering, value: Any, pattern: str, by: str = "") -> str:
    return pattern_.replace(pattern, by, str(value), rendering.spend)


@pass_environment
def _unique(
    environment: Environment, value: Any, case_sensitive: bool = False, attribute: str | int | None = None
) -> Iterator[Any]:
    """As Jinja's; but numbers are told apart by their text: of their hashes a stranger can make as many alike as he
    wants, and looking for one among those takes as long as there are."""
    find = make_attrgetter(environment, attribute, postprocess=None if case_sensitive else ignore_case)
    seen = set()
    for item in value:
        key = find(item)
        if isinstance(key, float) and key.is_integer():
            key = int(key)
        told = ("number", hex(key) if isinstance(key, int) else repr(key)) if isinstance(key, int | float) else key
        if told not in seen:
            seen.add(told)
            yield item


def _startswith(value: Any, text: str) -> bool:
    return str(value).startswith(text)


def _endswith(value: Any, text: str) -> bool:
    return str(value).endswith(text)


_STOCK: Final[Mapping[str, Callable[..., Any]]] = STOCK_FILTERS

_ALL: Final[Mapping[str, Any]] = {
    **{name: function for name, function in _STOCK.items() if name not in _UNWANTED},
    "tojson": _tojson,
    "from_json": _from_json,
    "iso": _iso,
    "timestamp": _timestamp,
    "split": _split,
    "regex_search": _regex_search,
    "regex_replace": _regex_replace,
    "unique": _unique,
}

FILTERS: Final[Mapping[str, Callable[..., Any]]] = {name: metered(name, each) for name, each in _ALL.items()}
"""Left out of Jinja's own: `attr` (there are no attributes), `random` (a retry renders the same), and what escapes
for HTML (a chat is no page)."""

_TESTS: Final[Mapping[str, Any]] = STOCK_TESTS

TESTS: Final[Mapping[str, Any]] = {
    **STOCK_TESTS,
    **{name: metered(name, _TESTS[name]) for name in ("in", "lower", "upper")},
    "startswith": _startswith,
    "endswith": _endswith,
}
