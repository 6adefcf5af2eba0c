"""The parameters of a PostgreSQL connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from relay.dsn.fault import DsnFault
from relay.secret import Secret

WEAK: Final = ("disable", "allow", "prefer")
"""The modes in which a connection may have no TLS."""
SYSTEM: Final = "system"
"""The value of `root` for the system's authorities."""


@dataclass(frozen=True, slots=True)
class Host:
    """A server: a name or address with a port, or the folder of a socket."""

    name: str
    port: int

    @property
    def local(self) -> bool:
        """Whether it is a socket on this machine."""
        return self.name.startswith("/")

    def __str__(self) -> str:
        if self.local:
            return f"{self.name}/.s.PGSQL.{self.port}"
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Tls:
    """The TLS parameters. `mode` is libpq's sslmode. `root`, `cert`, `key`, `crl` are PEM files; `root` may be SYSTEM.

    `direct` starts with TLS instead of negotiating it (PostgreSQL 17 and later). `least` and `most` are TLS versions.
    """

    mode: str = "prefer"
    root: str | None = None
    cert: str | None = None
    key: str | None = None
    crl: str | None = None
    least: str = "TLSv1.2"
    most: str | None = None
    direct: bool = False
    bound: bool = False
    """Whether channel_binding=require is set, for which Relay requires verify-full."""


@dataclass(frozen=True, slots=True)
class Keepalive:
    """TCP keep-alives in seconds. `patience` is the TCP user timeout in milliseconds. 0 means the system's default."""

    on: bool = True
    idle: int = 0
    interval: int = 0
    count: int = 0
    patience: int = 0


@dataclass(frozen=True, slots=True)
class Dsn:
    """A connection string. `settings` are server settings (from `options` and `schema`), `options` the other options.

    With `writable` only a host that accepts writes is used. `shuffle` tries the hosts in random order. `notes` are
    warnings of parameters that have no effect.
    """

    hosts: tuple[Host, ...]
    database: str
    user: str | None = None
    password: Secret | None = None
    passfile: str | None = None
    name: str = "relay"
    timeout: float | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    options: str = ""
    writable: bool = False
    shuffle: bool = False
    tls: Tls = field(default_factory=Tls)
    keepalive: Keepalive = field(default_factory=Keepalive)
    schema: str | None = None
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The URL for people, without password and parameters."""
        user = f"{self.user}@" if self.user else ""
        return f"postgresql://{user}{','.join(map(str, self.hosts))}/{self.database}"

    def extend(
        self,
        *,
        password: Secret | None = None,
        ca_file: str | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        schema: str | None = None,
    ) -> "Dsn":
        """Add the other keys of `ledger` and check everything together. Raises DsnFault with the wrong key."""
        tls = _merge(self.tls, ca_file, cert_file, key_file)
        if tls.direct and tls.mode in WEAK:
            raise DsnFault("has sslnegotiation=direct, which requires TLS: write sslmode=verify-full too")
        if tls.bound and tls.mode != "verify-full":
            raise DsnFault(
                "has channel_binding=require, which Relay does not support: write sslmode=verify-full, which prevents "
                "interception as well, or leave channel_binding out"
            )
        if schema is not None:
            check_schema(schema)
        return replace(
            self,
            password=password or self.password,
            tls=tls,
            schema=schema,
            settings={**self.settings, **({} if schema is None else {"search_path": quote(schema)})},
        )


def _merge(tls: Tls, ca_file: str | None, cert_file: str | None, key_file: str | None) -> Tls:
    for key, value, other in (
        ("ca_file", ca_file, "sslrootcert" if tls.root else ""),
        ("cert_file", cert_file, "sslcert" if tls.cert else ""),
        ("key_file", key_file, "sslkey" if tls.key else ""),
    ):
        if value is not None and other:
            raise DsnFault(f"is set, and ledger.url has {other} too: keep one of them", key=key)
    mode = tls.mode
    if ca_file is not None:
        if mode in ("disable", "allow"):
            raise DsnFault(f"verifies the server, but ledger.url has sslmode={mode}: leave that out", key="ca_file")
        mode = "verify-ca" if mode == "verify-ca" else "verify-full"
    merged = replace(tls, mode=mode, root=ca_file or tls.root, cert=cert_file or tls.cert, key=key_file or tls.key)
    return _strengthen(merged, cert_file, key_file)


def _strengthen(tls: Tls, cert_file: str | None, key_file: str | None) -> Tls:
    """Require TLS when authorities or a certificate are set. It is stricter than libpq, and never weaker."""
    if tls.key is not None and tls.cert is None:
        if key_file:
            raise DsnFault(
                "needs ledger.cert_file as well: set it (to the same file, if it contains both)", key="key_file"
            )
        raise DsnFault("has sslkey without sslcert: set both")
    if tls.cert is not None and tls.key is None:
        if cert_file:
            raise DsnFault(
                "needs ledger.key_file as well: set it (to the same file, if it contains both)", key="cert_file"
            )
        raise DsnFault("has sslcert without sslkey: set both")
    if tls.cert is not None and tls.mode == "disable":
        raise DsnFault("has sslmode=disable, and a certificate needs TLS: leave one of them out")
    if tls.root == SYSTEM:
        return replace(tls, mode="verify-full")
    if tls.root is not None and tls.mode in ("prefer", "require"):
        return replace(tls, mode="verify-ca")
    if tls.cert is not None and tls.mode in WEAK:
        return replace(tls, mode="require")
    return tls


def check_schema(name: str) -> None:
    """Raise DsnFault when the name is not valid for a schema, or reserved."""
    if len(name.encode()) > 63 or '"' in name or not name.isprintable() or "," in name:
        raise DsnFault("is not a schema name: use at most 63 letters, digits and underscores", key="schema")
    if name.lower().startswith("pg_") or name.lower() == "information_schema":
        raise DsnFault("is a reserved schema of PostgreSQL: choose another name", key="schema")


def quote(name: str) -> str:
    """A quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
