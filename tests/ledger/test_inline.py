"""Where SQLite commits: on the event loop while the disk is quick, else in the writer's thread."""

import threading
import time

import pytest

from relay.ledger.engine.inline import Inline
from relay.ledger.engine.sqlite import SqliteStore

LOOP = threading.get_ident()


@pytest.fixture
async def store(tmp_path):
    made = SqliteStore(str(tmp_path / "relay.db"))
    await made.write(lambda conn, _: conn.exec_driver_sql("CREATE TABLE t (a BLOB)"))
    yield made
    await made.aclose()


def add(conn, _now):
    conn.exec_driver_sql("INSERT INTO t VALUES (randomblob(4000))")


def test_commits_of_a_quick_disk_run_on_the_loop_and_now_and_then_one_does_not():
    inline = Inline()
    there = []
    for _ in range(330):
        there.append(inline.next_fits())
        if there[-1]:
            inline.took(0.0003)
    assert there.count(False) == 10


@pytest.mark.parametrize(("seconds", "most"), [(0.002, 60), (0.030, 12)], ids=["slow", "very slow"])
def test_a_slow_disk_is_left_to_the_thread_and_tried_again_less_and_less_often(seconds, most):
    inline = Inline()
    tried = [number for number in range(100_000) if inline.next_fits() and inline.took(seconds) is None]
    assert 5 < len(tried) <= most
    assert tried[-1] > 50_000


def test_a_disk_that_is_quick_again_is_used_as_before():
    inline = Inline()
    for number in range(200_000):
        if inline.next_fits():
            inline.took(0.030 if number < 1_000 else 0.0003)
    assert sum(inline.next_fits() for _ in range(330)) == 320


def test_one_slow_commit_among_quick_ones_changes_nothing():
    inline = Inline()
    for number in range(1_000):
        if inline.next_fits():
            inline.took(0.005 if number == 500 else 0.0003)
    assert sum(inline.next_fits() for _ in range(33)) == 32


async def test_a_store_whose_disk_is_slow_holds_up_the_loop_no_more(store, monkeypatch):
    commit, where = store._commit, []

    def slow_commit():
        where.append(threading.get_ident())
        time.sleep(0.003)
        commit()

    monkeypatch.setattr(store, "_commit", slow_commit)
    for _ in range(100):
        await store.write(add)
    assert where.count(LOOP) < 10
    assert await store.read(lambda conn, _: conn.exec_driver_sql("SELECT count(*) FROM t").scalar()) == 100


async def test_slow_work_is_committed_in_its_thread(store, monkeypatch):
    commit, where = store._commit, []
    monkeypatch.setattr(store, "_commit", lambda: (where.append(threading.get_ident()), commit()))
    for _ in range(3):
        await store.write(add, slow=True)
    assert LOOP not in where


async def test_the_log_is_written_back_by_the_thread_only_and_stays_bounded(store, tmp_path):
    """4,000 pages are 16 MB: nobody would write it back on the loop, and the thread does not at each commit."""
    log, sizes = tmp_path / "relay.db-wal", []
    for _ in range(900):
        await store.write(lambda conn, _: conn.exec_driver_sql("INSERT INTO t VALUES (randomblob(40000))"))
        sizes.append(log.stat().st_size)
    assert 16_000_000 < max(sizes) < 20_000_000
    assert (tmp_path / "relay.db").stat().st_size > 16_000_000, "it is in the file"
