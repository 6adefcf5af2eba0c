"""What every life needs: a ledger in memory, a queue that is there, and messages about problems close together."""

import pytest

from relay.ledger.engine.migrate import upgrade
from tests.life.test_lives import Store, run


@pytest.fixture(autouse=True)
def no_topology(monkeypatch):
    """The queue in memory is always there."""

    async def prepare(*_):
        return True

    async def warn(*_):
        return None

    monkeypatch.setattr("relay.consumer.consumer.prepare", prepare)
    monkeypatch.setattr("relay.consumer.consumer.warn_of_limit", warn)


@pytest.fixture(autouse=True)
def messages_close_together(monkeypatch):
    """A life is short."""
    for module in ("problems", "draft"):
        monkeypatch.setattr(f"relay.ledger.queries.{module}.APART", 10_000)


@pytest.fixture(scope="module")
def store():
    made = Store()
    run(made.write(upgrade))
    yield made
    run(made.aclose())
