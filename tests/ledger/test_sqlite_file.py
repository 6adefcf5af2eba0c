"""The embedded ledger's file: what it is on disk, and every way in which it can be wrong."""

import asyncio
import contextlib
import os
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import textwrap

import pytest
from sqlalchemy import event, text
from structlog.testing import capture_logs

from relay.errors import Unavailable
from relay.ledger import SqlLedger, Terms, Unusable, open_ledger
from relay.ledger.engine.sqlite import SqliteStore
from relay.model import EventStatus
from tests.ledger.build import created, make_entry

TERMS = Terms(owner="one")


def url(path):
    return f"sqlite:///{path}"


async def test_a_new_file_is_made_durable_and_migrated(tmp_path):
    ledger = await open_ledger(url(tmp_path / "relay.db"), TERMS)

    def look(conn, _):
        return [conn.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "synchronous")]

    assert await ledger.write(look) == ["wal", 2]
    await ledger.accept([make_entry("a")])
    await ledger.aclose()


async def test_what_was_accepted_is_there_after_a_restart(tmp_path):
    ledger = await open_ledger(url(tmp_path / "relay.db"), TERMS)
    entry = make_entry("a")
    await ledger.accept([entry])
    await ledger.aclose()
    ledger = await open_ledger(url(tmp_path / "relay.db"), TERMS)
    [receipt] = await ledger.accept([make_entry("a")])
    assert (receipt.id, receipt.status) == (entry.event.id, EventStatus.DUPLICATE)
    await ledger.aclose()


async def test_at_start_every_old_lease_is_void(tmp_path):
    ledger = await open_ledger(url(tmp_path / "relay.db"), TERMS)
    await ledger.accept([make_entry(), make_entry()])
    await ledger.lease("scanner", 60_000)
    await ledger.reserve(100_000)
    first, _ = await ledger.claim(10)
    await ledger.record(created(first))
    await ledger.due(10)
    await ledger.aclose()
    ledger = await open_ledger(url(tmp_path / "relay.db"), Terms(owner="two"))
    assert len(await ledger.due(10)) == 1
    assert await ledger.lease("scanner", 60_000)
    assert await ledger.reserve(10) == 10
    assert await ledger.claim(10) == [], "the other one was being sent: it is looked for first"
    look = text("SELECT state FROM work")
    assert await ledger.read(lambda conn, _: conn.execute(look).scalars().all()) == ["checking"]
    await ledger.aclose()


async def test_at_start_a_message_that_was_being_said_has_its_time_to_settle(tmp_path):
    """The relay before may have sent it as it died, and Cargo may still be slow to show it."""
    terms = Terms(owner="one", settle=86_400_000)
    ledger = await open_ledger(url(tmp_path / "relay.db"), terms)
    await ledger.accept([make_entry(dispatch={"message": "Hello"})])
    [claim] = await ledger.claim(1)
    await ledger.record(created(claim))
    assert len(await ledger.claim(1)) == 1
    await ledger.aclose()
    ledger = await open_ledger(url(tmp_path / "relay.db"), terms)
    assert terms.settle - 60_000 < await ledger.wake() <= terms.settle
    await ledger.aclose()


async def test_a_ledger_in_memory_works_without_a_file():
    ledger = await open_ledger("sqlite:///:memory:", TERMS)
    await ledger.accept([make_entry("a")])
    assert await ledger.known([make_entry("a")])
    assert await ledger.wake() == 0
    await ledger.aclose()


async def test_a_file_in_use_by_another_relay_is_refused_with_its_process(tmp_path):
    path = tmp_path / "relay.db"
    ledger = await open_ledger(url(path), TERMS)
    with pytest.raises(Unusable, match=rf"relay\.db is in use by another relay \(process {os.getpid()}\): stop"):
        await open_ledger(url(path), TERMS)
    await ledger.aclose()
    again = await open_ledger(url(path), TERMS)
    await again.aclose()


async def test_a_relay_that_was_killed_leaves_the_file_free(tmp_path):
    path = tmp_path / "relay.db"
    script = f"""
        import asyncio, os, signal
        from relay.ledger import Terms, open_ledger
        from tests.ledger.build import make_entry

        async def main():
            ledger = await open_ledger({url(path)!r}, Terms(owner="one"))
            await ledger.accept([make_entry("kept")])
            os.kill(os.getpid(), signal.SIGKILL)

        asyncio.run(main())
    """
    ended = run(textwrap.dedent(script))
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    ledger = await open_ledger(url(path), TERMS)
    assert await ledger.known([make_entry("kept")])
    await ledger.aclose()


async def test_a_file_that_is_not_a_database_is_left_as_it_is(tmp_path):
    path = tmp_path / "relay.db"
    path.write_bytes(b"Dear diary, " * 500)
    with pytest.raises(Unusable, match=r"relay\.db: it is not a SQLite database: name another file"):
        await open_ledger(url(path), TERMS)
    assert path.read_bytes() == b"Dear diary, " * 500


async def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(Unusable, match=r"its folder .*/nowhere does not exist: create it"):
        await open_ledger(url(tmp_path / "nowhere" / "relay.db"), TERMS)


async def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(Unusable, match="is a folder: name a file in it"):
        await open_ledger(url(tmp_path), TERMS)


@pytest.mark.parametrize("wrong", ["mysql://x/y", "sqlite://relay.db", "relay.db", "sqlite:///"])
async def test_a_url_of_no_known_kind_says_what_to_write(wrong):
    with pytest.raises(Unusable, match=r"write sqlite:///relay\.db"):
        await open_ledger(wrong, TERMS)


OPEN = """
import asyncio
from relay.ledger import Terms, Unusable, open_ledger

async def main():
    try:
        ledger = await open_ledger({url!r}, Terms(owner="one"))
    except Unusable as error:
        print(error)
    else:
        await ledger.aclose()

asyncio.run(main())
"""


def run(script, *before):
    """Run Python code in a process of its own, here; `before` stands in front of the command."""
    environment = {**os.environ, "PYTHONPATH": ".", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "always"}
    command = [*before, sys.executable, "-c", script]
    return subprocess.run(command, check=False, env=environment, capture_output=True, text=True)


def open_by_rights(path):
    """What opening the file says to a user for whom the file's mode holds, as it does not for root."""
    over = "-dac_override,-dac_read_search"
    before = ["setpriv", f"--bounding-set={over}", f"--inh-caps={over}", "--"] if os.getuid() == 0 else []
    done = run(OPEN.format(url=url(path)), *before)
    assert not done.stderr, "nothing is left open either"
    return done.stdout


async def test_a_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o555)
    said = open_by_rights(tmp_path / "relay.db")
    assert "cannot be written" in said
    assert "give the relay's user write access" in said


async def test_a_read_only_file_is_named(tmp_path):
    path = tmp_path / "relay.db"
    ledger = await open_ledger(url(path), TERMS)
    await ledger.aclose()
    path.chmod(0o444)
    said = open_by_rights(path)
    assert "relay.db: it cannot be written: give the relay's user write access to the file" in said


@pytest.fixture
def full_disk():
    """No file of this process grows past a limit, as on a full disk, while `with full_disk(bytes):` lasts."""

    @contextlib.contextmanager
    def limit(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)

    return limit


async def test_a_full_disk_at_start_is_named(tmp_path, full_disk):
    with full_disk(4_096), pytest.raises(Unusable, match=r"relay\.db: .*full"):
        await open_ledger(url(tmp_path / "relay.db"), TERMS)


async def test_on_a_full_disk_nothing_is_half_kept_and_all_goes_on_when_there_is_room(tmp_path, full_disk):
    ledger = await open_ledger(url(tmp_path / "relay.db"), TERMS)
    await ledger.accept([make_entry("before")])
    entries = [make_entry(f"e{number}", body={"text": "x" * 20_000}) for number in range(40)]
    with full_disk((tmp_path / "relay.db-wal").stat().st_size + 100_000):
        answers = await asyncio.gather(*(ledger.accept([one]) for one in entries), return_exceptions=True)
        assert {type(answer) for answer in answers} == {Unavailable}
        assert "full" in str(answers[0]) or "disk" in str(answers[0])
        assert await ledger.known([make_entry("before")])
        assert await ledger.known([make_entry("e0")]) is None
    receipts = await asyncio.gather(*(ledger.accept([one]) for one in entries))
    assert {receipt.status for [receipt] in receipts} == {EventStatus.ACCEPTED}
    await ledger.aclose()


async def test_full_by_page_count_says_unavailable_and_recovers(tmp_path):
    ledger = await open_ledger(url(tmp_path / "relay.db"), TERMS)

    def set_most(pages):
        return lambda conn, _: conn.exec_driver_sql(f"PRAGMA max_page_count = {pages}").scalar()

    await ledger.write(set_most(1))
    big = make_entry("big", body={"text": "x" * 1_000_000})
    with pytest.raises(Unavailable, match="full"):
        await ledger.accept([big])
    await ledger.write(set_most(1_000_000))
    [receipt] = await ledger.accept([big])
    assert receipt.status is EventStatus.ACCEPTED
    await ledger.aclose()


async def test_a_writer_of_another_program_is_waited_for(tmp_path):
    path = tmp_path / "relay.db"
    ledger = await open_ledger(url(path), TERMS)
    shell = sqlite3.connect(path, isolation_level=None)
    shell.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(ledger.accept([make_entry("a")]))
    assert await ledger.known([make_entry("a")]) is None, "readers are not in the way"
    assert not waiting.done()
    shell.execute("COMMIT")
    shell.close()
    assert await waiting
    await ledger.aclose()


async def test_a_closed_ledger_says_so(tmp_path):
    ledger = SqlLedger(SqliteStore(str(tmp_path / "relay.db")), TERMS)
    await ledger.aclose()
    with pytest.raises(Unavailable, match="closed"):
        await ledger.accept([make_entry()])
    with pytest.raises(Unavailable, match="closed"):
        await ledger.wake()


async def test_closing_commits_what_was_asked_for(tmp_path):
    ledger = await open_ledger(url(tmp_path / "relay.db"), TERMS)
    asked = [asyncio.create_task(ledger.accept([make_entry(f"e{number}")])) for number in range(400)]
    await asyncio.sleep(0)
    await ledger.aclose()
    assert all(await asyncio.gather(*asked))


async def test_a_library_that_is_too_old_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")
    with pytest.raises(Unusable, match=r"SQLite of this Python is 3\.34\.1, and the ledger needs 3\.35 or newer"):
        await open_ledger(url(tmp_path / "relay.db"), TERMS)
    assert not list(tmp_path.iterdir())


async def test_a_library_that_was_built_without_what_is_needed_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("relay.ledger.engine.sqlite._TRIAL", "SELECT left_out(1);")
    with pytest.raises(Unusable, match=r"built without what the ledger needs \(no such function: left_out\)"):
        await open_ledger(url(tmp_path / "relay.db"), TERMS)


async def test_the_files_of_a_ledger_are_its_owner_s_alone(tmp_path):
    before = os.umask(0)
    try:
        ledger = await open_ledger(url(tmp_path / "relay.db"), TERMS)
        await ledger.accept([make_entry()])
    finally:
        os.umask(before)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    await ledger.aclose()
    assert modes == dict.fromkeys(("relay.db", "relay.db-wal", "relay.db-shm", "relay.db.lock"), 0o600)


async def test_a_file_that_all_can_read_keeps_its_mode_and_is_told(tmp_path):
    path = tmp_path / "relay.db"
    path.touch()
    for mode, times in ((0o640, 0), (0o644, 1)):
        path.chmod(mode)
        with capture_logs() as lines:
            await (await open_ledger(url(path), TERMS)).aclose()
        told = [line["what"] for line in lines if line["event"] == "ledger.readable"]
        assert stat.S_IMODE(path.stat().st_mode) == mode
        assert len(told) == times
    assert "chmod 600 relay.db" in told[0]


async def test_a_file_gives_back_what_was_pruned(tmp_path):
    path = tmp_path / "relay.db"
    ledger = await open_ledger(url(path), Terms(owner="one", retain=1, retain_unmatched=1, remember=1))
    await ledger.accept([make_entry(body={"text": "x" * 100_000}, rules=()) for _ in range(100)])

    async def pages():
        return await ledger.read(lambda conn, _: conn.exec_driver_sql("PRAGMA page_count").scalar())

    before = await pages()
    assert not await ledger.shrink(), "nothing is free"
    while await ledger.prune():
        pass
    assert await pages() >= before
    while await ledger.shrink():
        pass
    assert await pages() < before // 2
    await ledger.accept([make_entry()])
    await ledger.aclose()
    with contextlib.closing(sqlite3.connect(path)) as conn:
        assert conn.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def rename_folder(folder):
    folder.rename(folder.with_name("elsewhere"))


def rename_folder_and_make_another(folder):
    rename_folder(folder)
    folder.mkdir()


def remove_file(folder):
    (folder / "relay.db").unlink()


def remove_log(folder):
    (folder / "relay.db-wal").unlink()


def replace_file(folder):
    (folder / "copy").write_bytes((folder / "relay.db").read_bytes())
    (folder / "copy").replace(folder / "relay.db")


@pytest.mark.parametrize(
    "move", [shutil.rmtree, rename_folder, rename_folder_and_make_another, remove_file, remove_log, replace_file]
)
async def test_a_file_that_is_no_longer_at_its_path_takes_and_answers_nothing(tmp_path, move):
    folder = tmp_path / "data"
    folder.mkdir()
    ledger = await open_ledger(url(folder / "relay.db"), TERMS)
    await ledger.accept([make_entry("before")])
    move(folder)
    for call in (ledger.accept([make_entry("after")]), ledger.known([make_entry("before")]), ledger.claim(1)):
        with pytest.raises(Unavailable, match=r"relay\.db(-wal)? was removed, renamed or replaced while it was in use"):
            await call
    with pytest.raises(Unavailable, match="put it back, or restart"):
        await ledger.ping()
    await ledger.aclose()


async def test_a_file_that_can_be_read_and_not_written_is_away(tmp_path):
    """As on a full disk; here another program has it locked."""
    ledger = await open_ledger(url(tmp_path / "relay.db"), TERMS)
    await ledger.ping()
    with contextlib.closing(sqlite3.connect(tmp_path / "relay.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert await ledger.known([make_entry("unknown")]) is None
        with pytest.raises(Unavailable, match="locked"):
            await ledger.ping()
        other.execute("ROLLBACK")
    await ledger.ping()
    await ledger.aclose()


async def test_a_folder_that_is_put_back_is_used_again(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    ledger = await open_ledger(url(folder / "relay.db"), TERMS)
    rename_folder(folder)
    with pytest.raises(Unavailable):
        await ledger.accept([make_entry("a")])
    (tmp_path / "elsewhere").rename(folder)
    [receipt] = await ledger.accept([make_entry("a")])
    assert receipt.status is EventStatus.ACCEPTED
    await ledger.aclose()


async def test_a_file_that_goes_during_the_commit_is_no_commit(tmp_path):
    """What is answered then would be in a file that nobody can open again."""
    folder = tmp_path / "data"
    folder.mkdir()
    ledger = await open_ledger(url(folder / "relay.db"), TERMS)
    with pytest.raises(Unavailable, match="was removed"):
        await ledger.write(lambda conn, _: event.listen(conn, "commit", lambda _: shutil.rmtree(folder), once=True))
    await ledger.aclose()
