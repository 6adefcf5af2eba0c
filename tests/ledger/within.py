"""A ledger whose transaction is left open, so that others meet it."""

from sqlalchemy import text

_BLOCKED = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()")


class Within:
    """A store that leaves its transaction open; its clock stands still at `now`."""

    shares = False
    timeout = None

    def __init__(self, conn, now=1_800_000_000_000):
        self._conn = conn
        self._now = now

    async def write(self, work, *, slow=False):
        return await self._conn.run_sync(lambda sync: work(sync, self._now))

    read = write


async def until_blocked(ledger, waiting):
    """Returns once somebody waits for a lock; fails when the task that should has ended."""
    while not await ledger.read(lambda conn, _: conn.execute(_BLOCKED).scalar()):
        assert not waiting.done()
