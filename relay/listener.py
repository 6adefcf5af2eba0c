"""Parses the address of a listener, and opens its sockets.

Each address gets its own socket, and IPv6 sockets are IPv6-only regardless of the system's default. So a port that is
in use in one family is detected, and peers never appear as IPv4-mapped IPv6 addresses.
"""

import errno
import ipaddress
import re
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

_FORM: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/]*)):(\d{1,5})")
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*")
_EVERY: Final = ("0.0.0.0", "::")  # noqa: S104 - the operator's choice
_MEANS: Final = {"": _EVERY, "::": _EVERY, "localhost": ("127.0.0.1", "::1")}
_ABSENT: Final = frozenset({errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EADDRNOTAVAIL})
"""The errors of a system without IPv6 (or IPv4), or without this address."""
_TRIES: Final = 50
_BACKLOG: Final = 128

Place = tuple[int, tuple[Any, ...]]
"""An address family, and an address in the format of its sockets."""


@dataclass(frozen=True, slots=True)
class Listener:
    """The address of a listener. `host` is a name or an address; empty means all. The system replaces port 0.

    An empty host and `::` mean both families, `localhost` both loopback addresses; without IPv6 only IPv4 is used.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses to bind, or the host name."""
        return _MEANS.get(self.host, (self.host,))

    @property
    def loopback(self) -> bool:
        """Whether it can be reached only from this machine."""
        return all(ip is not None and ip.is_loopback for ip in map(_ip, self.addresses))

    @property
    def url(self) -> str:
        """The URL for reaching it from this machine."""
        host = self.addresses[0]
        return f"http://{_bracketed('127.0.0.1' if host in _EVERY else host)}:{self.port}"

    def clashes(self, other: "Listener") -> bool:
        """Whether both cannot be bound at once. A name clashes with itself and with a host for all addresses."""
        if self.port != other.port or self.port == 0:
            return False
        return any(_overlap(address, another) for address in self.addresses for another in other.addresses)

    def open(self) -> list[socket.socket]:
        """Listening sockets, all on the same port. It looks up names, so it may take seconds.

        Raises OSError with the address as its `filename`, and gaierror for a name that cannot be resolved.
        """
        places = self._places()
        for _ in range(_TRIES if self.port == 0 else 1):
            try:
                return _open(places, self.port)
            except OSError as error:
                # The port that the system chose for the first address may be in use at the second.
                clash = error
                if error.errno != errno.EADDRINUSE:
                    raise
        raise clash

    def _places(self) -> list[Place]:
        places: list[Place] = []
        for address in self.addresses:
            for family, _, _, _, where in socket.getaddrinfo(address, None, type=socket.SOCK_STREAM):
                if (family, where) not in places:
                    places.append((family, where))
        return places


def read(text: str) -> Listener:
    """Parse `host:port`, `[::1]:port`, or `:port` for all addresses. Raises ValueError, which says what to write."""
    match = _FORM.fullmatch(text.strip())
    if match is None or int(match[3]) > 65_535:
        raise ValueError(
            f"{text!r} is not an address: write host:port, for example 127.0.0.1:8081, or :8080 for all addresses"
        )
    return Listener(_inside(match[1]) if match[1] else _host(match[2]), int(match[3]))


def _inside(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f'{text!r} is not an IPv6 address: write for example "[::1]:8081"') from None
    return str(address.ipv4_mapped or address)


def _host(text: str) -> str:
    host = text.lower().rstrip(".")
    if host in {"", "*"}:
        return ""
    if _ip(host) is not None:
        return host
    if _is_short(host):
        raise ValueError(f"{text!r} is not an IPv4 address: write its four numbers, for example 127.0.0.1")
    if not _NAME.fullmatch(host):
        raise ValueError(f"{text!r} is not a host name: write a name or an address, for example 127.0.0.1")
    return host


def _is_short(host: str) -> bool:
    """Whether the system would read it as an IPv4 address in an old notation, for example `127.1` or `0`."""
    try:
        socket.inet_aton(host)
    except OSError:
        return host.replace(".", "").isdigit()
    return True


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _overlap(first: str, second: str) -> bool:
    first_ip, second_ip = _ip(first), _ip(second)
    if first_ip is not None and second_ip is not None and first_ip.version != second_ip.version:
        return False
    return first == second or first in _EVERY or second in _EVERY


def _open(places: Sequence[Place], port: int) -> list[socket.socket]:
    opened: list[socket.socket] = []
    absent: OSError | None = None
    try:
        for family, where in places:
            try:
                opened.append(_bind(family, (where[0], port, *where[2:])))
            except OSError as error:
                error.filename = f"{_bracketed(where[0])}:{port}"
                if error.errno not in _ABSENT:
                    raise
                absent = absent or error
            else:
                port = opened[-1].getsockname()[1]
    except OSError:
        for sock in opened:
            sock.close()
        raise
    if absent is not None and not opened:
        raise absent
    return opened


def _bind(family: int, where: tuple[Any, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        # Allows a port whose old connections are still closing, but not one with a listener.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        # If two processes have bound the same port, the second one fails here.
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
