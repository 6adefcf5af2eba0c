"""Filters that work with customers' data needs: numbers, domains, pages, paths, zones, fences.

Where a text is not what a filter takes (no telephone number, no domain), it gives what is missing, with the reason:
`| default(...)` takes its place, and in conditions it is false.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import phonenumbers
import re2
from jinja2 import Environment, pass_context, pass_environment
from jsonpath import JSONPathEnvironment, JSONPathError
from jsonpath.function_extensions import Count, Length, Value
from jsonpath.path import JSONPath
from selectolax.lexbor import LexborHTMLParser

from relay import moment
from relay.rules.budget import Rendering
from relay.rules.fence import LONGEST, fence
from relay.rules.missing import word
from relay.rules.zones import require_zone

_NUMBERS_FROM: Final = 100_000_000_000
_PAGE: Final = 64 << 10
"""The most characters of HTML: what is nested in itself takes the square of its depth, 0.2 s here."""
_NUMBER: Final = 100
"""The most characters of a telephone number."""
_MAIL: Final = re.compile(r"[^@\s]+@([^@\s]+)")
_HOST: Final = re.compile(r"(?=.{4,253}$)([^\W_]([\w-]{0,61}[^\W_])?\.)+[^\W_\d][\w-]{0,61}[^\W_]")
_BREAKS: Final = re2.compile(
    r"(?i)<(?:br|hr)\b[^>]*>|</(?:address|article|blockquote|dd|div|dl|dt|h[1-6]|li|ol|p|pre|section|table|tr|ul)\s*>"
)
_CELLS: Final = re2.compile(r"(?i)</t[dh]\s*>")
_HIDDEN: Final = ["head", "iframe", "noscript", "object", "script", "style", "svg", "template", "title"]
_BLANKS: Final = re.compile(r"[^\S\n]+")
_LINES: Final = re.compile(r" ?\n ?(?:\n ?)+")
_WORD: Final = re.compile(r"\S+")


@lru_cache(maxsize=1)
def regions() -> frozenset[str]:
    """Countries whose telephone numbers are known, as `FR` (ISO 3166)."""
    return frozenset(phonenumbers.SUPPORTED_REGIONS)


def require_region(name: str) -> str:
    """The region. Raises ValueError with what would be right."""
    if name not in regions():
        raise ValueError(f"there is no region {name!r}: write a country's two letters in capitals, as FR or US")
    return name


@pass_environment
def _e164(environment: Environment, value: str, region: str | None = None) -> Any:
    if region is not None:
        require_region(region)
    try:
        number = phonenumbers.parse(value[:_NUMBER], region)
    except phonenumbers.NumberParseException:
        number = None
    if number is None or not phonenumbers.is_possible_number(number):
        told = "" if region else " with its country: give the region, as e164('FR')"
        return environment.undefined(f"e164: the text is not a telephone number{told}")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@pass_environment
def _domain(environment: Environment, value: str) -> Any:
    text = value.strip().rstrip(">").lower()
    mail = _MAIL.fullmatch(text)
    host = mail[1] if mail else _host(text)
    host = host.rstrip(".").removeprefix("www.")
    return (
        host
        if _HOST.fullmatch(host)
        else environment.undefined("domain: the text is neither an e-mail address nor a URL")
    )


def _host(text: str) -> str:
    try:
        return urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""


def _strip_html(value: str) -> str:
    if len(value) > _PAGE:
        raise ValueError(f"strip_html takes at most {_PAGE} characters, here are {len(value)}: | truncate it first")
    page = LexborHTMLParser(_CELLS.sub(r" \g<0>", _BREAKS.sub(r"\g<0>\n", value)))
    page.strip_tags(_HIDDEN)
    text = page.body.text(deep=True) if page.body is not None else ""
    return _LINES.sub("\n\n", _BLANKS.sub(" ", text)).strip()


def require_count(n: Any) -> int:
    """How many words stay. Raises ValueError with what would be right."""
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ValueError(f"truncate_words: {n!r} is no number of words: write one above 0, as truncate_words(30)")
    return n


def _truncate_words(value: str, n: int, end: str = "...") -> str:
    require_count(n)
    for number, found in enumerate(_WORD.finditer(value), 1):
        if number == n:
            rest = value[found.end() :]
            return f"{value[: found.end()]}{end}" if rest.strip() else value
    return value


def _in_zone(value: Any, zone: str) -> str:
    place = require_zone(zone)
    milliseconds = moment.parse(value) if isinstance(value, str) else _milliseconds(value)
    return datetime.fromtimestamp(milliseconds / 1_000, UTC).astimezone(place).isoformat(timespec="seconds")


def _milliseconds(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"in_zone takes a time, not {word(value)}")
    return value if abs(value) >= _NUMBERS_FROM else value * 1_000


class _Paths(JSONPathEnvironment):
    """RFC 9535, without `match` and `search`: their patterns take exponentially long on some texts."""

    def setup_function_extensions(self) -> None:
        self.function_extensions |= {"count": Count(), "length": Length(), "value": Value()}


_PATHS: Final = _Paths(strict=True)


@lru_cache(maxsize=1_024)
def require_path(text: str) -> JSONPath:
    """A JSONPath. Raises ValueError with what would be right."""
    try:
        path = _PATHS.compile(text)
    except JSONPathError as error:
        raise ValueError(f"jsonpath: {text!r} cannot be read ({error}): write it as $.items[*].id (RFC 9535)") from None
    if not isinstance(path, JSONPath):
        raise ValueError(f"jsonpath: {text!r} joins several paths: write one")  # noqa: TRY004 - it is the text that is wrong
    if text.count("..") > 1:
        raise ValueError(f"jsonpath: {text!r} has .. more than once, which takes too long on a large body: name a key")
    return path


@pass_context
def _jsonpath(rendering: Rendering, value: Any, path: str) -> list[Any]:
    found = []
    for match in require_path(path).finditer(value if isinstance(value, dict | list) else [value]):
        rendering.spend(64)
        found.append(match.obj)
    return found


@pass_context
def _fence(rendering: Rendering, value: Any, most: int = LONGEST) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return fence(rendering.text(value), most)


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    "e164": _e164,
    "domain": _domain,
    "strip_html": _strip_html,
    "truncate_words": _truncate_words,
    "in_zone": _in_zone,
    "jsonpath": _jsonpath,
    "fence": _fence,
}

ARGUMENTS: Final[Mapping[str, tuple[str, Callable[[Any], object]]]] = {
    "e164": ("region", require_region),
    "in_zone": ("zone", require_zone),
    "jsonpath": ("path", require_path),
    "truncate_words": ("n", require_count),
}
"""First arguments that are looked at when they are loaded, where they are written out: name, check."""
NEEDED: Final = frozenset({"in_zone", "jsonpath", "truncate_words"})
"""The filters that cannot do without that argument."""
