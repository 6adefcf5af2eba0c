"""Parses a connection string into a `Dsn`."""

from collections.abc import Callable, Mapping
from typing import Final

from relay.dsn.dsn import SYSTEM, WEAK, Dsn, Host, Keepalive, Tls
from relay.dsn.fault import DsnFault
from relay.dsn.grammar import EXAMPLE, Parts, split
from relay.dsn.options import parse_options
from relay.dsn.words import check_name

_PORT: Final = 5432
_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TARGETS: Final = ("any", "read-write", "primary", "read-only", "standby", "prefer-standby")
_VERSIONS: Final = {"tlsv1.2": "TLSv1.2", "tlsv1.3": "TLSv1.3"}
_OURS: Final = frozenset(
    {
        *("application_name", "synchronous_commit", "timezone", "lock_timeout", "statement_timeout", "jit"),
        *("idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout", "client_encoding"),
        *("enable_seqscan", "enable_hashjoin", "enable_mergejoin"),
    }
)
"""The settings that Relay sets itself, regardless of `options`: its guarantees depend on them, and its speed."""


def parse(url: str) -> Dsn:
    """Parse a URL. Raises DsnFault, which says what to write, for parameters that are wrong or not supported."""
    parts = split(url)
    params = parts.params
    for name in params:
        check_name(name)
    _check_fixed(params)
    hosts = _hosts(parts, params)
    database = parts.database or params.get("dbname", "")
    if not database:
        raise DsnFault(f"does not name a database: write for example {EXAMPLE}")
    settings, rest = parse_options(params.get("options", ""))
    target = _choice(params, "target_session_attrs", _TARGETS) or "any"
    if target not in ("any", "read-write", "primary"):
        raise DsnFault(f"has target_session_attrs={target}, and Relay writes: write target_session_attrs=read-write")
    notes = [f"sets {name} in `options`, which Relay sets itself: leave it out" for name in settings if name in _OURS]
    tls = _tls(params)
    if params.get("sslrootcert") and _choice(params, "sslmode", _MODES) in WEAK:
        notes.append(
            f"has sslmode={tls.mode}, with which sslrootcert does not verify the server: write sslmode=verify-full"
        )
    return Dsn(
        hosts=hosts,
        database=database,
        user=params.get("user") or parts.user or None,
        password=parts.password,
        passfile=params.get("passfile") or None,
        name=params.get("application_name") or params.get("fallback_application_name") or "relay",
        timeout=_timeout(params),
        settings={name: value for name, value in settings.items() if name not in _OURS},
        options=rest,
        writable=len(hosts) > 1 or target != "any",
        shuffle=_choice(params, "load_balance_hosts", ("disable", "random")) == "random",
        tls=tls,
        keepalive=_keepalive(params),
        notes=tuple(notes),
    )


def _hosts(parts: Parts, params: Mapping[str, str]) -> tuple[Host, ...]:
    """The hosts of the URL or of its query, each with its port. A single port applies to all hosts."""
    names = params["host"].split(",") if params.get("host") else list(parts.hosts)
    if params.get("host") and any(parts.hosts):
        raise DsnFault("names hosts before the database and in its query: keep one of them")
    ports = params["port"].split(",") if params.get("port") else list(parts.ports)
    if len(ports) == 1 or not any(ports):
        ports = (ports or [""])[:1] * max(1, len(names))
    if not names or not all(names):
        problem = "does not name a host" if not any(names) else "has an empty host in its list of hosts"
        raise DsnFault(f"{problem}: write {EXAMPLE}, or ?host=/run/postgresql for the socket of this machine")
    if len(ports) != len(names):
        raise DsnFault(f"has {len(names)} hosts and {len(ports)} ports: write one port, or one for each host")
    return tuple(
        Host(_name(name), _number(port, "port", 1, 65_535) or _PORT) for name, port in zip(names, ports, strict=True)
    )


def _name(name: str) -> str:
    if name.startswith("@"):
        raise DsnFault(
            "has an abstract socket as its host (@...): write the folder of a socket, for example /run/postgresql"
        )
    if "/" in name and not name.startswith("/"):
        raise DsnFault(
            "has a socket's folder that does not begin with /: write the full path, for example /run/postgresql"
        )
    return name.rstrip("/") or name


def _tls(params: Mapping[str, str]) -> Tls:
    mode = _choice(params, "sslmode", _MODES)
    if mode is None and params.get("ssl"):
        mode = "require" if _choice(params, "ssl", ("true", "false")) == "true" else None
    root = params.get("sslrootcert") or None
    if root == SYSTEM and mode not in (None, "verify-full"):
        raise DsnFault(
            f"has sslrootcert=system, which needs sslmode=verify-full, not {mode}: write sslmode=verify-full"
        )
    return Tls(
        mode=mode or "prefer",
        root=root,
        cert=params.get("sslcert") or None,
        key=params.get("sslkey") or None,
        crl=params.get("sslcrl") or None,
        least=_version(params, "ssl_min_protocol_version") or "TLSv1.2",
        most=_version(params, "ssl_max_protocol_version"),
        direct=_choice(params, "sslnegotiation", ("postgres", "direct")) == "direct",
        bound=_choice(params, "channel_binding", ("disable", "prefer", "require")) == "require",
    )


def _version(params: Mapping[str, str], name: str) -> str | None:
    value = params.get(name)
    if not value:
        return None
    if value.lower() not in _VERSIONS:
        raise DsnFault(f"has a TLS version as {name} that Relay does not support: write TLSv1.2 or TLSv1.3")
    return _VERSIONS[value.lower()]


def _keepalive(params: Mapping[str, str]) -> Keepalive:
    return Keepalive(
        on=params.get("keepalives", "1") != "0",
        idle=_seconds(params, "keepalives_idle"),
        interval=_seconds(params, "keepalives_interval"),
        count=_seconds(params, "keepalives_count"),
        patience=_seconds(params, "tcp_user_timeout"),
    )


def _seconds(params: Mapping[str, str], name: str) -> int:
    return _number(params.get(name, ""), name, 0, 2_147_483_647)


def _timeout(params: Mapping[str, str]) -> float | None:
    if "connect_timeout" not in params:
        return None
    seconds = _number(params["connect_timeout"], "connect_timeout", 0, 86_400)
    if seconds == 0:
        raise DsnFault("has connect_timeout=0, which never times out: write seconds, for example connect_timeout=10")
    return float(seconds)


def _number(text: str, name: str, least: int, most: int) -> int:
    """The number in a text, 0 for an empty text."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) < 11 and least <= int(text) <= most):
        raise DsnFault(f"has a {name} that is not a whole number from {least} to {most}: correct it")
    return int(text)


def _choice(params: Mapping[str, str], name: str, words: tuple[str, ...]) -> str | None:
    """The value of a parameter, in any case, because some providers write sslmode=REQUIRE."""
    value = params.get(name)
    if not value:
        return None
    word = value.lower().replace("_", "-")
    if word not in words:
        raise DsnFault(f"has an unknown value for {name}: write {', '.join(words[:-1])} or {words[-1]}")
    return word


def _check_fixed(params: Mapping[str, str]) -> None:
    """Refuse other values of parameters for which Relay supports only certain values."""
    for name, allowed, advice in _FIXED:
        value = params.get(name)
        if value and not allowed(value.lower()):
            raise DsnFault(f"has a value for `{name}` that Relay does not support: {advice}")


_FIXED: Final[tuple[tuple[str, Callable[[str], bool], str], ...]] = (
    ("client_encoding", {"utf8", "utf-8", "unicode", "auto"}.__contains__, "leave it out, Relay speaks UTF-8"),
    ("gssencmode", {"disable", "prefer"}.__contains__, "write gssencmode=disable, and sslmode=verify-full for TLS"),
    ("sslcompression", {"0"}.__contains__, "leave it out, compression makes TLS unsafe"),
    ("sslsni", {"1"}.__contains__, "leave it out, the server's name is sent"),
    ("sslcertmode", {"allow"}.__contains__, "leave it out, a certificate is sent when the server requests it"),
    ("keepalives", {"0", "1"}.__contains__, "write keepalives=1 or keepalives=0"),
)
