"""What people are told of trouble: a problem soon and once, whoever dies meanwhile, and a log that stays readable."""

import asyncio
from collections import Counter

import pytest
import structlog

from relay.errors import Overloaded, Unavailable
from relay.model import ProblemKind, ProblemQuery, ProblemState
from relay.telemetry.sparse import Sparse
from tests.life.faults import Faults
from tests.life.queue import Queue
from tests.life.relay import Relay
from tests.life.test_lives import GRACE, World, clock, run
from tests.virtual import VirtualLoop


def die_at_watch(relay, *, after):
    """Kill the process at its next turn of the watch over problems: before its commit, or right after."""
    write = relay.sql.watch

    async def watch(*args):
        if after:
            await write(*args)
        relay.task.cancel()
        await asyncio.Event().wait()

    relay.ledger.watch = watch


async def three_replicas_and_a_kill(store, *, after):
    """All three refuse a change of the configuration; one dies while it writes that, and comes back later."""
    world = World(store, Faults(armed=False))
    await store.empty()

    def start():
        relay = Relay(store, world.cargo, Queue(world.faults), world.results, world.receivers, world.faults)
        relay.start(GRACE)
        return relay

    relays = [start() for _ in range(3)]
    await asyncio.sleep(3.3)
    die_at_watch(relays[0], after=after)
    for relay in relays:
        relay.problems.reload_refused("relay.yaml:1: no")
    await asyncio.sleep(5)
    assert relays[0].task.cancelled()
    [problem] = (await relays[1].sql.problems(ProblemQuery(kind=ProblemKind.RELOAD))).problems
    opened, resolved = f"{problem.id}.opened", f"{problem.id}.resolved"
    assert problem.state is ProblemState.OPEN
    assert world.results.told == world.receivers.told == [opened]
    relays[0] = start()
    await asyncio.sleep(30)
    for relay in relays:
        relay.problems.reloaded()
    await asyncio.sleep(30)
    for relay in relays:
        await relay.stop()
    for told in (world.results.told, world.receivers.told):
        assert [message for message in told if message.startswith(problem.id)] == [opened, resolved]


@pytest.mark.parametrize("after", [False, True], ids=["before its commit", "after its commit"])
def test_a_problem_is_told_within_5_s_and_once_by_three_replicas_of_which_one_dies(store, after):
    run(three_replicas_and_a_kill(store, after=after))


def _run_logged(life):
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(life)


class Outage(Faults):
    """Everything at one port fails while it is `on`."""

    def __init__(self, port):
        super().__init__(armed=False)
        self.port = port
        self.on = False

    def _turn(self, name):
        return "away" if self.on and name.startswith(f"{self.port}.") else None


class Written:
    """The lines of warning or above that reach a log: by the part that they name, else by their event."""

    def __init__(self):
        self.lines = Counter()
        self._sparse = Sparse(lambda: asyncio.get_running_loop().time())

    def __call__(self, log, method, line):
        line = self._sparse(log, method, line)
        if method in {"warning", "error", "critical"}:
            self.lines[line.get("part") or line["event"]] += 1
        raise structlog.DropEvent


async def an_outage(store, port, seconds, written):
    """Events come at 100 a second in the first and in the last three seconds, and one by one between them.

    What is written by the event shows in a second already; what is written by the clock needs the time.
    """
    outage = Outage(port)
    world = World(store, outage)
    await store.empty()
    relay = world.start()
    await asyncio.sleep(5)
    written.lines.clear()
    outage.on = True
    for second in range(seconds):
        many = 100 if second < 3 or second >= seconds - 3 else 1
        for number in range(many):
            try:
                async with asyncio.timeout(5):
                    await relay.send_once(f"e-{second}-{number}", "deal", clock)
            except (Overloaded, Unavailable):
                continue
        await asyncio.sleep(1)
    lines = Counter(written.lines)
    outage.on = False
    await asyncio.sleep(60)
    await relay.stop()
    return lines


@pytest.mark.parametrize(("port", "minutes"), [("ledger", 60), ("cargo", 12), ("results", 5)])
def test_an_outage_leaves_a_log_that_a_person_can_read(store, port, minutes):
    """At most 60 lines an hour of each part; where the ledger works an hour takes long, so less of it is lived."""
    before = structlog.get_config()
    written = Written()
    structlog.configure(processors=[written])
    try:
        lines = _run_logged(an_outage(store, port, 60 * minutes, written))
    finally:
        structlog.configure(**before)
    assert lines, "somebody is told"
    assert max(lines.values()) <= minutes, lines
