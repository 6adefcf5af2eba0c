"""Connects to PostgreSQL: finds the host that takes writes, directly or through a pooler.

A pooler in transaction mode (PgBouncer, and those of managed PostgreSQL) may give every transaction another server
connection. Behind one, nothing may outlive a transaction: no setting, no prepared statement, no advisory lock. The test
for a pooler does not depend on what it lets pass: at the start of a connection a server sends the id of its process,
and a pooler sends an invented one. So a connection is direct ("straight" in this module) when
`pg_backend_pid()` equals the id that was sent and Relay's settings are in force. This check costs a direct connection
one round trip, once. Behind a pooler the settings are sent with each BEGIN.
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
"""Seconds to connect to one host, unless the connection string sets its own."""
_ANSWER_FOR: Final = 30.0
"""Seconds for a statement, by the client's clock."""
_OURS: Final = {
    "synchronous_commit": "on",
    "lock_timeout": "10s",
    "statement_timeout": "25s",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
"""By the last three whole tables are read by slow work only (`PostgresStore`); all else finds its rows by an index.

A plan that is made while a table is empty, as the tables of a new day are, reads that table whole, or joins with all of
its index. It is kept until the server has analyzed the table: meanwhile each claim read all events of the day.
"""
_STRAIGHT: Final = {"timezone": "UTC", **_OURS}
_SINCE: Final = {"idle_session_timeout": 14, "transaction_timeout": 17}
"""Time-outs that a role or a server may have set, with the major version that added them.

A connection that asks for a setting which the server does not have is refused.
"""
_TAKES_WRITES: Final = "SELECT 1 WHERE NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'"


class StraightConnection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection to a server without a pooler in between."""

    def keep_alive(self, keepalive: Keepalive) -> None:
        """Turn on TCP keepalive, as libpq does by default."""
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
    """A connection through a pooler. It leaves nothing behind for another transaction.

    Statements have no name, so that two replicas never use the same one. Each statement is sent again with its values,
    which costs no round trip. `settings` are sent with each BEGIN and end with its transaction.
    """

    settings: Mapping[str, str] = {}

    async def prepare(self, query: str, *, name: str | None = None, **options: Any) -> Any:  # noqa: ARG002 - never named
        return await super().prepare(query, name="", **options)

    async def execute(self, query: str, *args: Any, **options: Any) -> Any:
        if not query.startswith("BEGIN"):
            return await super().execute(query, *args, **options)
        try:
            return await super().execute(f"{query} {_set(self.settings, local=True)}", *args, **options)
        except BaseException:
            # The transaction may have begun without its settings: the connection must not be used again.
            self.terminate()
            raise


class Dialer:
    """Makes connections to the hosts of a connection string. `pooled` is true once a pooler was found there."""

    def __init__(self, dsn: Dsn) -> None:
        """Raises Unusable for TLS files that cannot be used."""
        self.dsn = dsn
        self.pooled = False
        self._ssl = tls.secure(dsn)
        if dsn.user is None:
            _check_user()

    async def __call__(self) -> StraightConnection:
        """Connect to the first host that answers and, if `dsn.writable`, takes writes.

        Raises the driver's error, Unavailable when none of several hosts can be used.
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
        """A connection to this host; None when it takes no writes but must."""
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
        # The startup packet holds only application_name, which every pooler keeps per client. A pooler may refuse any
        # other parameter, or leave it in force for the next client of the server connection.
        pooled: Pooled = await self._open(host, Pooled, {"application_name": self.dsn.name}, statement_cache_size=0)
        pooled.settings = {**self.dsn.settings, **_OURS, **_without(pooled, ("transaction_timeout",))}
        return pooled

    async def _open(
        self, host: Host, kind: type[StraightConnection], settings: Mapping[str, str], **options: Any
    ) -> Any:
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
            **options,
        )


def _check_user() -> None:
    """Check that the driver finds a user: in PGUSER, or as this process's user. Raises Unusable without either."""
    try:
        os.environ.get("PGUSER") or getpass.getuser()
    except (KeyError, OSError):
        raise Unusable("ledger.url names no user: write postgresql://user@host:5432/relay") from None


async def _is_straight(conn: StraightConnection) -> bool:
    """Whether the connection leads to a server. A connection to a pooler is terminated.

    Settings and check are one statement of the simple query protocol: a pooler may send two messages to two servers.
    """
    try:
        select = _set(_without(conn, tuple(_SINCE)), local=False) or "SELECT 1"
        status = await conn.execute(
            f"{select} WHERE pg_backend_pid() = {int(conn.get_server_pid())}"
            f" AND current_setting('lock_timeout') = '{_OURS['lock_timeout']}'"
            f" AND current_setting('synchronous_commit') = '{_OURS['synchronous_commit']}'"
        )
    except BaseException:
        conn.terminate()
        raise
    straight = bool(status == "SELECT 1")  # the command tag: one row, so the conditions hold
    if not straight:
        conn.terminate()
    return straight


def _without(conn: StraightConnection, names: tuple[str, ...]) -> dict[str, str]:
    """Settings that switch off those of the named time-outs which this server has."""
    return {name: "0" for name in names if conn.get_server_version().major >= _SINCE[name]}


def _set(settings: Mapping[str, str], *, local: bool) -> str:
    """A SELECT that applies settings, for this transaction (`local`) or for the session. Empty without settings."""
    calls = [
        f"set_config({_literal(name)}, {_literal(value)}, {str(local).lower()})" for name, value in settings.items()
    ]
    return f"SELECT {', '.join(calls)}" if calls else ""


def _literal(text: str) -> str:
    quoted = "'" + text.replace("'", "''") + "'"
    return f"E{quoted.replace(chr(92), chr(92) * 2)}" if chr(92) in quoted else quoted
