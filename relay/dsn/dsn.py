"""Where a PostgreSQL is, and how it is to be spoken to."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from relay.dsn.fault import DsnFault
from relay.secret import Secret

WEAK: Final = ("disable", "allow", "prefer")
"""The modes in which a connection may end up without TLS."""
SYSTEM: Final = "system"
"""As `root`: the authorities that the system trusts."""


@dataclass(frozen=True, slots=True)
class Host:
    """One server: a name or an address and a port, or the folder of a socket."""

    name: str
    port: int

    @property
    def local(self) -> bool:
        """Whether it is a socket of this machine."""
        return self.name.startswith("/")

    def __str__(self) -> str:
        if self.local:
            return f"{self.name}/.s.PGSQL.{self.port}"
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


@dataclass(frozen=True, slots=True)
class Tls:
    """`mode` as libpq's sslmode; `root`, `cert`, `key`, `crl` are files in PEM, `root` also `SYSTEM`.

    `direct` begins with TLS instead of asking for it (PostgreSQL 17 and later). `least` and `most` are versions.
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
    """Whether channel_binding=require was asked for, which verify-full stands in for."""


@dataclass(frozen=True, slots=True)
class Keepalive:
    """TCP's keep-alives in seconds, and how long what was sent may stay unacknowledged in milliseconds; 0: default."""

    on: bool = True
    idle: int = 0
    interval: int = 0
    count: int = 0
    patience: int = 0


@dataclass(frozen=True, slots=True)
class Dsn:
    """A connection string. `settings` are the server's (from `options` and `schema`), `options` what else stood there.

    With several hosts, or `writable`, only one that takes writes will do. `shuffle` tries them in any order.
    `notes` are warnings: what was written, and means nothing.
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
        """For people: without password and parameters."""
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
        """With what the other keys of `ledger` say, and everything seen together. Raises DsnFault with its key."""
        tls = _merge(self.tls, ca_file, cert_file, key_file)
        if tls.direct and tls.mode in WEAK:
            raise DsnFault("has sslnegotiation=direct, which wants TLS for sure: write sslmode=verify-full too")
        if tls.bound and tls.mode != "verify-full":
            raise DsnFault(
                "has channel_binding=require, which Relay cannot do: write sslmode=verify-full, which keeps out who "
                "stands in between as well, or leave channel_binding out"
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
    for key, given, other in (
        ("ca_file", ca_file, "sslrootcert" if tls.root else ""),
        ("cert_file", cert_file, "sslcert" if tls.cert else ""),
        ("key_file", key_file, "sslkey" if tls.key else ""),
    ):
        if given is not None and other:
            raise DsnFault(f"is given, and ledger.url has {other} too: keep one of them", key=key)
    mode = tls.mode
    if ca_file is not None:
        if mode in ("disable", "allow"):
            raise DsnFault(
                f"wants a server that proves its name, and ledger.url has sslmode={mode}: leave that out", key="ca_file"
            )
        mode = "verify-ca" if mode == "verify-ca" else "verify-full"
    made = replace(tls, mode=mode, root=ca_file or tls.root, cert=cert_file or tls.cert, key=key_file or tls.key)
    return _strengthen(made, cert_file, key_file)


def _strengthen(tls: Tls, cert_file: str | None, key_file: str | None) -> Tls:
    """Whoever names authorities or a certificate means TLS: more than libpq asks for, and never less."""
    if tls.key is not None and tls.cert is None:
        if key_file:
            raise DsnFault("needs ledger.cert_file as well (the same file, if it holds both)", key="key_file")
        raise DsnFault("has sslkey without sslcert: give both")
    if tls.cert is not None and tls.key is None:
        if cert_file:
            raise DsnFault("needs ledger.key_file as well (the same file, if it holds both)", key="cert_file")
        raise DsnFault("has sslcert without sslkey: give both")
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
    """Raises DsnFault for what cannot be, or must not be, a schema's name."""
    if len(name.encode()) > 63 or '"' in name or not name.isprintable() or "," in name:
        raise DsnFault("is not a schema's name: use at most 63 letters, digits and underscores", key="schema")
    if name.lower().startswith("pg_") or name.lower() == "information_schema":
        raise DsnFault("is a schema of PostgreSQL's own: choose another name", key="schema")


def quote(name: str) -> str:
    """A name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'
