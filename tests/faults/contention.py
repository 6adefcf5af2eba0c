"""A second client of the ledger's database, in whose way transactions fail and have to run again."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

QUICK, PATIENT = "300ms", "1s"
"""`deadlock_timeout` of the others and of this client: after it one looks whether it waits for itself, and is ended
then. The others look first, where they have begun to wait shortly before."""
_KEYS = "SELECT hash FROM rule_keys ORDER BY random()"
_KEY = "SELECT 1 FROM rule_keys WHERE hash = $1 FOR UPDATE"
_WORK = "SELECT dispatch_id FROM work ORDER BY random() LIMIT 20"
_DISPATCH = "SELECT 1 FROM work WHERE dispatch_id = $1 FOR UPDATE"
_HOLD = 0.1
"""Seconds in which the others come to wait for the first half of the rows, before the second half is asked for."""
_SHARE = 0.03
"""Of the rows of `work` that are written, those that fail so."""
_REFUSE = f"""
CREATE SEQUENCE refused;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF random() < {_SHARE} THEN
        PERFORM nextval('refused');
        RAISE EXCEPTION 'could not serialize access due to concurrent update' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON work FOR EACH ROW EXECUTE FUNCTION refuse();
"""
_ALLOW = "DROP TRIGGER refuse ON work; DROP FUNCTION refuse"
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
_REFUSED = "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM refused"


class Contender:
    """Locks rows in another order than everybody else, again and again."""

    def __init__(self, look: asyncpg.Connection, lock: asyncpg.Connection) -> None:
        self.look = look
        self._lock = lock
        self._ended = 0

    async def run(self) -> None:
        """Until it is cancelled."""
        await self._lock.execute(f"SET deadlock_timeout = '{PATIENT}'")
        while True:
            for rows, lock in ((_KEYS, _KEY), (_WORK, _DISPATCH)):
                try:
                    await self._cross(rows, lock)
                except asyncpg.DeadlockDetectedError:
                    self._ended += 1

    async def count(self) -> tuple[int, int]:
        """Deadlocks in which others were ended, and their writes that were refused, so far."""
        return await self.look.fetchval(_DEADLOCKS) - self._ended, await self.look.fetchval(_REFUSED)

    async def _cross(self, rows: str, lock: str) -> None:
        async with self._lock.transaction():
            found = [row for (row,) in await self._lock.fetch(rows)]
            half = len(found) // 2
            for row in found[:half]:
                await self._lock.execute(lock, row)
            await asyncio.sleep(_HOLD)
            for row in found[half:]:
                await self._lock.execute(lock, row)


@asynccontextmanager
async def contending(url: str) -> AsyncIterator[Contender]:
    """A contender in this database, for as long as the block lasts."""
    look, lock = await asyncpg.connect(url), await asyncpg.connect(url)
    contender = Contender(look, lock)
    task = asyncio.create_task(contender.run())
    try:
        yield contender
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        lock.terminate()
        await look.close()


@asynccontextmanager
async def refusing(look: asyncpg.Connection) -> AsyncIterator[None]:
    """Some writes fail as a serializable transaction would."""
    await look.execute(_REFUSE)
    try:
        yield
    finally:
        await look.execute(_ALLOW)
