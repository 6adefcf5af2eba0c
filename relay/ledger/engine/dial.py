"""Connections to PostgreSQL: the host that takes writes, straight to a server or through a pooler.

A pooler by transaction (PgBouncer, and those of managed PostgreSQL) gives every transaction another server connection.
There nothing may outlive a transaction: no setting, no prepared statement, no advisory lock. It is told from a server
surely, and not by what it lets pass: at the start of a connection a server gives the id of its process, and a pooler
makes one up. So a connection is straight when `pg_backend_pid()` is the id that we were given, and our settings hold.
That look is the one round trip that a straight connection costs, once; behind a pooler the settings go with the BEGIN.
"""

import getpass
import os
import random
import socket
from collections.abc import Mapping
from typing import Any, Final

import asyncpg

from relay.dsn import Dsn, Host, Keepalive
from relay.errors import Unavailable
from relay.ledger.engine import tls
from relay.ledger.engine.faults import Unusable

CONNECT_FOR: Final = 5.0
_ANSWER_FOR: Final = 30.0
_OURS: Final = {
    "synchronous_commit": "on",
    "lock_timeout": "10s",
    "statement_timeout": "25s",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",
}
_STRAIGHT: Final = {"timezone": "UTC", **_OURS}
_SINCE: Final = {"idle_session_timeout": 14, "transaction_timeout": 17}
"""Time-outs that a role or a server may have, and since which version; a start with one that is not known fails."""
_TAKES_WRITES: Final = "SELECT 1 WHERE NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'"


class StraightConnection(asyncpg.Connection):  # type: ignore[misc]  # it has no types
    """A straight connection."""

    def keep_alive(self, keepalive: Keepalive) -> None:
        """Have the system ask whether the other side is still there; libpq does so unless it is told otherwise."""
        with socket.socket(fileno=os.dup(self._transport.get_extra_info("socket").fileno())) as shared:
            if shared.family == socket.AF_UNIX:
                return
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(keepalive.on))
            for option, value in (
                ("TCP_KEEPIDLE", keepalive.idle),
                ("TCP_KEEPINTVL", keepalive.interval),
                ("TCP_KEEPCNT", keepalive.count),
                ("TCP_USER_TIMEOUT", keepalive.patience),
            ):
                if value and hasattr(socket, option):
                    shared.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class Pooled(StraightConnection):
    """A connection through a pooler: nothing that it does is seen by another transaction.

    Statements have no name, so that no two replicas can ask for the same one; each is sent again with its values,
    which costs no round trip. Settings go with the BEGIN that they are for, and end with its transaction.
    """

    settings: Mapping[str, str] = {}

    async def prepare(self, query: str, *, name: str | None = None, **rest: Any) -> Any:  # noqa: ARG002 - never named
        return await super().prepare(query, name="", **rest)

    async def execute(self, query: str, *args: Any, **rest: Any) -> Any:
        if not query.startswith("BEGIN"):
            return await super().execute(query, *args, **rest)
        try:
            return await super().execute(f"{query} {_set(self.settings, local=True)}", *args, **rest)
        except BaseException:
            self.terminate()  # begun, perhaps, and not as it should be: nobody may go on with it
            raise


class Dialer:
    """Makes connections to the hosts of a connection string. `pooled` is what it has learned of them."""

    def __init__(self, dsn: Dsn) -> None:
        """Raises Unusable for files of TLS that cannot be used."""
        self.dsn = dsn
        self.pooled = False
        self._ssl = tls.secure(dsn)
        if dsn.user is None:
            _check_user()

    async def __call__(self) -> StraightConnection:
        """A connection, to a host that takes writes where there are several.

        Raises what the driver raises, Unavailable when none of several hosts takes writes.
        """
        hosts = list(self.dsn.hosts)
        if self.dsn.shuffle:
            random.shuffle(hosts)
        refusals: list[str] = []
        for host in hosts:
            try:
                conn = await self._reach(host)
            except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError) as error:
                if len(hosts) == 1:
                    raise
                refusals.append(f"{host}: {error or type(error).__name__}")
                continue
            if conn is not None:
                return conn
            refusals.append(f"{host}: takes no writes")
        raise Unavailable(f"no host of the ledger's takes writes now ({'; '.join(refusals)})")

    async def _reach(self, host: Host) -> StraightConnection | None:
        conn = await self._connect(host)
        try:
            conn.keep_alive(self.dsn.keepalive)
            if not self.dsn.writable or await conn.execute(_TAKES_WRITES) == "SELECT 1":
                return conn
        except BaseException:
            conn.terminate()
            raise
        conn.terminate()
        return None

    async def _connect(self, host: Host) -> StraightConnection:
        conn: StraightConnection
        if not self.pooled:
            try:
                conn = await self._open(
                    host, StraightConnection, {"application_name": self.dsn.name, **self.dsn.settings, **_STRAIGHT}
                )
            except asyncpg.ProtocolViolationError as error:
                if "startup parameter" not in str(error):
                    raise
            else:
                if await _is_straight(conn):
                    return conn
            self.pooled = True
        # What every pooler keeps apart by itself; all else it may refuse, or leave to whoever comes next.
        pooled: Pooled = await self._open(host, Pooled, {"application_name": self.dsn.name}, statement_cache_size=0)
        pooled.settings = {**self.dsn.settings, **_OURS, **_without(pooled, ("transaction_timeout",))}
        return pooled

    async def _open(self, host: Host, kind: type[StraightConnection], settings: Mapping[str, str], **rest: Any) -> Any:
        dsn = self.dsn
        return await asyncpg.connect(
            host=host.name,
            port=host.port,
            user=dsn.user,
            password=None if dsn.password is None else dsn.password.reveal(),
            passfile=dsn.passfile,
            database=dsn.database,
            ssl=False if host.local else self._ssl,
            direct_tls=dsn.tls.direct and not host.local,
            target_session_attrs="any",
            timeout=dsn.timeout or CONNECT_FOR,
            command_timeout=_ANSWER_FOR,
            server_settings={**settings, **({"options": dsn.options} if dsn.options else {})},
            connection_class=kind,
            **rest,
        )


def _check_user() -> None:
    """Without a user the driver takes PGUSER's, or the name of this process's. Raises Unusable for neither."""
    try:
        os.environ.get("PGUSER") or getpass.getuser()
    except (KeyError, OSError):
        raise Unusable("ledger.url names no user: write postgresql://user@host:5432/relay") from None


async def _is_straight(conn: StraightConnection) -> bool:
    """Whether it leads to a server; ends it if not.

    By the simple protocol, in one statement: through a pooler two messages may come to two servers.
    """
    try:
        sets = _set(_without(conn, tuple(_SINCE)), local=False) or "SELECT 1"
        straight = await conn.execute(
            f"{sets} WHERE pg_backend_pid() = {int(conn.get_server_pid())}"
            f" AND current_setting('lock_timeout') = '{_OURS['lock_timeout']}'"
            f" AND current_setting('synchronous_commit') = '{_OURS['synchronous_commit']}'"
        )
    except BaseException:
        conn.terminate()
        raise
    if straight != "SELECT 1":
        conn.terminate()
    return bool(straight == "SELECT 1")


def _without(conn: StraightConnection, names: tuple[str, ...]) -> dict[str, str]:
    """Those of the time-outs that this server knows, switched off."""
    return {name: "0" for name in names if conn.get_server_version().major >= _SINCE[name]}


def _set(settings: Mapping[str, str], *, local: bool) -> str:
    """A SELECT that puts settings in force, for this transaction or for the session; empty for none."""
    calls = [
        f"set_config({_literal(name)}, {_literal(value)}, {str(local).lower()})" for name, value in settings.items()
    ]
    return f"SELECT {', '.join(calls)}" if calls else ""


def _literal(text: str) -> str:
    quoted = "'" + text.replace("'", "''") + "'"
    return f"E{quoted.replace(chr(92), chr(92) * 2)}" if chr(92) in quoted else quoted
