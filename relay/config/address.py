"""The URLs of Cargo, the ledger and the broker. A password in a URL is taken out and kept as a secret.

No message quotes a URL, because it may contain a password.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from relay import proxy
from relay.dsn import parse
from relay.secret import Secret
from relay.written.block import fault
from relay.written.reference import Opaque

_WEB: Final = ("http", "https")
NO_PROXY: Final = "none"
"""The value of `cargo.proxy` for no proxy, even when the environment names one."""
_CREDENTIALS: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/?#:@]*):(?P<password>[^/?#]*)@(?P<rest>[^/?#@]*(?:[/?#].*)?)",
    re.DOTALL,
)


def web_url(value: Any) -> Any:
    """The URL of Cargo's API: http:// or https://, without credentials. A trailing slash is dropped.

    Raises ValueError.
    """
    return _web(value, "https://api.getcargo.io/v1")


def public_url(value: Any) -> Any:
    """The URL where senders reach Relay, without the `/hooks/...` that Relay adds. Raises ValueError."""
    return _web(value, "https://hooks.example.com")


def _web(value: Any, example: str) -> Any:
    if not isinstance(value, str) or isinstance(value, Opaque):
        return value
    parts = _split(value, _WEB, example)
    if parts.username is not None or parts.password is not None:
        raise ValueError("contains credentials: remove them from the URL, they have their own keys")
    if "?" in value or "#" in value:
        raise ValueError(f"contains a query or a fragment: end the URL after the path, for example {example}")
    if not value.isascii():
        raise ValueError("contains non-ASCII characters: write the host in its xn-- form and %-encode the path")
    return f"{parts.scheme}{value[len(parts.scheme) :]}".rstrip("/")


def proxy_url(value: Any) -> Any:
    """The URL of a proxy as a secret, because it may contain a password; or `none` for no proxy. Raises ValueError."""
    if isinstance(value, Secret) or value is None:
        return value
    if not isinstance(value, str):
        raise ValueError("must be text, for example http://proxy:3128")  # noqa: TRY004 - pydantic takes ValueError
    if value.lower() == NO_PROXY:
        return NO_PROXY
    if not isinstance(value, Opaque):
        proxy.parse(value, "cargo.proxy")
    return Secret(str(value))


def ledger_url(value: Any) -> Any:
    """`sqlite:///file`, or a connection string of PostgreSQL in libpq's format. Raises ValueError."""
    if not isinstance(value, str) or isinstance(value, Opaque):
        return value
    scheme, _, rest = value.partition("://")
    if scheme == "sqlite":
        if not rest.startswith("/") or len(rest) < 2 or "?" in rest:
            raise ValueError("does not name a file: write sqlite:///relay.db or sqlite:////var/lib/relay/relay.db")
        return str(value)
    parse(value)
    return str(value)


def broker_url(value: Any) -> Any:
    """`amqp://user@host:5672/vhost` or `amqps://`. Raises ValueError."""
    if isinstance(value, str) and not isinstance(value, Opaque):
        _split(value, ("amqp", "amqps"), "amqp://user@host:5672/vhost")
        return str(value)
    return value


def part_password(values: Any) -> Any:
    """The values of a block with the password moved from `url` to `password`. Raises a fault when both have one."""
    url = values.get("url") if isinstance(values, Mapping) else None
    if not isinstance(url, str) or isinstance(url, Opaque):
        return values
    stripped, password = _part(url)
    if password is None:
        return values
    if values.get("password") is not None:
        raise fault("url", "contains a password, and `password` is given too: keep one of them")
    return {**values, "url": stripped, "password": password}


def _part(url: str) -> tuple[str, Secret | None]:
    """Cut out only the password: the rest of the text stays as the operator wrote it."""
    match = _CREDENTIALS.fullmatch(url)
    if match is None:
        return url, None
    user = f"{match['user']}@" if match["user"] else ""
    password = Secret(unquote(match["password"])) if match["password"] else None
    return f"{match['scheme']}{user}{match['rest']}", password


def _split(url: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    wrong = ValueError(f"is not a URL with {':// or '.join(schemes)}:// and a host: write for example {example}")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError(f"contains a blank or a control character: write for example {example}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(
            f"has an invalid host or port (%-encode / # ? and @ in a password): write for example {example}"
        ) from None
    if port == 0:
        raise ValueError(f"has port 0, which cannot be connected to: write for example {example}")
    if parts.scheme not in schemes or not parts.hostname:
        raise wrong
    return parts
