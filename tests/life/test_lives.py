"""Whole lives with one fault: whatever call goes wrong, and however, all that was accepted gets its chat and is told.

Nothing is parked, no part is stuck, a pause is a pause, and a stop ends in time.
"""

import asyncio
from collections import Counter

import pytest
from structlog.testing import capture_logs

from relay.model import EventQuery, ProblemKind, ProblemQuery, State
from tests.dispatch.relays import START, Inline, empty
from tests.life.cargo import Cargo
from tests.life.faults import KINDS, Faults, Receivers, Results
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
        self.receivers = Receivers(faults)

    def start(self):
        relay = Relay(self.store, self.cargo, self.queue, self.results, self.receivers, self.faults)
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
        problems = {result for result in self.results.told if result.endswith((".opened", ".resolved"))}
        assert set(self.results.told) - problems == told


def clock():
    return START + milliseconds()


class Store(Inline):
    """Emptied for each life, and used on a new loop."""

    def __init__(self):
        super().__init__()
        self.clock = self._clock = clock

    async def empty(self):
        self._writing = asyncio.Lock()
        await self.write(empty)


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


async def have_a_problem(store, faults):
    """A problem opens in one process and ends in the next."""
    world = World(store, faults)
    await store.empty()
    relay = world.start()
    relay.problems.reload_refused("relay.yaml:1: no")
    await asyncio.sleep(20 if faults.kind == "slow" else 8)
    await relay.stop()
    relay = world.start()
    await asyncio.sleep(20 if faults.kind == "slow" else 7)
    relay.problems.reloaded()
    [problem] = (await relay.sql.problems(ProblemQuery(kind=ProblemKind.RELOAD))).problems
    messages = {f"{problem.id}.opened", f"{problem.id}.resolved"}

    def told(where):
        return {message for message in where.told if message.startswith(problem.id)}

    async with asyncio.timeout(75):
        while not told(world.results) == told(world.receivers) == messages:
            await asyncio.sleep(1)
    faults.armed = False
    await asyncio.sleep(5)
    await relay.stop()
    assert told(world.results) == told(world.receivers) == messages
    return faults


TURNS = {live: 84, have_a_problem: 16, stop_and_go_on: 24}
"""How many calls each of them makes at least until it has come to its end."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("life", TURNS)
def test_whatever_call_goes_wrong_nothing_is_lost_and_nothing_stuck(store, life, kind):
    hit = set()
    for at in range(TURNS[life] + 1):
        faults = run(life(store, Faults(at, kind, armed=life is not stop_and_go_on)))
        hit.add(faults.hit)
    assert len(hit) >= 8, "the faults are spread over the ports"
