"""Where to listen: the addresses that an operator's text means, and their sockets.

Each address gets a socket of its own, and one for IPv6 takes IPv6 only, whatever the system's default is. So a port
that is taken in one family is noticed, and no peer shows as an IPv4 address inside an IPv6 one.
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
_EVERY: Final = ("0.0.0.0", "::")  # noqa: S104 - what the operator asks for
_MEANS: Final = {"": _EVERY, "::": _EVERY, "localhost": ("127.0.0.1", "::1")}
_ABSENT: Final = frozenset({errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EADDRNOTAVAIL})
"""How a system says that it has no IPv6 (or no IPv4), or not this address."""
_TRIES: Final = 50
_BACKLOG: Final = 128

Place = tuple[int, tuple[Any, ...]]
"""A family, and an address as its sockets take it."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen. `host` is a name or an address, or empty for all; port 0 lets the system choose.

    Empty and `::` mean both families, `localhost` both loopbacks; of these a system without IPv6 has the IPv4 one.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"

    @property
    def addresses(self) -> tuple[str, ...]:
        """The addresses that are meant, or the one name."""
        return _MEANS.get(self.host, (self.host,))

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return all(ip is not None and ip.is_loopback for ip in map(_ip, self.addresses))

    @property
    def url(self) -> str:
        """Where this machine reaches it."""
        host = self.addresses[0]
        return f"http://{_bracketed('127.0.0.1' if host in _EVERY else host)}:{self.port}"

    def clashes(self, other: "Listener") -> bool:
        """Whether both cannot be had at once. A name clashes with itself and with what takes all addresses."""
        if self.port != other.port or self.port == 0:
            return False
        return any(_meet(mine, theirs) for mine in self.addresses for theirs in other.addresses)

    def open(self) -> list[socket.socket]:
        """Sockets that listen, all on one port. Looks up names, so it may take seconds.

        Raises OSError with the address as its `filename`; gaierror for a name that leads nowhere.
        """
        places = self._places()
        for _ in range(_TRIES if self.port == 0 else 1):
            try:
                return _open(places, self.port)
            except OSError as error:
                # The port that the system chose for the first address may be taken at the second.
                clash = error
                if error.errno != errno.EADDRINUSE:
                    raise
        raise clash

    def _places(self) -> list[Place]:
        found: list[Place] = []
        for address in self.addresses:
            for family, _, _, _, where in socket.getaddrinfo(address, None, type=socket.SOCK_STREAM):
                if (family, where) not in found:
                    found.append((family, where))
        return found


def read(text: str) -> Listener:
    """`host:port`, `[::1]:port`, or `:port` for all addresses. Raises ValueError with what would be right."""
    match = _FORM.fullmatch(text.strip())
    if match is None or int(match[3]) > 65_535:
        raise ValueError(f"{text!r} is not an address: write host:port, as 127.0.0.1:8081, or :8080 for all")
    return Listener(_inside(match[1]) if match[1] else _host(match[2]), int(match[3]))


def _inside(text: str) -> str:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f'{text!r} is not an IPv6 address: write one, as "[::1]:8081"') from None
    return str(address.ipv4_mapped or address)


def _host(text: str) -> str:
    host = text.lower().rstrip(".")
    if host in {"", "*"}:
        return ""
    if _ip(host) is not None:
        return host
    if _is_short(host):
        raise ValueError(f"{text!r} is not an IPv4 address: write its four numbers, as 127.0.0.1")
    if not _NAME.fullmatch(host):
        raise ValueError(f"{text!r} is not a host name: write a name or an address, as 127.0.0.1")
    return host


def _is_short(host: str) -> bool:
    """Whether the system would take it for an IPv4 address in one of its old spellings, as `127.1` or `0`."""
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


def _meet(one: str, two: str) -> bool:
    first, second = _ip(one), _ip(two)
    if first is not None and second is not None and first.version != second.version:
        return False
    return one == two or one in _EVERY or two in _EVERY


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
        # A port whose connections are still closing may be had again at once; one that is listened on may not.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)
        # Of two who have bound the same port, it is here that the second one learns of it.
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
