"""PostgreSQL: its connections killed, the server restarted, and hung."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.promises import check_order
from tests.faults.contention import QUICK, Contender, contending, refusing
from tests.faults.disk import can_mount, small_disk, write_until_full
from tests.faults.keys import RULE, RULES, checks
from tests.faults.row import Row
from tests.faults.world import World
from tests.services.postgres import Cluster
from tests.services.postgres_pair import run_pair

TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname LIKE 'test_%'"
)


async def terminate(world: World) -> None:
    """All backends are ended, again and again."""
    for _ in world.turns(40):
        await asyncio.to_thread(world.database.run, TERMINATE)
        world.faults += 1
        await world.pass_time(0.2)
    await world.recover()


async def restart(world: World) -> None:
    """An end that leaves no time (as `immediate`, or SIGKILL), and one that is orderly (`fast`), in turn."""
    server = world.database
    for turn in world.turns(4):
        await world.pass_time(1)
        world.faults += 1
        await asyncio.to_thread(server.stop if turn % 2 else server.kill)
        await asyncio.to_thread(server.start)
    await world.recover()


async def hang(world: World) -> None:
    """The server stands still with its connections open; senders get 503 within the ledger's time-out."""
    server = world.database
    for _ in world.turns(2):
        world.stream.forget_waits()
        world.faults += 1
        await asyncio.to_thread(server.hang)
        try:
            await world.pass_time(8)
        finally:
            await asyncio.to_thread(server.resume)
        slowest = world.stream.slowest.get(503, 0.0)
        world.notes.append(f"503 after {slowest:.1f} s at most")
        if not 0 < slowest < LATEST:
            world.wrong.append(f"the slowest 503 while PostgreSQL hung took {slowest:.1f} s, of {LATEST:g} allowed")
        await world.recover()


async def fill(world: World) -> None:
    """The server's disk is full, and has room again. One that has ended over it is started then, as a person would."""
    server = world.database
    ended = 0
    for _ in world.turns(2):
        await world.pass_time(1)
        world.stream.forget_waits()
        world.faults += 1
        ballast = server.folder.parent / "ballast"
        await asyncio.to_thread(write_until_full, ballast)
        await world.until(lambda: 503 in world.stream.slowest, "503 while PostgreSQL's disk is full")
        await world.pass_time(2)
        ballast.unlink()
        if not server.alive():
            ended += 1
            await asyncio.to_thread(server.start)
        await world.recover()
    world.notes.append(f"PostgreSQL ended over it {ended} times")


@contextmanager
def run_small() -> Iterator[Cluster]:
    """A PostgreSQL whose disk has 48 MiB beside what a new one takes."""
    with tempfile.TemporaryDirectory(prefix="relay-disk-") as folder, small_disk(Path(folder), 112):
        cluster = Cluster(parent=Path(folder), min_wal_size="32MB", max_wal_size="32MB")
        try:
            yield cluster
        finally:
            cluster.close()


async def fail_over(world: World) -> None:
    """The primary is killed and its standby, which has each commit, promoted; then what was killed is the standby."""
    for _ in world.turns(3):
        await world.pass_time(1)
        world.faults += 1
        await asyncio.to_thread(world.database.fail_over)
        await world.recover()
        await asyncio.to_thread(world.database.rejoin)
    await world.recover()


async def conflict(world: World) -> None:
    """Deadlocks, in which the relays' transactions are ended, and serialization failures; each runs again."""
    name = urlsplit(world.replicas[0].ledger).path.strip("/")
    await asyncio.to_thread(world.database.run, f"ALTER DATABASE \"{name}\" SET deadlock_timeout = '{QUICK}'")
    await asyncio.to_thread(world.database.run, TERMINATE)  # it is in force in new sessions
    async with contending(world.replicas[0].ledger) as contender, refusing(contender.look):
        for _ in world.turns(10):
            await world.pass_time(1)
        await world.until(lambda: _has_both(contender), "deadlocks and serialization failures")
        deadlocks, refused = await contender.count()
    world.faults += deadlocks + refused
    world.notes.append(f"{deadlocks} deadlocks, {refused} serialization failures")
    await world.recover()


async def _has_both(contender: Contender) -> bool:
    return all(await contender.count())


LATEST = 7.0
"""Seconds: `ledger.timeout` is 3, and the rest is for a machine that does much else."""

ROWS = (
    Row("pg-terminate", "all backends ended, 40 times", terminate, ledgers=("postgres",)),
    Row("pg-restart", "PostgreSQL killed, and restarted fast", restart, ledgers=("postgres",)),
    Row("pg-standby", "the primary killed, its standby promoted", fail_over, ledgers=("postgres",), database=run_pair),
    Row(
        "pg-conflict",
        "deadlocks and serialization failures",
        conflict,
        ledgers=("postgres",),
        options={"rules": "".join(RULE.format(name=name, key=RULES["order"]) for name in ("order", "again"))},
        check=checks("order", check_order),
    ),
    Row(
        "pg-disk-full",
        "no room on PostgreSQL's disk, and room again",
        fill,
        ledgers=("postgres",),
        database=run_small,
        able=can_mount,
    ),
    Row("pg-hang", "PostgreSQL hangs for 8 s (SIGSTOP)", hang, ledgers=("postgres",)),
)
