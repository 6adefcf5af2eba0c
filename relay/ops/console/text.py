"""How pages write text, times and numbers.

Strangers' text is escaped and isolated, and its control characters are shown.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

from markupsafe import Markup, escape

from relay.units import iso, parse_iso, show
from relay.visible import visible

_NOTHING: Final = Markup('<span class="none">&ndash;</span>')
_CUT: Final = 300
_UNSAYABLE: Final = re.compile("[\x00\ud800-\udfff]")


def finalize(value: Any) -> Any:
    """What a template writes for a value: of a text, every character can be seen. Markup of our own stays."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def form_value(value: str) -> Markup:
    """The value of a form's field, which comes back as it is: only what HTML or UTF-8 cannot say is escaped."""
    return escape(_UNSAYABLE.sub(lambda found: visible(found[0]), value)).replace("\r", Markup("&#13;"))


def text(value: Any, most: int = _CUT) -> Markup:
    """A stranger's text in one line, isolated from the text around it, and cut after `most` characters."""
    if value is None or value == "":
        return _NOTHING
    whole = str(value)
    return _isolate(visible(whole[:most], keep=""), cut=len(whole) > most)


def moment(value: str | int | None) -> Markup:
    """A time, given as in the API or in milliseconds, for people: UTC, in seconds."""
    if value is None:
        return _NOTHING
    written = iso(value) if isinstance(value, int) else value
    return _time(written, f"{written[:10]} {written[11:19]}")


def clock_time(value: str | None) -> Markup:
    """The time of a day, with milliseconds."""
    return _NOTHING if value is None else _time(value, value[11:23])


def make_ago(now: int, value: str | int | None) -> Markup:
    """How long ago a time was, with the time itself as title."""
    if value is None:
        return _NOTHING
    at = value if isinstance(value, int) else parse_iso(value)
    span = f"{show(at - now)} ahead" if at > now + 1_000 else f"{show(max(0, now - at) // 1_000 * 1_000)} ago"
    span = "just now" if abs(now - at) < 1_000 else span
    return _time(iso(at), span)


def number(value: float | None) -> str:
    """A whole number with its thousands apart."""
    return _NOTHING if value is None else f"{value:,.0f}".replace(",", "\u202f")


def words(value: Any) -> str:
    """A keyword as words: `gave_up` as `gave up`."""
    return str(value).replace("_", " ")


def took(start: str, end: str | None) -> str | Markup:
    """How long something took, from its start and its end."""
    return _NOTHING if end is None else show(max(0, parse_iso(end) - parse_iso(start)))


def whole_text(value: str, most: int = 64 << 10) -> Markup:
    """A stranger's text with its lines, cut after `most` characters."""
    shown = visible(value[:most])
    return _isolate(shown[:most], cut=len(value) > most or len(shown) > most)


def json_text(value: Any) -> Markup:
    """A JSON value in one line."""
    return text(json.dumps(value, ensure_ascii=False))


def with_query(query: Mapping[str, str], **changes: str | None) -> str:
    """The query of an address, changed; None leaves a parameter out. Empty when nothing is left."""
    given = {name: value for name, value in {**query, **changes}.items() if value}
    return f"?{urlencode(given)}" if given else ""


# `Markup.format` takes eight times as long, and a list writes hundreds of them.


def _isolate(shown: str, *, cut: bool) -> Markup:
    return Markup(f"<bdi>{escape(shown)}{'…' if cut else ''}</bdi>")  # noqa: S704 - escaped


def _time(written: str, shown: str) -> Markup:
    at = escape(written)
    return Markup(f'<time datetime="{at}" title="{at}">{escape(shown)}</time>')  # noqa: S704 - escaped
