"""From the bytes of a body to its tree: by content type, out of its compression, within bounds. Pure."""

import re
from codecs import BOM_UTF8
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any, Final

from relay import effort
from relay.errors import Rejected
from relay.model import frozen
from relay.schemes import form, xml
from relay.schemes.cloudevents import BATCHED, STRUCTURED, is_json
from relay.schemes.document import Unreadable, decode, mend, parse_as_sent, read_json, require_few
from relay.schemes.entry import Body
from relay.schemes.inflate import inflate

_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([^\";\s]+)", re.IGNORECASE)
_BOUNDARY: Final = re.compile(r"boundary\s*=\s*(?:\"([^\"]+)\"|([^\";\s]+))", re.IGNORECASE)
_UNTYPED: Final = frozenset({"", "text/plain"})
_MOST_LINES: Final = 10_000
_FEW_LINES: Final = 400
"""Lines that are read on the event loop."""
_LINES: Final = frozenset({"application/x-ndjson", "application/jsonl", "application/jsonlines"})


_FIELD: Final = re.compile(rb"[!-~]{0,500}?=")
"""How a form begins: with a name, which has no blanks."""

_GZIP: Final = b"\x1f\x8b"


class Form(Enum):
    """How a body is read."""

    JSON = "json"
    LINES = "lines"
    CLOUD = "cloud"
    CLOUDS = "clouds"
    FIELDS = "fields"
    PARTS = "parts"
    XML = "xml"
    FOREIGN = "foreign"


_FORMS: Final = {
    STRUCTURED: Form.CLOUD,
    BATCHED: Form.CLOUDS,
    "application/x-www-form-urlencoded": Form.FIELDS,
    "multipart/form-data": Form.PARTS,
    "application/xml": Form.XML,
    "text/xml": Form.XML,
    "application/soap+xml": Form.XML,
}


@dataclass(frozen=True, slots=True)
class Media:
    """A content type: `form`, the charset (UTF-8 unless one is named) and the boundary of its parts."""

    form: Form
    charset: str = "utf-8"
    boundary: str = ""


_PINNED: Final = {
    "json": Media(Form.JSON),
    "form": Media(Form.FIELDS),
    "multipart": Media(Form.PARTS),
    "xml": Media(Form.XML),
}


@frozen
class Reading:
    """A body: the tree, the inflated bytes, and whether the tree is just what the bytes parse to as UTF-8 JSON. `sent`
    is the tree before it was mended, the same one where there was nothing to mend."""

    data: Any
    raw: bytes
    form: Form
    verbatim: bool = False
    sent: Any = None


@lru_cache(maxsize=256)
def media(content_type: str) -> Media:
    """What a `Content-Type` says; an empty one and text/plain are taken for JSON, and it shows when they are not."""
    bare, _, parameters = content_type.partition(";")
    charset, boundary = _CHARSET.search(parameters), _BOUNDARY.search(parameters)
    edge = (boundary[1] or boundary[2]) if boundary else ""
    return Media(_form(bare.strip().lower()), charset[1] if charset else "utf-8", edge)


def settle(raw: bytes, content_type: str, bodies: tuple[Body, ...]) -> Media:
    """How a body is read: as the one of `bodies` that it looks like. Where they are `any` its content type says.

    The look decides, and not a header that nothing signs: else whoever saw one request could send it again with another
    content type or charset, and have it read as another event. So the charset is UTF-8.
    """
    if "any" in bodies:
        return media(content_type)
    lead = raw.removeprefix(BOM_UTF8).lstrip()[:2]
    if lead[:1] in {b"{", b"["} and "json" in bodies:
        return _PINNED["json"]
    if lead[:1] == b"<" and "xml" in bodies:
        return _PINNED["xml"]
    if lead == b"--" and "multipart" in bodies:
        return Media(Form.PARTS, boundary=raw.lstrip()[2:].split(b"\n", 1)[0].strip().decode("utf-8", "replace"))
    return _PINNED["form" if "form" in bodies and _FIELD.match(raw) else bodies[0]]


def _undo(body: bytes, encoding: str | None, most: int, bodies: tuple[Body, ...]) -> bytes:
    """The body out of its compression. Of a sender with a form of its own the body tells, too, whether it is gzip."""
    if "any" in bodies:
        return inflate(body, encoding, most)
    if body.startswith(_GZIP):
        return inflate(body, "gzip", most)
    try:
        return inflate(body, encoding, most)
    except Unreadable:
        return body


def read(
    body: bytes,
    content_type: str,
    encoding: str | None,
    *,
    most: int,
    lists: frozenset[str],
    bodies: tuple[Body, ...] = ("any",),
) -> Reading:
    """Inflate and parse. `most` bounds the inflated size in bytes; `lists` names the XML elements that are lists.

    Raises `Unreadable` for what is not what its type says, `Rejected`: 413 when more than `most` bytes come out, 415
    for a content encoding or type that is not read here, `Heavy` (see `relay.effort`).
    """
    effort.require()
    raw = _undo(body, encoding, most, bodies)
    kind = settle(raw, content_type, bodies)
    match kind.form:
        case Form.JSON:
            sent, exact = read_json(raw, kind.charset)
            verbatim = exact and kind.charset.lower() == "utf-8" and not raw.startswith(BOM_UTF8)
            return _mended(sent, raw, kind.form, verbatim=verbatim)
        case Form.FIELDS:
            return _mended(form.fields(raw, kind.charset), raw, kind.form)
        case Form.PARTS:
            return _mended(form.parts(raw, kind.boundary, kind.charset), raw, kind.form)
        case Form.XML:
            return Reading(xml.parse(raw, kind.charset, lists), raw, kind.form)
        case Form.LINES:
            return _mended(_lines(raw, kind.charset), raw, kind.form)
        case Form.FOREIGN:
            raise _foreign(content_type)
    return _mended(parse_as_sent(raw, kind.charset), raw, kind.form)


def _mended(sent: Any, raw: bytes, form: Form, *, verbatim: bool = False) -> Reading:
    data = mend(sent)
    return Reading(data, raw, form, verbatim and data is sent, sent)


def _lines(raw: bytes, charset: str) -> list[Any]:
    effort.require((len(raw), effort.SIZE), (raw.count(b"\n") + raw.count(b"\r"), _FEW_LINES))
    require_few(decode(raw, charset))
    lines = [line for line in raw.splitlines() if line.strip()]
    if len(lines) > _MOST_LINES:
        raise Unreadable("batch", f"the body has {len(lines)} lines; send at most {_MOST_LINES} at once")
    return [parse_as_sent(line, charset) for line in lines]


def _form(bare: str) -> Form:
    if bare in _FORMS:
        return _FORMS[bare]
    if bare in _LINES:
        return Form.LINES
    if bare.endswith("+xml"):
        return Form.XML
    return Form.JSON if bare in _UNTYPED or is_json(bare) else Form.FOREIGN


def _foreign(content_type: str) -> Rejected:
    return Rejected(
        f"the content type {content_type[:80]!r} is not read here; send application/json",
        status=415,
        reason="content_type",
        hint="set the sender to JSON",
    )


__all__ = ["Form", "Media", "Reading", "Unreadable", "media", "read", "settle"]
