"""Splits `postgresql://user:password@host:port,host:port/database?name=value` like libpq."""

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from relay.dsn.fault import DsnFault
from relay.secret import Secret

EXAMPLE: Final = "postgresql://user@host:5432/relay"
SCHEMES: Final = ("postgresql", "postgres")
_DIALECT: Final = re.compile(r"(?:postgresql|postgres)\+[a-z0-9_]+")
_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST: Final = re.compile(r"\[([^\[\]]*)\](?::(\d*))?|([^:\[\]]*)(?::(\d*))?")


@dataclass(frozen=True, slots=True)
class Parts:
    """The decoded parts. `hosts` and `ports` have the same length. Parts that were left out are empty."""

    user: str
    password: Secret | None
    hosts: tuple[str, ...]
    ports: tuple[str, ...]
    database: str
    params: dict[str, str] = field(repr=False)


def split(url: str) -> Parts:
    """Split a URL. Raises DsnFault where libpq would refuse it, and for URLs of other libraries."""
    rest = _strip_scheme(url)
    if any(char.isspace() or not char.isprintable() for char in url):
        raise DsnFault(f"contains a blank or a control character: %-encode it; for example {EXAMPLE}")
    rest, _, query = rest.partition("?")
    authority, _, database = rest.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    if "@" in credentials or "#" in rest or "/" in database or "@" in database:
        raise _unreadable()
    user, colon, password = credentials.partition(":")
    pairs = [_host(part) for part in hosts.split(",")] if hosts else []
    return Parts(
        user=_decode(user) if at else "",
        password=Secret(_decode(password)) if colon and password else None,
        hosts=tuple(host for host, _ in pairs),
        ports=tuple(port for _, port in pairs),
        database=_decode(database),
        params=_params(query),
    )


def _strip_scheme(url: str) -> str:
    scheme, _, rest = url.partition("://")
    if url.lower().startswith("jdbc:"):
        raise DsnFault(f"is a URL for Java (jdbc:): write {EXAMPLE}, and the password as `password:`")
    if _DIALECT.fullmatch(scheme.lower()):
        raise DsnFault(f"names a library ({scheme}): leave it out and write {EXAMPLE}")
    if scheme.lower() not in SCHEMES or "://" not in url:
        raise DsnFault(f"is not a URL with postgresql:// and a host: write for example sqlite:///relay.db or {EXAMPLE}")
    return rest


def _host(text: str) -> tuple[str, str]:
    match = _HOST.fullmatch(text)
    if match is None:
        raise _unreadable()
    if match[1] is None:
        return _decode(match[3]), match[4] or ""
    address = _decode(match[1])
    try:
        ipaddress.IPv6Address(address)
    except ValueError:
        raise _unreadable() from None
    return address, match[2] or ""


def _unreadable() -> DsnFault:
    hint = "%-encode / # ? and @ in a password, put an IPv6 address in []"
    return DsnFault(f"has an invalid host or port ({hint}): write for example {EXAMPLE}")


def _params(query: str) -> dict[str, str]:
    params: dict[str, str] = {}
    for pair in query.split("&") if query else ():
        name, equals, value = pair.partition("=")
        name = _decode(name)
        if not equals or "=" in value or not name:
            raise DsnFault(
                f"has a parameter that is not name=value ({_shown(name)}): write name=value, with %3D for = inside"
            )
        if name in params:
            raise DsnFault(f"gives {_shown(name)} twice: keep one of them")
        params[name] = _decode(value)
    return params


def _decode(text: str) -> str:
    """Decode a part. As in libpq, `+` is not a blank."""
    if _ESCAPE.search(text):
        raise DsnFault("has a % that does not start a code: write %25 for a literal %")
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise DsnFault("has a %-code that is not UTF-8: encode the text as UTF-8") from None
    if "\0" in decoded:
        raise DsnFault("contains %00, which is not allowed: remove it")
    return decoded


def _shown(name: str) -> str:
    """A name to show in a message. Text that does not look like a name may be part of a password, and is not shown."""
    return f"`{name}`" if re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,40}", name) else "a part of its query"
