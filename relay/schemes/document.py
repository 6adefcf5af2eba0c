"""JSON, read strictly: what comes out can be kept in a database, written again and matched without surprises."""

import json
import re
from json.scanner import py_make_scanner  # type: ignore[attr-defined] # its stub leaves it out
from typing import Any, Final, NoReturn

from relay import effort
from relay.depth import BODY, text_exceeds, value_exceeds, without_strings

_SPACE: Final = " \t\n\r"
_CHARSETS: Final = {
    **dict.fromkeys(("utf-8", "utf8", "utf8mb4", "us-ascii", "ascii"), "utf-8"),
    **dict.fromkeys(("iso-8859-1", "iso8859-1", "latin-1", "latin1"), "iso-8859-1"),
    **dict.fromkeys(("iso-8859-15", "iso8859-15", "latin-9"), "iso-8859-15"),
    **{name: name for name in ("iso-8859-2", "windows-1250", "windows-1251", "windows-1252")},
    **dict.fromkeys(("utf-16", "utf16"), "utf-16"),
    **{name: name for name in ("utf-16le", "utf-16be")},
}
"""Those that are read, by the names that senders give them, in lower case and without underscores."""
_BAD: Final = re.compile("[\0\ud800-\udfff]")

_NOBODY: Final = re.compile(r"\s*|0{8}-?0{4}-?0{4}-?0{4}-?0{12}|null|none|nil|undefined", re.IGNORECASE)

_FEW: Final = 3_000
"""Values that are read on the event loop: objects take half a microsecond each, half of it in our own hook."""
_MANY: Final = 50_000
_DENSE: Final = 8
"""A body has at most 50,000 values, or one to each 8 bytes: JSON with names in it has one to 15 and more."""
_UNBROKEN: Final = 10_000
"""Lists that are read in one go: the decoder of the standard library keeps all threads waiting meanwhile."""


class Unreadable(ValueError):
    """A body cannot be read. `reason` is a short stable word, the message says what is wrong and where."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def parse(body: bytes, charset: str = "utf-8") -> Any:
    """The value of a JSON text (RFC 8259), a byte order mark in front being allowed; `mend`ed.

    Raises `Unreadable`: `empty`, `charset`, `json`, `number` (NaN, Infinity, beyond a float, over 4,300 digits),
    `duplicate_key`, `depth` (over 200), `values` (too many of them). Raises `Heavy` (see `relay.effort`).
    """
    return mend(parse_as_sent(body, charset))


def parse_as_sent(body: bytes, charset: str) -> Any:
    """The same, its characters as they came: NUL, halves of surrogate pairs, and for each byte that is no UTF-8 the
    half that stands for it (`surrogateescape`). Raises as `parse`."""
    return read_json(body, charset)[0]


def read_json(body: bytes, charset: str) -> tuple[Any, bool]:
    """What `parse_as_sent` gives, and whether the text is JSON to the letter.

    It is not where a string has control characters as they are, as the templates of helpdesks write line breaks. They
    are read as what they are. Raises as `parse`.
    """
    effort.require((len(body), effort.SIZE))
    text = decode(body, charset)
    if not text.strip():
        raise Unreadable("empty", "the body is empty; it must be JSON")
    require_few(text)
    if text_exceeds(text, BODY):
        raise too_deep()
    try:
        return _decode(text)
    except json.JSONDecodeError as error:
        raise Unreadable("json", f"the body is not JSON: {error}") from None
    except Unreadable:
        raise
    except ValueError as error:
        raise Unreadable("number", f"the body has a number that is too long: {error}") from None


def find_charset(label: str) -> str | None:
    """The charset that a label means, as senders write it (`UTF_8`, `'utf-8'`); None where it is none that is read."""
    return _CHARSETS.get(label.strip(" \t\"'").lower().replace("_", "-"))


def decode(body: bytes, charset: str) -> str:
    """The text of a body, a byte order mark in front left out; what its charset has no character for as `parse_as_sent`
    says. Raises `Unreadable`: `charset`."""
    name = find_charset(charset)
    if name is None:
        raise Unreadable("charset", f"the charset {charset[:40]!r} is not known; send UTF-8")
    try:
        return body.decode(name, "surrogatepass" if name.startswith("utf-16") else "surrogateescape").removeprefix(
            "\ufeff"
        )
    except UnicodeDecodeError as error:
        raise Unreadable("charset", f"the body is not {name}: {error.reason} at byte {error.start}") from None


def encode(text: str) -> bytes:
    """The bytes of a text that `decode` gave, as they came."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def mend_text(text: str) -> str:
    """The text with U+FFFD for each character that no database holds: NUL and halves of surrogate pairs."""
    return _BAD.sub("\ufffd", text)


def find_id(text: str | None) -> str | None:
    """The text as an id. None for what a program writes that has none: blanks, the empty GUID of .NET, `undefined`."""
    return None if text is None or _NOBODY.fullmatch(text) else text


def mend(data: Any) -> Any:
    """The tree with all its texts mended: the very same one where there is nothing to mend. Keys stay apart."""
    if not _is_bad(data):
        return data
    made: list[Any] = [None]
    pending: list[tuple[Any, Any, Any]] = [(made, 0, data)]
    while pending:
        into, at, value = pending.pop()
        if isinstance(value, str):
            into[at] = mend_text(value)
        elif isinstance(value, dict):
            inner = into[at] = _mend_keys(value)
            pending.extend((inner, key, one) for key, one in zip(inner, value.values(), strict=True))
        elif isinstance(value, list):
            items = into[at] = [None] * len(value)
            pending.extend((items, place, one) for place, one in enumerate(value))
        else:
            into[at] = value
    return made[0]


def _mend_keys(value: dict[str, Any]) -> dict[str, Any]:
    """The keys mended, in order; one that would then be there twice gets another mark."""
    made: dict[str, Any] = {}
    for key in value:
        mended = mend_text(key)
        while mended in made or (mended != key and mended in value):
            mended += "\ufffd"
        made[mended] = None
    return made


def _is_bad(data: Any) -> bool:
    pending = [data]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            if ("\0" in value) if value.isascii() else _BAD.search(value):
                return True
        elif isinstance(value, dict):
            pending.extend(value)
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
    return False


def require_few(text: str) -> None:
    """Return when a JSON text, broken or not, has not too many values. Raises `Unreadable` (`values`), and `Heavy`."""
    most = max(_MANY, len(text) // _DENSE)
    count = _values(text)
    effort.require((count, _FEW))
    if count <= most:
        return
    # Brackets and commas may be part of strings: those are left out only now, since that costs more than to count.
    quotes = text.replace("\\\\", "").replace('\\"', "").count('"')
    if quotes > 2 * most or _values(without_strings(text)) > most:
        raise Unreadable(
            "values", f"the body has more than {most} values, which is more than is read of {len(text)} bytes"
        )


def _values(text: str) -> int:
    """No fewer than there are: each is the first in its list or object, or follows a comma."""
    return 1 + text.count(",") + text.count("[") + text.count("{")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value] # add gives None
        raise Unreadable("duplicate_key", f"the key {twice[:80]!r} is there twice in one object")
    return made


def _float(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        raise Unreadable("number", f"the number {text[:40]} is too large for a float")
    return number


def _constant(name: str) -> NoReturn:
    raise Unreadable("number", f"{name} is no JSON")


def _decoders(*, strict: bool) -> tuple[json.JSONDecoder, json.JSONDecoder]:
    """The decoder, and the same in Python, ten times as slow, which lets other threads go on."""
    fast, yielding = (
        json.JSONDecoder(object_pairs_hook=_object, parse_float=_float, parse_constant=_constant, strict=strict)
        for _ in range(2)
    )
    yielding.scan_once = py_make_scanner(yielding)  # type: ignore[attr-defined] # nor this
    return fast, yielding


_STRICT: Final = _decoders(strict=True)
_LENIENT: Final = _decoders(strict=False)
"""These take control characters in strings as they are."""


def _decode(text: str) -> tuple[Any, bool]:
    """The value, and whether the text is JSON to the letter."""
    try:
        return _decode_with(_STRICT, text), True
    except json.JSONDecodeError as error:
        if not error.msg.startswith("Invalid control character"):
            raise
        return _decode_with(_LENIENT, text), False


def _decode_with(decoders: tuple[json.JSONDecoder, json.JSONDecoder], text: str) -> Any:
    """As the decoder's own `decode`, which looks twice for white space where there is none as a rule."""
    decoder = decoders[text.count("[") > _UNBROKEN]
    if text[0] in "{[":
        data, end = decoder.raw_decode(text)
        if end == len(text) or not text[end:].strip(_SPACE):
            return data
    return decoder.decode(text)


def require_shallow(data: Any) -> None:
    """Raises `Unreadable` (`depth`) for a tree that nests too deep to be kept and walked."""
    if value_exceeds(data, BODY):
        raise too_deep()


def too_deep() -> Unreadable:
    """The refusal of a body that nests too deep."""
    return Unreadable("depth", f"the body nests more than {BODY} deep")
