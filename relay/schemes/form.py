"""Form bodies to the tree that rules see: bracketed names nest as PHP's do, a repeated name becomes a list."""

import io
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl

from multipart import MultipartError, MultipartParser

from relay import effort
from relay.schemes.document import Unreadable, decode, encode, find_charset, parse

_MOST: Final = 2_000
_DEEPEST: Final = 20
_FEW: Final = 400
_FEW_ESCAPES: Final = 8_000
_FEW_LINES: Final = 400
"""Fields, escapes, and lines of multipart, that are read on the event loop: they take 4, 0.2 and 2 us each."""
_BYTES: Final = "latin-1"
"""The charset for the parser, which refuses a whole body for one byte that it cannot decode: each byte is a letter."""
_CHARSET: Final = re.compile(r"charset\s*=\s*\"?([^\";\s]+)", re.IGNORECASE)
_BRACKETS: Final = re.compile(r"\[([^\[\]]*)\]")
_NAME: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)")


def pairs(raw: bytes, charset: str = "utf-8") -> list[tuple[str, str]]:
    """The fields of an urlencoded body, decoded, in order, blank ones too; characters as `document.parse_as_sent` says.

    Raises `Unreadable`: `form`, `charset`; and `Heavy` (see `relay.effort`).
    """
    effort.require((len(raw), effort.SIZE), (raw.count(b"&"), _FEW), (raw.count(b"%"), _FEW_ESCAPES))
    text = decode(raw, charset)
    try:
        decoded = parse_qsl(
            text, keep_blank_values=True, encoding=_escapes(charset), errors="surrogateescape", max_num_fields=_MOST
        )
    except ValueError:
        raise Unreadable("form", f"the form has more than {_MOST} fields") from None
    return decoded


def _escapes(charset: str) -> str:
    """The charset of what is percent-encoded: the form's own, but UTF-8 where a character of that is several bytes."""
    name = find_charset(charset) or "utf-8"
    return "utf-8" if name.startswith("utf-16") else name


def fields(raw: bytes, charset: str = "utf-8") -> dict[str, Any]:
    """An urlencoded body as a tree. Raises `Unreadable`."""
    return _tree(pairs(raw, charset))


def parts(raw: bytes, boundary: str, charset: str = "utf-8") -> dict[str, Any]:
    """A multipart/form-data body as a tree; of a file its name, type and size in bytes. Raises `Unreadable`.

    `charset` is that of the names, and of the parts that name none. A part that is not in its charset costs only its
    own characters: they are read as `document.parse_as_sent` says.
    """
    if not boundary:
        raise Unreadable("multipart", "the content type multipart/form-data names no boundary")
    effort.require((len(raw), effort.SIZE), (raw.count(b"\n"), _FEW_LINES))
    decode(b"", charset)  # raises where the charset is none of ours
    parser = MultipartParser(
        io.BytesIO(raw),
        boundary,
        charset=_BYTES,
        part_limit=_MOST,
        spool_limit=len(raw) + 1,
        memory_limit=len(raw) + 1,
    )
    try:
        values = [(_text(part.name.encode(_BYTES), charset), _part(part, charset)) for part in parser]
    except MultipartError as error:
        raise Unreadable("multipart", f"the body is not multipart/form-data: {error}") from None
    return _tree(values)


def unfold(data: Any, names: Iterable[str]) -> Any:
    """The form with the JSON inside some of its fields parsed, where they are there. Raises `Unreadable`."""
    if not isinstance(data, dict):
        return data
    inside = {name: parse(encode(data[name])) for name in names if isinstance(data.get(name), str)}
    return data | inside


def _part(part: Any, charset: str) -> Any:
    if part.filename is None:
        named = _CHARSET.search(part.headers.get("Content-Type", ""))
        return _text(part.raw, named[1] if named else charset)
    name, kind = part.filename.encode(_BYTES), part.content_type.encode(_BYTES)
    return {"filename": _text(name, charset), "contentType": _text(kind, charset), "size": part.size}


def _text(raw: bytes, charset: str) -> str:
    """The text of a part, also of one that is not in the charset that it names, or whose charset is not known."""
    try:
        return decode(raw, charset)
    except Unreadable:
        return decode(raw, "utf-8")


def _tree(found: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in found:
        _put(tree, _path(name), value)
    return tree


def _path(name: str) -> list[str]:
    if name.count("[") > _DEEPEST:
        raise Unreadable("depth", f"a field's name nests more than {_DEEPEST} deep")
    match = _NAME.fullmatch(name)
    if match is None:
        return [name]
    return [match[1], *_BRACKETS.findall(match[2])]


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    """`a[b]=1` is {"a": {"b": 1}}; `a[]=1` and a name that comes again make a list."""
    *outer, last = path
    if last == "" and outer:
        *outer, last = outer
        value = [value]
    for key in outer:
        inner = tree.setdefault(key, {})
        if not isinstance(inner, dict):
            raise Unreadable("form", f"the field {key[:80]!r} is both a value and a group of values")
        tree = inner
    _add(tree, last, value)


def _add(tree: dict[str, Any], key: str, value: Any) -> None:
    if key not in tree:
        tree[key] = value
    elif isinstance(tree[key], dict):
        raise Unreadable("form", f"the field {key[:80]!r} is both a value and a group of values")
    else:
        values = tree[key] if isinstance(tree[key], list) else [tree[key]]
        values.extend(value if isinstance(value, list) else [value])  # a new list each time would take the square
        tree[key] = values
