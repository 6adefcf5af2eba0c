"""PostgreSQL: a small connection pool, one transaction per batch, times by the server's clock.

Writers, the service's readers and people each have a share of the pool, so that none uses up the others' connections.

A server may hang. Then the caller's wait ends with the time-out, and the connection is cut, because cancelling a
statement waits for the server's answer. It is then unknown whether a COMMIT that was sent took effect. This is safe,
because every write can be repeated:

- A sender that got 503 sends the event again, and the event is either a duplicate or new.
- A move that was recorded no longer matches its fence, and its chat is recognised as the one already stored.
- A claim that no replica knows of ends with its lease.
- A delivery that was not settled is published once more.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from relay.dsn import Dsn, DsnFault, parse
from relay.errors import Unavailable
from relay.ledger.engine.commit import Work
from relay.ledger.engine.dial import CONNECT_FOR, Dialer
from relay.ledger.engine.faults import (
    BROWSE_FOR,
    Unusable,
    away,
    is_again,
    is_away,
    is_outdated,
    is_read_only,
    sqlstate,
    too_long,
)
from relay.ledger.engine.mend import mend
from relay.ledger.engine.sql import asyncpg_of, send
from relay.ledger.engine.vault import OPEN, Vault
from relay.secret import Secret

T = TypeVar("T")
Clock = Callable[[Connection], int]

_TRIES: Final = 5
_WRITERS: Final = 8
_READERS: Final = 2
_PEOPLE: Final = 2
_KEPT: Final = 6
"""Connections that stay open. The pool closes the others when they are returned."""
_LONG: Final = 30.0
"""Seconds for slow work, longer than the server's own time-outs."""
_AT_LENGTH: Final = (
    "SELECT set_config('enable_seqscan', 'on', true), set_config('enable_hashjoin', 'on', true),"
    " set_config('enable_mergejoin', 'on', true)"
)
"""For slow work: let the planner choose to read whole tables, which `dial` forbids."""
_LOOK: Final = f"SET LOCAL statement_timeout = {int(BROWSE_FOR * 1_000)}"
_LATEST_LOOK: Final = BROWSE_FOR + 3.0
"""Seconds for all statements of a person's query. The server ends a single statement after `BROWSE_FOR`."""
_CANCELLED: Final = "57014"
_NOW: Final = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now"


def server_clock(conn: Connection) -> int:
    """Milliseconds since the epoch by the server's clock. It advances within a transaction, unlike `now()`."""
    [row] = send(conn, _NOW)
    return int(row["now"])


def locate(
    url: str,
    *,
    password: Secret | None = None,
    ca_file: str | None = None,
    cert_file: str | None = None,
    key_file: str | None = None,
    schema: str | None = None,
) -> Dsn:
    """The server that the settings under `ledger` describe. Raises Unusable, which names the setting that is wrong."""
    try:
        return parse(url).extend(
            password=password, ca_file=ca_file, cert_file=cert_file, key_file=key_file, schema=schema
        )
    except DsnFault as fault:
        raise Unusable(f"ledger.{fault.key}: {fault}") from None


def connect(url: str, *, vault: Vault = OPEN, **access: Any) -> AsyncEngine:
    """An engine for the server that `locate` returns. It connects at first use. Raises Unusable as `locate` does."""
    return make_engine(locate(url, **access), vault=vault)


def make_engine(dsn: Dsn, *, vault: Vault = OPEN) -> AsyncEngine:
    """An engine that connects at first use. Raises Unusable for TLS files that cannot be used."""
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
    event.listen(engine.sync_engine, "handle_error", _replace_unfit)
    return engine


def _pass_over_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """Replace a connection that the server closed while it was idle (a time-out, a restart).

    Otherwise the next event would be refused for it.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _replace_unfit(context: Any) -> None:
    """Replace all connections when the open ones cannot do their work any more.

    After a failover they lead to a server that is a standby now; after a migration their prepared statements are those
    of former tables.
    """
    error = context.sqlalchemy_exception or context.original_exception
    if is_read_only(error) or is_outdated(error):
        context.is_disconnect = True


class PostgresStore:
    """A store on a database that several replicas share.

    `timeout` is in seconds; None waits without limit.
    """

    shares = False

    def __init__(self, engine: AsyncEngine, *, clock: Clock = server_clock, timeout: float | None = None) -> None:
        self.timeout = timeout
        self._engine = engine
        self._clock = clock
        self._writers = asyncio.Semaphore(_WRITERS)
        self._readers = asyncio.Semaphore(_READERS)
        self._people = asyncio.Semaphore(_PEOPLE)
        self._idle: list[Connection] = []
        self._closed = False

    async def write(self, work: Work[T], *, slow: bool = False) -> T:
        return await self._run(_after(_AT_LENGTH, work) if slow else work, self._writers, self._patience(slow=slow))

    async def read(self, work: Work[T], *, slow: bool = False) -> T:
        return await self._run(_after(_AT_LENGTH, work) if slow else work, self._readers, self._patience(slow=slow))

    async def browse(self, work: Work[T]) -> T:
        return await self._run(_after(_LOOK, work), self._people, _LATEST_LOOK)

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
                if is_again(error) or is_outdated(error):
                    continue
                # Once only: a new connection, to another host or the same name, may lead to the primary now.
                if is_read_only(error) and not moved:
                    moved = True
                    continue
                if share is self._people and sqlstate(error) == _CANCELLED:
                    raise too_long() from None
                if is_away(error):
                    raise away(error) from None
                raise
        raise Unavailable(f"the ledger's database gave up the same transaction {_TRIES} times: is it overloaded?")

    async def compact(self) -> bool:
        """Its files are the server's: only `VACUUM FULL` of the tables' owner rewrites them."""
        return False

    async def aclose(self) -> None:
        self._closed = True
        await greenlet_spawn(self._let_go)
        await self._engine.dispose()

    async def _transact(self, work: Work[T], share: asyncio.Semaphore, until: float | None) -> T:
        async with asyncio.timeout_at(until) as waiting, share:
            # One greenlet for the whole: SQLAlchemy's AsyncConnection would take one for each of its steps, and with
            # them a tenth of the CPU time of an event.
            return await greenlet_spawn(self._perform, work, waiting, until)

    def _perform(self, work: Work[T], waiting: asyncio.Timeout, until: float | None) -> T:
        conn, cut = self._take(), None
        try:
            # From here on the connection is cut at the deadline. The time-out would cancel the task instead, and a
            # cancelled statement waits for the server.
            waiting.reschedule(None)
            if until is not None:
                cut = asyncio.get_running_loop().call_at(until, asyncpg_of(conn).terminate)
            # The driver sends BEGIN with the first statement, so that the clock is read in the transaction.
            with conn.begin():
                answer = work(conn, self._clock(conn))
        except BaseException:
            conn.close()
            self._let_go()  # the pool knows which connections an error makes unfit
            raise
        finally:
            if cut is not None:
                cut.cancel()
        self._put(conn)
        return answer

    def _take(self) -> Connection:
        """A connection that was kept, else one of the pool's."""
        while self._idle:
            conn = self._idle.pop()
            if not asyncpg_of(conn).is_closed():
                return conn
            conn.close()
        return self._engine.sync_engine.connect()

    def _put(self, conn: Connection) -> None:
        """Keep a connection. To return it to the pool and take it anew would be a fifth of a small transaction."""
        if len(self._idle) < _KEPT and not self._closed:
            self._idle.append(conn)
        else:
            conn.close()

    def _let_go(self) -> None:
        """Return all connections that are kept to the pool."""
        while self._idle:
            self._idle.pop().close()


def _after(settings: str, work: Work[T]) -> Work[T]:
    """`work` in a transaction with these settings."""

    def set_and_work(conn: Connection, now: int) -> T:
        send(conn, settings)
        return work(conn, now)

    return set_and_work


async def reach(engine: AsyncEngine, dsn: Dsn) -> None:
    """Wait until the server answers. Raises Unusable when it refuses the connection, Unavailable when it is away."""
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
