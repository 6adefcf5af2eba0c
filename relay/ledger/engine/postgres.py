"""PostgreSQL: a small pool of connections, a transaction per batch, times by the server's clock.

Writers, readers of the service and people each have a share of the pool, so that none takes the others' connections.

A server may hang instead of being away. Then the caller's wait ends with the time-out, and the connection is cut: a
statement that is only cancelled would wait for the server to say so. Whether a COMMIT that was sent happened is not
known then, and need not be: whatever is written is safe to write again. A sender that was told 503 sends the event
again, and it is known or new; a move that was recorded no longer fits its fence, and its chat is found to be the one
that is kept; a claim that nobody has ends with its lease, and a delivery that nobody settled is published once more.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from relay.dsn import Dsn, DsnFault, parse
from relay.errors import Unavailable
from relay.ledger.engine.commit import Work
from relay.ledger.engine.dial import CONNECT_FOR, Dialer
from relay.ledger.engine.faults import BROWSE_FOR, Unusable, away, is_again, is_away, is_read_only, sqlstate, too_long
from relay.ledger.engine.mend import mend
from relay.ledger.engine.vault import OPEN, Vault
from relay.secret import Secret

T = TypeVar("T")
Clock = Callable[[Connection], int]

_TRIES: Final = 5
_WRITERS: Final = 8
_READERS: Final = 2
_PEOPLE: Final = 2
_KEPT: Final = 6
"""Connections that stay open; the others are closed when they are not needed any more."""
_LONG: Final = 30.0
"""Seconds for what is slow: the server's own time-outs come first."""
_LOOK: Final = f"SET LOCAL statement_timeout = {int(BROWSE_FOR * 1_000)}"
_LATEST_LOOK: Final = BROWSE_FOR + 3.0
"""Seconds for all statements of a look; the server ends a single one earlier."""
_CANCELLED: Final = "57014"
_NOW: Final = text("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint")


def server_clock(conn: Connection) -> int:
    """Milliseconds since the epoch by the server's clock, which moves on within a transaction."""
    return int(conn.execute(_NOW).scalar_one())


def locate(
    url: str,
    *,
    password: Secret | None = None,
    ca_file: str | None = None,
    cert_file: str | None = None,
    key_file: str | None = None,
    schema: str | None = None,
) -> Dsn:
    """The server that the keys of `ledger` name together. Raises Unusable with the key that is wrong."""
    try:
        return parse(url).extend(
            password=password, ca_file=ca_file, cert_file=cert_file, key_file=key_file, schema=schema
        )
    except DsnFault as fault:
        raise Unusable(f"ledger.{fault.key}: {fault}") from None


def connect(url: str, *, vault: Vault = OPEN, **access: Any) -> AsyncEngine:
    """An engine for what `locate` finds; it connects when it is first used. Raises Unusable."""
    return make_engine(locate(url, **access), vault=vault)


def make_engine(dsn: Dsn, *, vault: Vault = OPEN) -> AsyncEngine:
    """An engine; it connects when it is first used. Raises Unusable for files that cannot be used."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=Dialer(dsn),
        pool_size=_KEPT,
        max_overflow=_WRITERS + _READERS + _PEOPLE - _KEPT,
        pool_timeout=10,
        hide_parameters=True,
        execution_options={"vault": vault},
    )
    event.listen(engine.sync_engine.pool, "checkout", _pass_over_closed)
    event.listen(engine.sync_engine, "handle_error", _leave_read_only)
    return engine


def _pass_over_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """What the server closed while nobody used it (an idle time-out, a restart) is no reason to refuse an event."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _leave_read_only(context: Any) -> None:
    """After a failover the connections that are open lead to what is a standby now: all are made anew."""
    if is_read_only(context.sqlalchemy_exception or context.original_exception):
        context.is_disconnect = True


class PostgresStore:
    """A store on a database that other replicas use, too."""

    shares = False

    def __init__(self, engine: AsyncEngine, *, clock: Clock = server_clock, timeout: float | None = None) -> None:
        self.timeout = timeout
        self._engine = engine
        self._clock = clock
        self._writers = asyncio.Semaphore(_WRITERS)
        self._readers = asyncio.Semaphore(_READERS)
        self._people = asyncio.Semaphore(_PEOPLE)

    async def write(self, work: Work[T], *, slow: bool = False) -> T:
        return await self._run(work, self._writers, self._patience(slow=slow))

    async def read(self, work: Work[T], *, slow: bool = False) -> T:
        return await self._run(work, self._readers, self._patience(slow=slow))

    async def browse(self, work: Work[T]) -> T:
        return await self._run(_timed(work), self._people, _LATEST_LOOK)

    def _patience(self, *, slow: bool) -> float | None:
        return _LONG if slow and self.timeout is not None else self.timeout

    async def _run(self, work: Work[T], share: asyncio.Semaphore, patience: float | None) -> T:
        loop = asyncio.get_running_loop()
        until = None if patience is None else loop.time() + patience
        moved = False
        for _ in range(_TRIES):
            try:
                return await self._transact(work, share, until)
            except Exception as error:
                if until is not None and loop.time() >= until and is_away(error):
                    raise Unavailable(f"the ledger's database did not answer within {patience:g} s") from None
                if is_again(error):
                    continue
                if is_read_only(error) and not moved:  # another host, or the same name, may lead to the primary now
                    moved = True
                    continue
                if share is self._people and sqlstate(error) == _CANCELLED:
                    raise too_long() from None
                if is_away(error):
                    raise away(error) from None
                raise
        raise Unavailable(f"the ledger's database gave up the same transaction {_TRIES} times: is it overloaded?")

    async def aclose(self) -> None:
        await self._engine.dispose()

    async def _transact(self, work: Work[T], share: asyncio.Semaphore, until: float | None) -> T:
        async with asyncio.timeout_at(until) as waiting, share, self._engine.connect() as conn:
            waiting.reschedule(None)  # it has its connection, which is cut from now on
            cut = None if until is None else asyncio.get_running_loop().call_at(until, _driver(conn).terminate)
            try:
                async with conn.begin():
                    return await conn.run_sync(lambda sync: work(sync, self._clock(sync)))
            finally:
                if cut is not None:
                    cut.cancel()


def _driver(conn: AsyncConnection) -> Any:
    assert conn.sync_connection is not None  # noqa: S101 - it is open
    return conn.sync_connection.connection.driver_connection


def _timed(work: Work[T]) -> Work[T]:
    def look(conn: Connection, now: int) -> T:
        conn.exec_driver_sql(_LOOK)
        return work(conn, now)

    return look


async def reach(engine: AsyncEngine, dsn: Dsn) -> None:
    """Return when the server answers. Raises Unusable when it refuses us, Unavailable when it is away."""
    patience = 2 * len(dsn.hosts) * (dsn.timeout or CONNECT_FOR)
    try:
        async with asyncio.timeout(patience), engine.connect() as conn:
            await conn.execute(text("SELECT 1"))
    except Exception as error:
        if refused := mend(error):
            raise Unusable(f"ledger {dsn}: {refused}") from None
        if is_away(error):
            raise Unavailable(f"{away(error)}, at {dsn}") from None
        raise
