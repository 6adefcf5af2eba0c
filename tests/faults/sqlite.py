"""The embedded ledger's file: moved, full, locked, copied in the middle of a commit."""

import asyncio
import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.faults.disk import can_mount, failing_writes, small_disk, write_until_full
from tests.faults.row import Row
from tests.faults.stream import is_message
from tests.faults.world import World
from tests.services.process import find_port


def _data(world: World) -> Path:
    return world.replicas[0].folder / "data"


async def move(world: World) -> None:
    """The folder is renamed and put back: nothing is accepted meanwhile, and `/readyz` says so."""
    [relay], data = world.replicas, _data(world)
    away = data.with_name("elsewhere")
    for _ in world.turns(2):
        await world.pass_time(1)
        data.rename(away)
        world.faults += 1
        await _refuses(world)
        await world.until(lambda: _not_ready(world), "/readyz is 503 while the ledger's folder is away", within=15)
        away.rename(data)
        await world.recover()
    await world.pass_time(0.5)
    data.rename(away)  # and a restart: what was accepted is in the folder that is put back
    world.faults += 1
    await _refuses(world)
    relay.kill()
    away.rename(data)
    await world.start(relay)
    await world.recover()


async def cut_power(world: World) -> None:
    """A copy of the files at any moment, the write-ahead log included, opens and has all that was accepted by then."""
    [relay] = world.replicas
    for turn in world.turns(10):
        await world.pass_time(world.chance.uniform(0.1, 0.8))
        accepted = {f"msg_{number}" for number in world.stream.accepted if not is_message(number)}
        world.send(relay, signal.SIGSTOP)  # a copy takes time, a cut of the power takes none
        copy = world.folder / f"copy-{turn}"
        try:
            await asyncio.to_thread(shutil.copytree, _data(world), copy)
        finally:
            world.send(relay, signal.SIGCONT)
        world.faults += 1
        whole, kept = await asyncio.to_thread(_read, copy / "relay.db")
        if whole != "ok":
            world.wrong.append(f"{copy}: {whole}")
        if missing := accepted - kept:
            world.wrong.append(f"{copy} has {len(missing)} accepted events less: {', '.join(sorted(missing)[:5])}")
        shutil.rmtree(copy)
    await world.recover()


async def lock(world: World) -> None:
    """Another program holds the file locked for longer than the relay waits."""
    path = _data(world) / "relay.db"
    world.faults += 1
    with _locked(path):
        await world.pass_time(7)
    await world.recover()


async def fill(world: World) -> None:
    """The disk is full, and has room again."""
    data = _data(world)
    for _ in world.turns(2):
        await world.pass_time(1)
        world.faults += 1
        ballast = data / "ballast"
        await asyncio.to_thread(write_until_full, ballast)
        await world.until(lambda: world.stream.answers[503] > 0, "503 while the disk is full")
        await world.pass_time(2)
        ballast.unlink()
        await world.recover()


async def fail(world: World) -> None:
    """The disk takes no write, not the log's either, and takes them again."""
    [relay] = world.replicas
    for _ in world.turns(2):
        await world.pass_time(1)
        world.stream.forget_waits()
        world.faults += 1
        with failing_writes(relay.pid):
            await world.until(lambda: 503 in world.stream.slowest, "503 while the disk fails")
            await world.pass_time(3)
        await world.recover()


async def start_second(world: World) -> None:
    """A second relay on the same file ends at once, and the first goes on."""
    [relay] = world.replicas
    config = relay.folder / "second.yaml"
    text = relay.config.read_text()
    for port in relay.ports.values():
        text = text.replace(f":{port}", f":{find_port()}")
    config.write_text(text)
    command = [sys.executable, "-m", "relay", "serve", "--config", str(config)]
    for _ in world.turns(2):
        world.faults += 1
        done = await asyncio.to_thread(
            subprocess.run, command, check=False, capture_output=True, text=True, timeout=120
        )
        if done.returncode == 0 or "in use by another relay" not in done.stdout + done.stderr:
            world.wrong.append(f"a second relay ended with {done.returncode}: {(done.stdout + done.stderr)[-300:]}")
    await world.recover()


async def _refuses(world: World) -> None:
    """While the folder is away nothing is answered 2xx."""
    await world.pass_time(0.2)  # what was under way has had its answer
    before = world.stream.answers[202] + world.stream.answers[200]
    await world.pass_time(2)
    after = world.stream.answers[202] + world.stream.answers[200]
    if after > before:
        world.wrong.append(f"{after - before} events were accepted into a file that is no longer at its path")


async def _not_ready(world: World) -> bool:
    return await world.ready(world.replicas[0]) == 503


def _read(path: Path) -> tuple[str, set[str]]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        [whole] = database.execute("PRAGMA integrity_check").fetchone()
        return whole, {name for (name,) in database.execute("SELECT external_id FROM events")}


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as shell:
        shell.execute("BEGIN IMMEDIATE")
        yield
        shell.execute("ROLLBACK")


ROWS = (
    Row("file-moved", "the folder renamed while in use", move, ledgers=("sqlite",)),
    Row("power-cut", "copies of the files at any moment", cut_power, ledgers=("sqlite",)),
    Row("file-locked", "another program holds the file locked", lock, ledgers=("sqlite",)),
    Row("disk-full", "no room on the disk, and room again", fill, ledgers=("sqlite",), disk=small_disk, able=can_mount),
    Row("disk-fails", "a disk that takes no write, and takes them again", fail, ledgers=("sqlite",)),
    Row("second-relay", "a second relay on the same file", start_second, ledgers=("sqlite",)),
)
