"""URLs of Cargo, of the ledger and of the broker; a password inside one is taken out and held as a secret.

No message quotes a URL: it may hold a password.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from relay import proxy
from relay.config.block import fault
from relay.config.fill import Opaque
from relay.dsn import parse
from relay.secret import Secret

_WEB: Final = ("http", "https")
NO_PROXY: Final = "none"
"""What `cargo.proxy` says to have none, whatever the environment names."""
_CREDENTIALS: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^/?#:@]*):(?P<password>[^/?#]*)@(?P<rest>[^/?#@]*(?:[/?#].*)?)",
    re.DOTALL,
)


def web_url(value: Any) -> Any:
    """Where Cargo's API is: an http:// or https:// URL without credentials; a slash at its end is dropped.

    Raises ValueError.
    """
    return _web(value, "https://api.getcargo.io/v1")


def public_url(value: Any) -> Any:
    """The same for the address under which senders reach Relay, without the `/hooks/...` that Relay adds."""
    return _web(value, "https://hooks.example.com")


def _web(value: Any, example: str) -> Any:
    if not isinstance(value, str) or isinstance(value, Opaque):
        return value
    parts = _split(value, _WEB, example)
    if parts.username is not None or parts.password is not None:
        raise ValueError("holds credentials: take them out of the URL, they have keys of their own")
    if "?" in value or "#" in value:
        raise ValueError(f"holds a query or a fragment: end it after the path, as {example}")
    if not value.isascii():
        raise ValueError("has letters beyond ASCII: write the host in its xn-- form and %-encode the path")
    return f"{parts.scheme}{value[len(parts.scheme) :]}".rstrip("/")


def proxy_url(value: Any) -> Any:
    """A proxy's URL as a secret, since it may hold a password; or `none`, for no proxy. Raises ValueError."""
    if isinstance(value, Secret) or value is None:
        return value
    if not isinstance(value, str):
        raise ValueError("must be text such as http://proxy:3128")  # noqa: TRY004 - pydantic takes ValueError
    if value.lower() == NO_PROXY:
        return NO_PROXY
    if not isinstance(value, Opaque):
        proxy.parse(value, "cargo.proxy")
    return Secret(str(value))


def ledger_url(value: Any) -> Any:
    """`sqlite:///file`, or a connection string of PostgreSQL as libpq takes it. Raises ValueError."""
    if not isinstance(value, str) or isinstance(value, Opaque):
        return value
    scheme, _, rest = value.partition("://")
    if scheme == "sqlite":
        if not rest.startswith("/") or len(rest) < 2 or "?" in rest:
            raise ValueError("names no file: write sqlite:///relay.db, or sqlite:////var/lib/relay/relay.db")
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
    """The block's values with the password moved from `url` to `password`. Raises when it has both."""
    url = values.get("url") if isinstance(values, Mapping) else None
    if not isinstance(url, str) or isinstance(url, Opaque):
        return values
    stripped, password = _part(url)
    if password is None:
        return values
    if values.get("password") is not None:
        raise fault("url", "holds a password, and `password` is given too: keep one of them")
    return {**values, "url": stripped, "password": password}


def _part(url: str) -> tuple[str, Secret | None]:
    """Only the password is cut out of the text: what else stands there is not written anew."""
    match = _CREDENTIALS.fullmatch(url)
    if match is None:
        return url, None
    user = f"{match['user']}@" if match["user"] else ""
    password = Secret(unquote(match["password"])) if match["password"] else None
    return f"{match['scheme']}{user}{match['rest']}", password


def _split(url: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    wrong = ValueError(f"is not a URL that begins with {':// or '.join(schemes)}:// and names a host: write {example}")
    if any(character.isspace() or not character.isprintable() for character in url):
        raise ValueError(f"holds a blank or a control character: write {example}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(
            f"has a host or a port that cannot be read (a password with / # ? or @ in it is %-encoded): write {example}"
        ) from None
    if port == 0:
        raise ValueError(f"has port 0, to which nothing connects: write {example}")
    if parts.scheme not in schemes or not parts.hostname:
        raise wrong
    return parts
