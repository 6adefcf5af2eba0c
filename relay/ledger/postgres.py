"""PostgreSQL: a small pool of connections, a transaction per batch, times by the server's clock."""

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from relay.dsn import Dsn, DsnFault, parse
from relay.errors import Unavailable
from relay.ledger.commit import Work
from relay.ledger.dial import CONNECT_FOR, Dialer
from relay.ledger.faults import Unusable, away, is_again, is_away, is_read_only
from relay.ledger.mend import mend
from relay.ledger.vault import OPEN, Vault
from relay.secret import Secret

T = TypeVar("T")
Clock = Callable[[Connection], int]

_TRIES: Final = 5
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


def connect(url: str, *, size: int = 6, vault: Vault = OPEN, **access: Any) -> AsyncEngine:
    """An engine for what `locate` finds; it connects when it is first used. Raises Unusable."""
    return make_engine(locate(url, **access), size=size, vault=vault)


def make_engine(dsn: Dsn, *, size: int = 6, vault: Vault = OPEN) -> AsyncEngine:
    """An engine; it connects when it is first used. Raises Unusable for files that cannot be used."""
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=Dialer(dsn),
        pool_size=size,
        max_overflow=2,
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

    def __init__(self, engine: AsyncEngine, *, clock: Clock = server_clock) -> None:
        self._engine = engine
        self._clock = clock

    async def write(self, work: Work[T]) -> T:
        moved = False
        for _ in range(_TRIES):
            try:
                return await self._transact(work)
            except Exception as error:
                if is_again(error):
                    continue
                if is_read_only(error) and not moved:  # another host, or the same name, may lead to the primary now
                    moved = True
                    continue
                if is_away(error):
                    raise away(error) from None
                raise
        raise Unavailable(f"the ledger's database gave up the same transaction {_TRIES} times: is it overloaded?")

    async def read(self, work: Work[T]) -> T:
        return await self.write(work)

    async def aclose(self) -> None:
        await self._engine.dispose()

    async def _transact(self, work: Work[T]) -> T:
        async with self._engine.begin() as conn:
            return await conn.run_sync(lambda sync: work(sync, self._clock(sync)))


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
