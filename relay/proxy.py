"""HTTP proxies, as the other clients of a company take them from the environment (curl, Go's net/http, requests).

`https_proxy` is for https, `http_proxy` for http, `all_proxy` for both where the first is not set; each name in lower
case counts before the one in upper case, and an empty one as not set. HTTP_PROXY in upper case is passed over where
REQUEST_METHOD is set, which is how a request's header `Proxy` gets into the environment of a CGI program
(https://httpoxy.org). What `no_proxy` names is asked straight, and so is this machine, always.
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
    """`url` is without credentials; `login` is what Proxy-Authorization says; `origin` is the key or the variable.

    As text it is what people may see.
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
    """A variable names a proxy that cannot be used; the message is without the variable's name and its value."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


def parse(text: str, origin: str) -> Proxy:
    """`http://user:password@proxy:3128`, or https. Raises ValueError, which quotes nothing: it may hold a password."""
    parts = _split(text)
    user = None if parts.username is None else unquote(parts.username)
    login = None
    if user is not None:
        if ":" in user:
            raise ValueError("has a colon in its user, which HTTP cannot carry: name another user")
        pair = f"{user}:{unquote(parts.password or '')}"
        login = Secret(f"Basic {b64encode(pair.encode()).decode()}")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    port = "" if parts.port is None else f":{parts.port}"
    return Proxy(f"{parts.scheme}://{host}{port}", user, login, origin)


def find(url: str, env: Mapping[str, str]) -> Proxy | None:
    """The proxy that `env` has for this URL. Raises BadVariable."""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    named = _named(parts.scheme, env)
    if named is None or _is_here(host) or _is_exempt(host, parts.port or _PORTS[parts.scheme], env):
        return None
    name, text = named
    try:
        return parse(text if "://" in text else f"http://{text.removeprefix('//')}", name)
    except ValueError as error:
        raise BadVariable(name, str(error)) from None


def steer(proxy: Proxy | None, scheme: str, headers: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of an aiohttp request to a URL of this scheme that send it by the proxy.

    Headers of a session must not be used with a proxy: aiohttp sends them to the proxy too, our token among them.
    """
    if proxy is None:
        return {"headers": headers}
    login = {} if proxy.login is None else {"Proxy-Authorization": proxy.login.reveal()}
    if scheme == "https":
        agent = {name: value for name, value in headers.items() if name == "User-Agent"}
        return {"headers": headers, "proxy": proxy.url, "proxy_headers": {**agent, **login}}
    return {"headers": {**headers, **login}, "proxy": proxy.url}


def odd_exceptions(env: Mapping[str, str]) -> tuple[str, list[str]] | None:
    """The variable of exceptions, and those of them that can fit nothing; None when all can."""
    name, text = _first(("no_proxy", "NO_PROXY"), env) or ("", "")
    odd = [entry for entry in _entries(text) if not _is_sound(entry)]
    return (name, odd) if odd else None


def _split(text: str) -> SplitResult:
    if any(sign.isspace() or not sign.isprintable() for sign in text):
        raise ValueError(f"holds a blank or a control character: write {EXAMPLE}")
    scheme, _, rest = text.partition("://")
    if scheme.lower().startswith("socks") and rest:
        raise ValueError(f"is a {scheme.lower()}:// proxy, and Relay speaks to HTTP proxies only: write {EXAMPLE}")
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        raise ValueError(
            f"has a host or a port that cannot be read (a password with / # ? or @ in it is %-encoded): write {EXAMPLE}"
        ) from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError(f"is not a URL that begins with http:// or https:// and names a host: write {EXAMPLE}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"goes on after its host (a password with / # or ? in it is %-encoded): write {EXAMPLE}")
    return parts


def _named(scheme: str, env: Mapping[str, str]) -> tuple[str, str] | None:
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
    return any(_fits(entry, host, port) for entry in _entries(text))


def _entries(text: str) -> Iterator[str]:
    return (entry for entry in re.split(r"[,\s]+", text) if entry)


def _fits(entry: str, host: str, port: int) -> bool:
    """`*`; a name, also for all below it; an address; a network; each but the first with a port, if that is meant."""
    if entry == "*":
        return True
    wanted, only = _cut_port(entry)
    if only is not None and only != str(port):
        return False
    ip = _ip(host)
    if ip is None:
        name = _name(wanted)
        return bool(name) and (host == name or host.endswith(f".{name}"))
    try:
        return ip in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


def _is_sound(entry: str) -> bool:
    wanted, only = _cut_port(entry)
    if entry == "*" or (only is not None and not only.isdecimal()):
        return entry == "*"
    try:
        ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return _LABELS.fullmatch(_name(wanted)) is not None
    return True


def _cut_port(entry: str) -> tuple[str, str | None]:
    if entry.startswith("["):
        host, _, rest = entry[1:].partition("]")
        return host, rest.removeprefix(":") or None
    if entry.count(":") == 1:
        host, _, port = entry.partition(":")
        return host, port
    return entry, None


def _name(wanted: str) -> str:
    return wanted.lower().removeprefix("*").strip(".")


def _ip(host: str) -> Ip | None:
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(ip, "ipv4_mapped", None) or ip
