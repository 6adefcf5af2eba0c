"""HTTP proxies from the environment, by the same rules as other clients (curl, Go's net/http, requests).

`https_proxy` is for https, `http_proxy` for http, and `all_proxy` for both when the specific one is not set. Lower case
takes precedence over upper case, and an empty variable counts as not set. HTTP_PROXY is ignored when REQUEST_METHOD is
set, because a CGI program gets it from the request header `Proxy` (https://httpoxy.org). Hosts in `no_proxy`, and this
machine, are connected to directly.
"""

import ipaddress
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

from relay.secret import Secret

VARIABLES: Final = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
EXAMPLE: Final = "http://user:password@proxy:3128"
_PORTS: Final = {"http": 80, "https": 443}
_LABELS: Final = re.compile(r"[\w-]+(?:\.[\w-]+)*")

Ip = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy. `url` has no credentials. `login` is the Proxy-Authorization header. `origin` is the key or variable.

    Its text is safe to show.
    """

    url: str
    user: str | None
    login: Secret | None
    origin: str

    def __str__(self) -> str:
        scheme, _, host = self.url.partition("://")
        user = "" if self.user is None else f"{self.user}:********@"
        return f"{scheme}://{user}{host} ({self.origin})"


class BadVariable(ValueError):
    """A variable has an invalid proxy. The message does not contain the variable's name and value."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def parse(text: str, origin: str) -> Proxy:
    """Parse `http://user:password@proxy:3128`, or https. Raises ValueError, which does not quote the text."""
    parts = _split(text)
    user = None if parts.username is None else unquote(parts.username)
    login = None
    if user is not None:
        if ":" in user:
            raise ValueError("has a colon in its user, which HTTP does not allow: use another user")
        pair = f"{user}:{unquote(parts.password or '')}"
        login = Secret(f"Basic {b64encode(pair.encode()).decode()}")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    return Proxy(f"{parts.scheme}://{host}{port}", user, login, origin)


def find(url: str, env: Mapping[str, str]) -> Proxy | None:
    """The proxy in `env` for a URL, None for a direct connection. Raises BadVariable."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    variable = _variable(parts.scheme, env)
    if variable is None or _is_here(host) or _is_exempt(host, parts.port or _PORTS[parts.scheme], env):
        return None
    name, text = variable
    try:
        return parse(text if "://" in text else f"http://{text.removeprefix('//')}", name)
    except ValueError as error:
        raise BadVariable(name, str(error)) from None


def steer(proxy: Proxy | None, scheme: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of an aiohttp request to a URL of this scheme that send it through the proxy.

    Do not set headers on a session with a proxy: aiohttp would send them to the proxy too, including Relay's token.
    """
    if proxy is None:
        return {"headers": headers}
    login = {} if proxy.login is None else {"Proxy-Authorization": proxy.login.reveal()}
    if scheme == "https":
        agent = {name: value for name, value in headers.items() if name == "User-Agent"}
        return {"headers": headers, "proxy": proxy.url, "proxy_headers": {**agent, **login}}
    return {"headers": {**headers, **login}, "proxy": proxy.url}


def odd_exceptions(env: Mapping[str, str]) -> tuple[str, list[str]] | None:
    """The variable with the exceptions, and its entries that cannot match a host. None when there are none."""
    name, text = _first(("no_proxy", "NO_PROXY"), env) or ("", "")
    invalid = [entry for entry in _entries(text) if not _is_sound(entry)]
    return (name, invalid) if invalid else None


def _split(text: str) -> SplitResult:
    if any(sign.isspace() or not sign.isprintable() for sign in text):
        raise ValueError(f"contains a blank or a control character: write for example {EXAMPLE}")
    scheme, _, rest = text.partition("://")
    if scheme.lower().startswith("socks") and rest:
        raise ValueError(
            f"is a {scheme.lower()}:// proxy, but Relay supports only HTTP proxies: write for example {EXAMPLE}"
        )
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(
            f"has an invalid host or port (%-encode / # ? and @ in a password): write for example {EXAMPLE}"
        ) from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"is not a URL with http:// or https:// and a host: write for example {EXAMPLE}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"continues after its host (%-encode / # and ? in a password): write for example {EXAMPLE}")
    return parts


def _variable(scheme: str, env: Mapping[str, str]) -> tuple[str, str] | None:
    own = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY")
    if scheme == "http" and env.get("REQUEST_METHOD"):
        own = (own[0], own[0])
    return _first((*own, "all_proxy", "ALL_PROXY"), env)


def _first(names: tuple[str, ...], env: Mapping[str, str]) -> tuple[str, str] | None:
    return next(((name, text) for name in names if (text := env.get(name, "").strip())), None)


def _is_here(host: str) -> bool:
    ip = _ip(host)
    if ip is not None:
        return ip.is_loopback or ip.is_unspecified
    return host == "localhost" or host.endswith(".localhost")


def _is_exempt(host: str, port: int, env: Mapping[str, str]) -> bool:
    _, text = _first(("no_proxy", "NO_PROXY"), env) or ("", "")
    return any(_matches(entry, host, port) for entry in _entries(text))


def _entries(text: str) -> Iterator[str]:
    return (entry for entry in re.split(r"[,\s]+", text) if entry)


def _matches(entry: str, host: str, port: int) -> bool:
    """Whether an entry matches: `*`, or a name with its subdomains, an address or a network, with an optional port."""
    if entry == "*":
        return True
    pattern, only_port = _cut_port(entry)
    if only_port is not None and only_port != str(port):
        return False
    ip = _ip(host)
    if ip is None:
        name = _name(pattern)
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return ip in ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return False


def _is_sound(entry: str) -> bool:
    pattern, only_port = _cut_port(entry)
    if entry == "*" or (only_port is not None and not only_port.isdecimal()):
        return entry == "*"
    try:
        ipaddress.ip_network(pattern, strict=False)
    except ValueError:
        return _LABELS.fullmatch(_name(pattern)) is not None
    return True


def _cut_port(entry: str) -> tuple[str, str | None]:
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, rest.removeprefix(":") or None
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, None


def _name(pattern: str) -> str:
    return pattern.lower().removeprefix("*").strip(".")


def _ip(host: str) -> Ip | None:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip
