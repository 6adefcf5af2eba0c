"""The tiny language of signed strings and of where a field stands: text with `{{ name }}` in it, no Jinja.

| name | is | in |
| --- | --- | --- |
| `body` | the raw body | signed strings |
| `timestamp` | the time's header, verbatim | signed strings |
| `method`, `url` | of the request, as the sender used them | signed strings |
| `headers["x-id"]` | a header's value | both |
| `data.order.id` | a value in the parsed body | places of fields |
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from relay.schemes.request import Headers, Request, octets

Piece = Callable[[Request, str], bytes]
"""One piece of a signed string, from the request and its verbatim timestamp."""

_SLOT: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_HEADER: Final = re.compile(r"""headers\[\s*(["'])([!#$%&'*+.^_`|~0-9A-Za-z-]+)\1\s*\]""")
_DATA: Final = re.compile(r"data((?:\.[A-Za-z0-9_-]+)+)")
_NAMES: Final[Mapping[str, Piece]] = {
    "body": lambda request, _: request.body,
    "timestamp": lambda _, timestamp: octets(timestamp),
    "method": lambda request, _: request.method.encode(),
    "url": lambda request, _: octets(request.url),
}
_SIGNABLE: Final = 'body, timestamp, method, url and headers["name"]'


def split(text: str) -> list[tuple[str, bool]]:
    """Text and names in turn, the flag telling a name. Raises ValueError on a brace that opens or closes nothing."""
    parts = [(part, at % 2 == 1) for at, part in enumerate(_SLOT.split(text))]
    if any(mark in part for part, _ in parts for mark in ("{{", "}}", "{%", "{#")):
        raise ValueError("has braces that open or close nothing: write each name as {{ name }}")
    return [(part.strip() if named else part, named) for part, named in parts if part or named]


def signed(text: str) -> tuple[Piece, ...]:
    """The pieces of a signed string. Raises ValueError saying which name is unknown."""
    return tuple(_piece(part) if named else _literal(part.encode()) for part, named in split(text))


def named_headers(text: str) -> frozenset[str]:
    """The headers, in lower case, whose values stand in a signed string."""
    return frozenset(match[2].lower() for part, named in split(text) if named and (match := _HEADER.fullmatch(part)))


def names(text: str) -> frozenset[str]:
    """The names in a signed string, as they are written."""
    return frozenset(part for part, named in split(text) if named)


def place(text: str) -> Callable[[Headers, Any], str | None]:
    """Finds a field: the text with its names filled in, None when one of them is missing. Raises ValueError."""
    finders = [_finder(part) if named else _constant(part) for part, named in split(text)]

    if len(finders) == 1:
        return finders[0]

    def find(headers: Headers, data: Any) -> str | None:
        found = [finder(headers, data) for finder in finders]
        return None if None in found else "".join(part for part in found if part is not None)

    return find


def text_of(value: Any) -> str | None:
    """A scalar of a payload as text; None for what is no name of anything: empty, null, a list, an object."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value) or None


def _literal(part: bytes) -> Piece:
    return lambda _, __: part


def _piece(name: str) -> Piece:
    if name in _NAMES:
        return _NAMES[name]
    match = _HEADER.fullmatch(name)
    if match is None:
        raise ValueError(f"names {name!r}, which is none of {_SIGNABLE}")
    header = match[2].lower()
    return lambda request, _: octets(request.headers.sole(header, "header"))


def _constant(part: str) -> Callable[[Headers, Any], str | None]:
    return lambda _, __: part


def _finder(name: str) -> Callable[[Headers, Any], str | None]:
    if match := _HEADER.fullmatch(name):
        header = match[2].lower()
        return lambda headers, _: headers.first(header) or None
    if match := _DATA.fullmatch(name):
        path = match[1][1:].split(".")
        return lambda _, data: text_of(_dig(data, path))
    raise ValueError(f'names {name!r}, which is neither data.<path> nor headers["name"]')


def _dig(data: Any, path: list[str]) -> Any:
    for key in path:
        if not isinstance(data, dict):
            return None
        data = data.get(key)
    return data
