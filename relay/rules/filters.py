"""Filters beside Jinja's own.

| filter | gives |
| --- | --- |
| `tojson` | compact JSON text, nothing escaped for HTML |
| `from_json` | the value that a JSON text holds |
| `iso` | an ISO 8601 text in UTC of a time: seconds (or, from 100,000,000,000 up, milliseconds) since the epoch, or any
| | text that `timestamp` takes |
| `timestamp` | whole seconds since the epoch of a time as senders write it: ISO 8601, also with `UTC` behind it, the
| | dates of HTTP and e-mail, a number as `iso` takes it |
| `split(sep)` | the parts of a text, trimmed; without `sep` its words |
| `regex_search(pattern)` | the first match, or its first group if there is one; missing when nothing matches |
| `regex_replace(pattern, by)` | the text with every match replaced |
| `e164(region)`, `domain`, `strip_html`, `truncate_words(n)`, `in_zone(zone)`, `jsonpath(path)`, `fence` | see
| | `relay.rules.crm` |

All of them know values as JSON has them (`relay.rules.adapt`).
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from jinja2 import Environment, pass_context, pass_environment
from jinja2.exceptions import FilterArgumentError
from jinja2.filters import FILTERS as STOCK_FILTERS
from jinja2.filters import make_attrgetter

from relay import moment
from relay.depth import BODY, TooDeep, text_exceeds
from relay.rules import crm, ordering
from relay.rules import pattern as pattern_
from relay.rules.adapt import adapt
from relay.rules.budget import Rendering, metered
from relay.rules.encode import encode
from relay.rules.operators import put
from relay.units import iso

_MILLISECONDS_FROM: Final = 100_000_000_000
_NUMBER: Final = re.compile(r"[+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?")
_UNWANTED: Final = frozenset({"attr", "random", "xmlattr", "pprint", "safe", "e", "escape", "forceescape", "urlize"})


def _tojson(value: Any) -> str:
    return encode(value)


def _from_json(text: str) -> Any:
    if text_exceeds(text, BODY):
        raise TooDeep
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError as error:
        raise ValueError(f"from_json: the text is not JSON ({getattr(error, 'msg', error)})") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _iso(value: Any) -> str:
    if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
        return iso(moment.parse(value))
    number = float(value)
    return iso(int(number if abs(number) >= _MILLISECONDS_FROM else number * 1_000))


def _timestamp(value: str) -> int:
    return moment.parse(value) // 1_000


def _split(value: str, sep: str | None = None) -> list[str]:
    return [part.strip() for part in value.split(sep)]


@pass_environment
def _regex_search(environment: Environment, value: str, pattern: str) -> Any:
    match = pattern_.search(pattern, value)
    if match is None:
        return environment.undefined(f"regex_search: nothing matches {pattern}")
    return match[1] if match.re.groups else match[0]


@pass_context
def _regex_replace(rendering: Rendering, value: str, pattern: str, by: str = "") -> str:
    return pattern_.replace(pattern, by, value, rendering.spend)


@pass_context
def _join(rendering: Rendering, value: Iterable[Any], d: str = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        value = map(make_attrgetter(rendering.environment, attribute), value)
    return d.join(map(rendering.text, value))


def _replace(value: str, old: str, new: str, count: int | None = None) -> str:
    """As Jinja's, but an empty text is found nowhere, and not between all characters."""
    return value.replace(old, new, -1 if count is None else count) if old else value


@pass_context
def _format(rendering: Rendering, value: str, *args: Any, **kwargs: Any) -> str:
    if args and kwargs:
        raise FilterArgumentError("format takes arguments by place or by name, not both")
    return put(value, kwargs or args, rendering.spend)


@pass_context
def _urlencode(rendering: Rendering, value: Any) -> str:
    if isinstance(value, Mapping):
        value = {key: rendering.text(item) for key, item in value.items()}
    elif isinstance(value, list | tuple) and all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value):
        value = [tuple(map(rendering.text, pair)) for pair in value]
    else:
        value = rendering.text(value)
    return str(_STOCK["urlencode"](value))


def _string(value: str) -> str:
    return value


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
    "join": _join,
    "replace": _replace,
    "format": _format,
    "urlencode": _urlencode,
    "string": _string,
    **ordering.FILTERS,
    **crm.FILTERS,
}


def _prepare(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    made = metered(name, adapt(name, function))
    made.__wrapped__ = function  # type: ignore[attr-defined]  # which it is, Jinja's own or ours
    return made


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {name: _prepare(name, each) for name, each in _ALL.items()}
"""Left out of Jinja's own: `attr` (there are no attributes), `random` (a retry renders the same), and what escapes
for HTML (a chat is no page)."""
