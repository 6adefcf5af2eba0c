"""Whole lives with one fault: whatever call goes wrong, and however, all that was accepted gets its chat and is told.

Nothing is parked, no part is stuck, a pause is a pause, and a stop ends in time.
"""

import asyncio
from collections import Counter

import pytest
from structlog.testing import capture_logs

from relay.ledger.engine.migrate import upgrade
from relay.model import EventQuery, State
from tests.dispatch.relays import START, Inline, empty
from tests.life.cargo import Cargo
from tests.life.faults import KINDS, Faults, Results
from tests.life.queue import Queue
from tests.life.relay import Relay
from tests.virtual import VirtualLoop, milliseconds

EVENTS = (("crm-1", "deal"), ("crm-2", "ticket"), ("crm-3", "deal"))
MESSAGES = ("bus-1", "bus-2", "bus-3")
GRACE = 5.0


class World:
    """What outlives a process."""

    def __init__(self, store, faults):
        self.faults = faults
        self.store = store
        self.cargo = Cargo(clock)
        self.queue = Queue(faults)
        self.results = Results(faults)

    def start(self):
        relay = Relay(self.store, self.cargo, self.queue, self.results, self.faults)
        relay.start(GRACE)
        return relay

    async def settled(self, relay, within=400):
        """Wait until all that was sent has come to its end and was told."""
        async with asyncio.timeout(within):
            while True:
                gauges = await relay.sql.gauges()
                page = await relay.sql.events(EventQuery())
                came = {event.external_id for event in page.events} >= {name for name, _ in EVENTS} | set(MESSAGES)
                if came and not (gauges.unfinished or gauges.unpublished or self.queue.ready or self.queue.unsettled):
                    return page
                await asyncio.sleep(1)

    def check(self, page):
        dispatches = [dispatch for event in page.events for dispatch in event.dispatches]
        assert len(page.events) == len(dispatches) == len(EVENTS) + len(MESSAGES)
        assert {dispatch.state for dispatch in dispatches} == {State.DONE}
        assert self.cargo.made == Counter(dispatch.id for dispatch in dispatches), "one chat each"
        assert list(self.cargo.said.values()) == [1], "one message"
        told = {f"{dispatch.id}.1" for dispatch in dispatches}
        told |= {f"{dispatch.id}.1.message" for dispatch in dispatches if dispatch.rule == "ticket"}
        assert set(self.results.told) == told


def clock():
    return START + milliseconds()


@pytest.fixture(autouse=True)
def no_topology(monkeypatch):
    """The queue in memory is always there."""

    async def prepare(*_):
        return True

    async def warn(*_):
        return None

    monkeypatch.setattr("relay.consumer.consumer.prepare", prepare)
    monkeypatch.setattr("relay.consumer.consumer.warn_of_limit", warn)


class Store(Inline):
    """Emptied for each life, and used on a new loop."""

    def __init__(self):
        super().__init__()
        self.clock = self._clock = clock

    async def empty(self):
        self._writing = asyncio.Lock()
        await self.write(empty)


@pytest.fixture(scope="module")
def store():
    made = Store()
    run(made.write(upgrade))
    yield made
    run(made.aclose())


def run(life):
    with capture_logs(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(life)


async def work(relay, world):
    """Events and messages come in; the queue is paused for a while."""
    world.queue.put("bus-1", b"{}")
    for name, kind in EVENTS[:2]:
        await relay.send(name, kind, clock)
    await relay.pause(paused=True)
    world.queue.put("bus-2", b"{}")
    await asyncio.sleep(0.2)
    await relay.send(*EVENTS[2], clock)
    world.queue.put("bus-3", b"{}")
    await relay.pause(paused=False)


async def live(store, faults):
    world = World(store, faults)
    await store.empty()
    relay = world.start()
    await work(relay, world)
    page = await world.settled(relay)
    faults.armed = False
    world.check(page)
    await relay.pause(paused=True)
    await asyncio.sleep(20 if faults.kind == "slow" else 3)
    assert not world.queue.consumed, "what a person has paused is paused"
    assert await relay.stop() <= GRACE + 1
    assert not relay.status.parts(), "no part is left"
    return faults


async def stop_and_go_on(store, faults):
    """The first process is stopped in the middle of its work; only what it does from then on goes wrong."""
    world = World(store, faults)
    await store.empty()
    relay = world.start()
    await work(relay, world)
    await asyncio.sleep(0.1)
    faults.armed = True
    assert await relay.stop() <= GRACE + 2
    faults.armed = False
    relay = world.start()
    page = await world.settled(relay)
    world.check(page)
    await relay.stop()
    return faults


TURNS = {live: 84, stop_and_go_on: 24}
"""How many calls each of them makes at least until it has come to its end."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("life", TURNS)
def test_whatever_call_goes_wrong_nothing_is_lost_and_nothing_stuck(store, life, kind):
    hit = set()
    for at in range(TURNS[life] + 1):
        faults = run(life(store, Faults(at, kind, armed=life is live)))
        hit.add(faults.hit)
    assert len(hit) >= 8, "the faults are spread over the ports"
