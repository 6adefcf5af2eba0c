"""PostgreSQL: a small pool of connections, a transaction per batch, times by the server's clock."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from relay.errors import Unavailable
from relay.ledger.commit import Work
from relay.ledger.faults import Unusable, away, describe, is_again, is_away
from relay.ledger.vault import OPEN, Vault
from relay.secret import Secret

T = TypeVar("T")
Clock = Callable[[Connection], int]

_CONNECT_FOR: Final = 5.0
_ANSWER_FOR: Final = 30.0
_TRIES: Final = 5
_NOW: Final = text("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint")
_SETTINGS: Final = {
    "application_name": "relay",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "lock_timeout": "10s",
    "statement_timeout": "25s",
    "idle_in_transaction_session_timeout": "60s",
    "jit": "off",
}


def server_clock(conn: Connection) -> int:
    """Milliseconds since the epoch by the server's clock, which moves on within a transaction."""
    return int(conn.execute(_NOW).scalar_one())


def connect(
    url: str, *, password: Secret | None, ca_file: str | None, size: int = 6, vault: Vault = OPEN
) -> AsyncEngine:
    """An engine; it connects when it is first used. Raises Unusable for a URL or CA file that cannot be right.

    With `ca_file` the server must prove its name; `?sslmode=` in the URL chooses otherwise, as libpq has it.
    """
    parsed = make_url(url)
    query = dict(parsed.query)
    options: dict[str, Any] = {
        "timeout": _CONNECT_FOR,
        "command_timeout": _ANSWER_FOR,
        "server_settings": _SETTINGS,
    }
    sslmode = query.pop("sslmode", None)
    if ca_file is not None:
        options["ssl"] = _trust(ca_file)
    elif sslmode is not None:
        options["ssl"] = sslmode
    full: URL = parsed.set(drivername="postgresql+asyncpg", query=query)
    if password is not None:
        full = full.set(password=password.reveal())
    return create_async_engine(
        full,
        connect_args=options,
        pool_size=size,
        max_overflow=2,
        pool_timeout=10,
        hide_parameters=True,
        execution_options={"vault": vault},
    )


def _trust(ca_file: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(Path(ca_file)))
    except (OSError, ssl.SSLError) as error:
        raise Unusable(f"ledger: the CA file {ca_file} cannot be read ({error}): name a PEM file") from None


class PostgresStore:
    """A store on a database that other replicas use, too."""

    shares = False

    def __init__(self, engine: AsyncEngine, *, clock: Clock = server_clock) -> None:
        self._engine = engine
        self._clock = clock

    async def write(self, work: Work[T]) -> T:
        for _ in range(_TRIES):
            try:
                return await self._transact(work)
            except Exception as error:
                if is_again(error):
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


async def reach(engine: AsyncEngine) -> None:
    """Return when the server answers. Raises Unusable when it refuses us, Unavailable when it is away."""
    try:
        async with asyncio.timeout(2 * _CONNECT_FOR), engine.connect() as conn:
            await conn.execute(text("SELECT 1"))
    except Exception as error:
        if refused := _refusal(error):
            where = engine.url.render_as_string(hide_password=True).replace("+asyncpg", "")
            raise Unusable(f"ledger {where}: {refused}") from None
        if is_away(error):
            raise away(error) from None
        raise


def _refusal(error: Exception) -> str | None:
    """What a person must mend where waiting does not help: the server will not have us, or we do not believe it.

    Class 28 (authorization), 3D (no such database), 3F, 42501.
    """
    origin = getattr(error, "orig", None)
    state = str(getattr(origin, "sqlstate", None) or getattr(getattr(origin, "__cause__", None), "sqlstate", "") or "")
    if state[:2] in {"28", "3D", "3F"} or state == "42501":
        return f"{describe(error)}: correct ledger.url or ledger.password"
    if isinstance(error, ssl.SSLCertVerificationError):
        return describe(error)
    if "rejected SSL upgrade" in str(error):  # asyncpg has no class of its own for it
        return "the server takes no TLS: turn it on there, or leave ledger.ca_file and sslmode out"
    return None
