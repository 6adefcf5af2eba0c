"""A ledger on each of the two databases, its clock in the test's hand."""

import logging
from base64 import b64encode
from dataclasses import dataclass

import pytest

from relay.ledger import SqlLedger, Terms, Vault
from relay.ledger.engine import migrate as steps
from relay.ledger.engine.postgres import PostgresStore, connect
from relay.ledger.engine.sqlite import SqliteStore
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


@pytest.fixture(params=["sqlite", "sealed", "postgres"])
async def store(request, tmp_path, clock):
    """A migrated store; `sealed` is one on SQLite that encrypts."""
    if request.param != "postgres":
        vault = Vault(KEY) if request.param == "sealed" else Vault()
        made = SqliteStore(str(tmp_path / "relay.db"), clock=clock, vault=vault)
    else:
        url = request.getfixturevalue("postgres_url")
        made = PostgresStore(connect(url, password=None, ca_file=None), clock=clock)
    await made.write(steps.upgrade)
    yield made
    await made.aclose()


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
async def replicas(postgres_url, clock):
    """Two ledgers with pools of their own on one PostgreSQL."""
    made = [
        SqlLedger(PostgresStore(connect(postgres_url, password=None, ca_file=None), clock=clock), Terms(owner=name))
        for name in ("one", "two")
    ]
    await made[0].write(steps.upgrade)
    yield made
    for each in made:
        await each.aclose()
