"""A body out of its compression, never more of it than is allowed."""

import re
import zlib
from typing import Final

from relay import effort
from relay.errors import Rejected
from relay.schemes.document import Unreadable, find_charset

_WINDOWS: Final = {"gzip": (31,), "x-gzip": (31,), "deflate": (47, -15)}
"""zlib's window bits; `deflate` means zlib's format (RFC 9110), and some send the bare one, or gzip's."""

_NONE: Final = frozenset({"", "identity", "none", "binary", "7bit", "8bit"})
_BETWEEN: Final = re.compile("[,:]")
"""Between two codings. Spring AMQP writes a colon: `gzip:UTF-8`."""

_GZIP: Final = b"\x1f\x8b"
"""How gzip begins, and no text."""

_MEMBERS: Final = 100
"""A gzip body may be several in a row; each costs a copy of the rest, so that many are an attack."""


def inflate(body: bytes, encoding: str | None, most: int) -> bytes:
    """The body without its content encoding; gzip tells by itself.

    Raises `Unreadable` when it is not what the encoding says, `Rejected`: 413 when more than `most` bytes would come
    out, 415 for an encoding that is not read here, `Heavy` (see `relay.effort`).
    """
    name = ", ".join(one for one in _codings(encoding) if not _is_none(one)) if encoding else ""
    if not name and body.startswith(_GZIP):
        name = "gzip"
    if not name:
        return body
    if name not in _WINDOWS:
        raise Rejected(
            "this content encoding is not read here; send gzip, deflate or none",
            status=415,
            reason="content_encoding",
            hint=f"the sender compresses with {name[:40]!r}",
        )
    effort.require((len(body), effort.SIZE))
    for window in _WINDOWS[name]:
        inflated = _expand(body, window, most)
        if inflated is not None:
            return inflated
    raise Unreadable("encoding", f"the body is not {name}, or ends too early")


def charset_of(encoding: str | None) -> str | None:
    """The charset that senders of messages (kombu, Spring) put where the coding belongs."""
    found = [name for one in _codings(encoding or "") if (name := find_charset(one.removeprefix("charset=")))]
    return found[0] if found else None


def _codings(encoding: str) -> list[str]:
    """The codings in lower case, without parameters."""
    return [part.partition(";")[0].strip().lower() for part in _BETWEEN.split(encoding)]


def _is_none(coding: str) -> bool:
    """Whether this is no compression: many libraries (kombu, MassTransit, ABAP) put the charset or a transfer encoding
    there, and some the content type."""
    return coding in _NONE or "/" in coding or charset_of(coding) is not None


def too_large(most: int) -> Rejected:
    """The refusal of a body above `most` bytes."""
    return Rejected(
        f"the body is larger than {most} bytes",
        status=413,
        reason="too_large",
        hint="raise http.max_body if this sender's events are that large",
    )


def _expand(body: bytes, window: int, most: int) -> bytes | None:
    """What the body, of one or more members, inflates to; None when it is not of this format."""
    limit = most if effort.is_full() else min(most, effort.SIZE)
    out = b""
    for _ in range(_MEMBERS):
        if not body:
            return out
        machine = zlib.decompressobj(window)
        try:
            out += machine.decompress(body, limit + 1 - len(out))
        except zlib.error:
            return None
        if len(out) > limit:
            raise effort.Heavy if limit < most else too_large(most)
        if not machine.eof:
            return None
        body = machine.unused_data
    return None if body else out
