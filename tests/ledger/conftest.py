"""A ledger on each of the two databases, its clock in the test's hand."""

import asyncio
import logging
import shutil
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select

from relay.ledger import SqlLedger, Terms, Vault, migrate_ledger
from relay.ledger.engine import migrate as steps
from relay.ledger.engine.postgres import PostgresStore, connect
from relay.ledger.engine.sqlite import SqliteStore
from relay.ledger.schema import dispatches, events, work
from relay.model import BY_HAND, NEXT
from relay.secret import Secret


@dataclass
class Clock:
    """Milliseconds; given to a store of either kind."""

    now: int = 1_800_000_000_000

    def __call__(self, *_):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def loud(caplog):
    """Every statement that the databases are sent, as the library logs it: more than a relay ever writes.

    Name it before the ledger: an engine asks once whether anybody listens.
    """
    caplog.set_level(logging.INFO, "sqlalchemy.engine")
    return caplog


KEY, FORMER = Secret(b64encode(bytes(range(32))).decode()), Secret(b64encode(bytes(range(32, 64))).decode())


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory):
    """A migrated, empty ledger on SQLite. To copy it takes a tenth of the time of migrating."""

    async def migrate(path):
        store = SqliteStore(str(path))
        await store.write(steps.upgrade)
        await store.aclose()

    path = tmp_path_factory.mktemp("migrated") / "relay.db"
    run_apart(migrate(path))
    return path


@pytest.fixture(scope="session")
def migrated_database(postgres_server):
    """The URL of a migrated, empty ledger on PostgreSQL, to be copied likewise."""
    with postgres_server.database() as url:
        run_apart(migrate_ledger(url))
        yield url


def run_apart(coroutine):
    """Run it in a loop of its own: a fixture of the session may be wanted first while a test's loop runs."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


@pytest.fixture
def migrated_url(postgres_server, migrated_database):
    """`postgresql://...` of a migrated database in which this test is alone."""
    with postgres_server.database(template=migrated_database) as url:
        yield url


@pytest.fixture(params=["sqlite", "sealed", "postgres"])
async def store(request, tmp_path, clock):
    """A migrated store; `sealed` is one on SQLite that encrypts."""
    if request.param != "postgres":
        vault = Vault(KEY) if request.param == "sealed" else Vault()
        path = shutil.copy(request.getfixturevalue("migrated_file"), tmp_path / "relay.db")
        made = SqliteStore(str(path), clock=clock, vault=vault)
        watch_states(made)
    else:
        url = request.getfixturevalue("migrated_url")
        made = PostgresStore(connect(url, password=None, ca_file=None), clock=clock)
    yield made
    await made.aclose()


STATES = (
    select(dispatches.c.id, func.coalesce(work.c.state, dispatches.c.state))
    .join(events, events.c.id == dispatches.c.event_id)  # one without its event is damage, and ends however it stands
    .outerjoin(work, work.c.dispatch_id == dispatches.c.id)
)


def watch_states(store):
    """From now on the store's transactions may only change a dispatch's state as the model says (`NEXT`, `BY_HAND`)."""
    write = store.write

    async def watched_write(operation, **options):
        def watched(conn, now):
            before = dict(conn.execute(STATES).all())
            answer = operation(conn, now)
            for dispatch_id, state in conn.execute(STATES).all():
                was = before.get(dispatch_id, state)
                assert state == was or state in {*NEXT.get(was, ()), *BY_HAND.get(was, ())}, f"from {was} to {state}"
            return answer

        return await write(watched, **options)

    store.write = watched_write


@pytest.fixture
async def ledger(store):
    made = SqlLedger(store, Terms(owner="one", lease=40_000))
    yield made
    await made.aclose()


@pytest.fixture
async def other(store):
    """Another replica on the same database; on SQLite it stands in for one by sharing the store."""
    made = SqlLedger(store, Terms(owner="two", lease=40_000))
    yield made
    await made._committer.aclose()


@pytest.fixture
async def replicas(migrated_url, clock):
    """Two ledgers with pools of their own on one PostgreSQL."""
    made = [
        SqlLedger(PostgresStore(connect(migrated_url, password=None, ca_file=None), clock=clock), Terms(owner=name))
        for name in ("one", "two")
    ]
    yield made
    for each in made:
        await each.aclose()
