"""The tiny language of vendors' data: text with `{{ name }}` in it, no Jinja. It says what is signed, where a field
stands, and what a handshake is answered.

| name | is |
| --- | --- |
| `body` | the raw body, as it came over the wire |
| `kind` | how the body is read: json, fields, parts, xml |
| `first` | of a body that is a JSON array, the bytes of its first item; of several only with `options.batch` |
| `params` | of a form, each name and value, sorted by name, run together (Twilio) |
| `timestamp` | the time of signing, verbatim |
| `method`, `url`, `path` | of the request, as the sender used them; `path` with its query |
| `headers["x-id"]`, `query["name"]` | a header's value, a parameter in the URL |
| `data.order.id` | a value in the parsed body, in a batch in the item; numbers count into lists |
| `envelope.id` | a value in the whole body of a batch |
| `options.webhook_id` | what the operator set |
| `headers_named["x-names x-at"]` | `name:value` of each header that the first one names, joined by `;` (Contentful); |
| | the list must name itself and the others that stand here, and each must be there once |
| `key["edit reply"]` | the first of these keys that the item has: the key itself (Telegram) |
| `pairs["A* B C?"]` | of each of these keys of the body: key, line break, value, line break (SNS); with `?` it may be |
| | missing, with `*` its value may have line breaks |

A name with `?` behind it is nothing where it is not there. A name may go through filters: `url | hubspot`,
`body | sha256`, `data.plainToken | hmac_hex`.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from relay import effort
from relay.depth import BODY, text_exceeds
from relay.errors import Rejected
from relay.schemes import form
from relay.schemes.document import require_few, too_deep
from relay.schemes.filters import FILTERS
from relay.schemes.reading import Form
from relay.schemes.request import Request, octets


@dataclass(slots=True)
class Scope:
    """What a phrase is filled from. `data` is the whole body unless an item of a batch is given."""

    request: Request
    timestamp: str = ""
    options: Mapping[str, str] = field(default_factory=dict)
    key: bytes = b""
    item: Any = None
    whole: bool = True

    @property
    def data(self) -> Any:
        return self.request.data if self.whole else self.item


Piece = Callable[[Scope], bytes | None]
"""One piece of a phrase; None when what it names is not there."""

Text = Callable[[Scope], str | None]
"""The same where it is no bytes of the body."""

_SLOT: Final = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_KEYED: Final = re.compile(r"""(headers|query|headers_named|pairs|key)\[\s*(["'])(.+?)\2\s*\]""")
_PATH: Final = re.compile(r"(data|envelope|options)((?:\.[A-Za-z0-9_:@#-]+)+)")
_STARRED: Final = re.compile(r"data((?:\.(?:\*|[A-Za-z0-9_:@#-]+))+)")
_BREAK: Final = re.compile(r"[\r\n]")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


def split(text: str) -> list[tuple[str, bool]]:
    """Text and names in turn, the flag telling a name. Raises ValueError on a brace that opens or closes nothing."""
    parts = [(part, at % 2 == 1) for at, part in enumerate(_SLOT.split(text))]
    if any(mark in part for part, _ in parts for mark in ("{{", "}}", "{%", "{#")):
        raise ValueError("has braces that open or close nothing: write each name as {{ name }}")
    return [(part.strip() if named else part, named) for part, named in parts if part or named]


def compose(text: str) -> Callable[[Scope], bytes]:
    """A signed string. Raises ValueError at once on an unknown name; the function raises `Rejected` (401) on a name
    that is not there."""
    parts = split(text)
    frame = b"".join(b"%b" if named else part.encode().replace(b"%", b"%%") for part, named in parts)
    slots = [part for part, named in parts if named]
    pieces = [_piece(name) for name in slots]

    def fill(scope: Scope) -> bytes:
        found = [piece(scope) for piece in pieces]
        if None in found:
            raise _missing(slots[found.index(None)])
        return frame % tuple(found)

    return fill


def place(text: str) -> Text:
    """A field: the text with its names filled in, None when one of them is missing or empty. Raises ValueError."""
    parts = split(text)
    if len(parts) == 1 and parts[0][1] and (lone := _text(parts[0][0])):
        return lambda scope: lone(scope) or None
    pieces = [_piece(part) if named else _literal(part.encode()) for part, named in parts]
    whole = pieces[0] if len(pieces) == 1 else _joined(pieces)

    def find(scope: Scope) -> str | None:
        found = whole(scope)
        return found.decode("utf-8", "surrogateescape") if found else None

    return find


def condition(text: str) -> Text:
    """As `place`, but true and false of the payload, which name nothing, are words here."""
    find, parts = place(text), split(text)
    name = parts[0][0] if len(parts) == 1 and parts[0][1] else ""
    path = name.split(".")[1:] if name.startswith("data.") else []

    def find_word(scope: Scope) -> str | None:
        value = dig(scope.data, path) if path else None
        return str(value).lower() if isinstance(value, bool) else find(scope)

    return find_word


def holds(find: Callable[[Scope], str | None], wanted: str, request: Request, options: Mapping[str, str]) -> bool:
    """Whether a place has the wanted value; `*` is any, `!` none, `a|b*` is a, or what begins with b."""
    return fits(find(Scope(request, options=options)), wanted)


def fits(found: str | None, wanted: str) -> bool:
    """The same of a value that was found."""
    if wanted in {"*", "!"}:
        return (found is not None) is (wanted == "*")
    if found is None:
        return False
    return any(found.startswith(one[:-1]) if one.endswith("*") else found == one for one in wanted.split("|"))


def named_headers(text: str) -> frozenset[str]:
    """The headers, in lower case, whose values stand in a phrase."""
    found = (_KEYED.match(part) for part in names(text))
    return frozenset(match[3].lower() for match in found if match and match[1] == "headers")


def names(text: str) -> frozenset[str]:
    """The names in a phrase, as they are written."""
    return frozenset(part for part, named in split(text) if named)


def dig(data: Any, path: list[str]) -> Any:
    """The value at a path of keys and positions; None when there is none."""
    for key in path:
        if isinstance(data, dict):
            data = data.get(key)
        elif isinstance(data, list) and key.isdigit() and int(key) < len(data):
            data = data[int(key)]
        else:
            return None
    return data


def path_of(name: str) -> list[str]:
    """The keys of `data.a.*.b`, `*` being every item. Raises ValueError for what is no such name."""
    match = _STARRED.fullmatch(name)
    if match is None:
        raise ValueError(f"names {name!r}, which is not a path like data.order.id")
    return match[1][1:].split(".")


def text_of(value: Any) -> str | None:
    """A scalar of a payload as text; None for what is no name of anything: empty, null, a list, an object."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    return str(value) or None


def _missing(name: str) -> Rejected:
    return Rejected(
        f"{name} is missing, and the signature covers it",
        status=401,
        reason="signed_part_missing",
        hint="the sender does not sign like this, a proxy drops it, or the source has the wrong scheme",
    )


def _literal(part: bytes) -> Piece:
    return lambda _: part


def _piece(name: str) -> Piece:
    term, *chain = (part.strip() for part in name.split("|"))
    piece = _or_empty(_term(term[:-1])) if term.endswith("?") else _term(term)
    for called in chain:
        if called not in FILTERS:
            raise ValueError(f"uses the filter {called!r}, which is none of {', '.join(FILTERS)}")
        piece = _filtered(piece, FILTERS[called])
    return piece


def _joined(pieces: list[Piece]) -> Piece:
    def join(scope: Scope) -> bytes | None:
        found = [part for piece in pieces if (part := piece(scope)) is not None]
        return b"".join(found) if len(found) == len(pieces) else None

    return join


def _or_empty(piece: Piece) -> Piece:
    return lambda scope: piece(scope) or b""


def _filtered(piece: Piece, change: Callable[[bytes, bytes], bytes]) -> Piece:
    def filtered(scope: Scope) -> bytes | None:
        value = piece(scope)
        return None if value is None else change(value, scope.key)

    return filtered


def _term(name: str) -> Piece:
    if name in _PLAIN:
        return _PLAIN[name]
    if text := _text(name):
        return _encoded(text)
    if (match := _KEYED.fullmatch(name)) and match[1] in _LOOKUPS:
        return _LOOKUPS[match[1]](match[3])
    raise ValueError(f"names {name!r}, which is none of {', '.join(_PLAIN)}, headers[...], query[...] and data.<path>")


def _text(name: str) -> Text | None:
    """What finds a name that is a text by itself, None for another. Raises ValueError for what is no header's name."""
    if match := _PATH.fullmatch(name):
        return _PATHS[match[1]](match[2][1:].split("."))
    if match := _KEYED.fullmatch(name):
        if match[1] not in {"pairs", "key", "headers_named"} and not _TOKEN.fullmatch(match[3]):
            raise ValueError(f"names {name!r}, which is not the name of a header or parameter")
        return _TEXTS[match[1]](match[3]) if match[1] in _TEXTS else None
    return None


def _encoded(text: Text) -> Piece:
    def encode(scope: Scope) -> bytes | None:
        found = text(scope)
        return None if found is None else octets(found)

    return encode


def _header(name: str) -> Text:
    key = name.lower()

    def find(scope: Scope) -> str | None:
        values = scope.request.headers.all(key)
        return values[0].strip() if len(values) == 1 else None

    return find


def _query(name: str) -> Text:
    return lambda scope: scope.request.query.get(name)


def _data(path: list[str]) -> Text:
    return lambda scope: text_of(dig(scope.data, path))


def _envelope(path: list[str]) -> Text:
    return lambda scope: text_of(dig(scope.request.data, path))


def _option(path: list[str]) -> Text:
    return lambda scope: scope.options.get(path[0])


def _pairs(keys: str) -> Piece:
    """Every value is text of one line, but for those with `*`: with a line break in another, or a number that is left
    out of what is signed, one message could be cut into another that has the same bytes."""
    wanted = [(key.rstrip("*?"), "?" in key, "*" in key) for key in keys.split()]

    def find(scope: Scope) -> bytes | None:
        data = scope.request.data
        if not isinstance(data, dict):
            return None
        lines = []
        for key, optional, multiline in wanted:
            value = data.get(key)
            if value is None and optional:
                continue
            if not isinstance(value, str) or (not multiline and _BREAK.search(value)):
                return None
            lines.append(f"{key}\n{value}\n")
        return "".join(lines).encode("utf-8", "surrogatepass")

    return find


def _key(keys: str) -> Piece:
    wanted = keys.split()

    def find(scope: Scope) -> bytes | None:
        data = scope.data
        return next((key.encode() for key in wanted if isinstance(data, dict) and key in data), None)

    return find


def _headers_named(names: str) -> Piece:
    """A list that does not sign itself could be another list, and what was a value a further header."""
    needed = names.lower().split()

    def find(scope: Scope) -> bytes | None:
        headers = scope.request.headers
        listed = [one.strip() for one in ",".join(headers.all(needed[0])).lower().split(",")]
        if len(set(listed)) < len(listed) or not set(needed) <= set(listed):
            return None
        if any(not _TOKEN.fullmatch(one) or len(headers.all(one)) != 1 for one in listed):
            return None
        return octets(";".join(f"{one}:{headers[one][0]}" for one in sorted(listed)))

    return find


def _first(scope: Scope) -> bytes | None:
    """The first item's own bytes: Segment signs just that, as JSON.stringify wrote it.

    Whoever saw one event could put others behind it, so several are read only where the operator knows of that.
    """
    request = scope.request
    if not request.body.lstrip().startswith(b"["):
        return request.body
    try:
        first, alone = request.once("first", lambda: _cut(request.body))
    except ValueError:
        return None
    return first if alone or scope.options.get("batch", "").lower() == "true" else None


def _cut(body: bytes) -> tuple[bytes, bool]:
    """The bytes of the first item of a JSON array, and whether it is the only one. Raises ValueError, `Heavy`."""
    effort.require((len(body), effort.SIZE))
    text = body.decode("utf-8", "replace").lstrip()
    require_few(text)
    if text_exceeds(text, BODY):
        raise too_deep()
    start = len(text) - len(text[1:].lstrip())
    _, end = json.JSONDecoder(strict=False).raw_decode(text, start)
    return text[start:end].encode(), text[end:].strip() == "]"


def _params(scope: Scope) -> bytes | None:
    request = scope.request
    kind = request.media()
    if kind.form is not Form.FIELDS:
        return None if request.body else b""
    try:
        return request.once("params", lambda: _run_together(form.pairs(request.body, kind.charset)))
    except ValueError:
        return None


def _run_together(pairs: list[tuple[str, str]]) -> bytes:
    found: dict[str, set[str]] = {}
    for name, value in pairs:
        found.setdefault(name, set()).add(value)
    return "".join(name + value for name in sorted(found) for value in sorted(found[name])).encode(
        "utf-8", "surrogateescape"
    )


def _path(scope: Scope) -> bytes | None:
    try:
        parts = urlsplit(scope.request.url)
    except ValueError:
        return None
    return octets(f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/")


_PLAIN: Final[Mapping[str, Piece]] = {
    "body": lambda scope: scope.request.body,
    "kind": lambda scope: scope.request.media().form.value.encode(),
    "first": _first,
    "params": _params,
    "timestamp": lambda scope: octets(scope.timestamp),
    "method": lambda scope: scope.request.method.encode(),
    "url": lambda scope: octets(scope.request.url),
    "path": _path,
}
_LOOKUPS: Final[Mapping[str, Callable[[str], Piece]]] = {
    "headers_named": _headers_named,
    "pairs": _pairs,
    "key": _key,
}
_TEXTS: Final[Mapping[str, Callable[[str], Text]]] = {"headers": _header, "query": _query}
_PATHS: Final[Mapping[str, Callable[[list[str]], Text]]] = {"data": _data, "envelope": _envelope, "options": _option}
