"""What the ledger hands on while the worker stops goes back at once: nobody waits for its lease to end."""

import asyncio

from sqlalchemy import select

from relay.dispatch import Gate, Worker
from relay.ledger import SqlLedger, Terms
from relay.ledger.schema import work
from relay.life import Signals, Stop
from relay.telemetry import Metrics
from tests.dispatch.cargo import POLICY
from tests.dispatch.relays import open_store
from tests.ledger.build import make_chat, make_entry
from tests.virtual import milliseconds, virtually


class Cargo:
    """Makes a chat."""

    async def create(self, _body):
        return make_chat()


class Late:
    """The ledger, where a stop begins just before an outcome is committed."""

    def __init__(self, ledger, stop):
        self._ledger = ledger
        self._stop = stop

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    async def record(self, *move):
        self._stop.begin(5)
        await asyncio.sleep(1)  # until the worker has nothing left to wait for but this
        return await self._ledger.record(*move)


@virtually
async def test_a_message_that_follows_a_chat_goes_back_although_the_call_that_made_it_has_not_ended():
    store, stop, signals = await open_store(), Stop(), Signals()
    ledger = SqlLedger(store, Terms(owner="one", lease=40_000))
    late = Late(ledger, stop)
    clock = {"clock": store.clock, "boottime": milliseconds}
    gate = Gate(late, Cargo(), POLICY, signals, boottime=milliseconds)
    worker = Worker(late, Cargo(), gate, POLICY, signals, concurrency=4, metrics=Metrics(), **clock)
    await ledger.accept([make_entry(dispatch={"message": "Hello"})])
    await worker.run(stop)
    [row] = await ledger.read(lambda conn, _: conn.execute(select(work.c.state, work.c.lease_until)).all())
    assert row == ("messaging", None)
    await ledger.aclose()
