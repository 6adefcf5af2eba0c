"""A whole relay in memory on virtual time: the real parts, stages and SQL around a queue, a Cargo and an exchange."""

import asyncio
from hashlib import sha256
from itertools import count

from relay.app.sources import Sources
from relay.app.stages import Stage, run_stages
from relay.app.upkeep import Upkeep
from relay.consumer import Consumer, Input
from relay.dispatch import Gate, Policy, Reconciler, Worker
from relay.errors import Overloaded, Unavailable
from relay.intake import Intake
from relay.ledger import SqlLedger, Terms
from relay.life import Signals
from relay.model import Event, new_id
from relay.outbox import Publisher
from relay.problems import Alerts, Watcher
from relay.rules import RuleSpec, compile_rules
from relay.secret import Secret
from relay.telemetry import Metrics, Status
from tests.life import faults
from tests.virtual import milliseconds

POLICY = Policy(timeout=2_000, first=200, cap=2_000, give_up_after=600_000, settle=5_000, random=lambda: 0.5)
NAMES = count(1)
PAGER = Secret("https://pager.example.com")
CHAT = {"trigger": {"type": "connector", "connectorUuid": "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"}}
RULES = compile_rules(
    [
        RuleSpec(name="deal", types=("deal",), chat=CHAT),
        RuleSpec(name="ticket", types=("ticket",), chat=CHAT, message="Hello"),
    ],
    {},
)


class Relay:
    """One process on `store`; several, one after the other, may share store, Cargo, queue and exchange."""

    def __init__(self, store, cargo, queue, results, receivers, troubles):
        clock = store.clock
        terms = Terms(owner=f"relay-{next(NAMES)}", lease=POLICY.lease, settle=POLICY.settle, receivers=("pager",))
        self.sql = SqlLedger(store, terms)
        self.ledger = faults.Ledger(self.sql, troubles)
        self.signals, self.ending = Signals(), asyncio.Event()
        self.status = Status(clock, asyncio.get_running_loop().time)
        chats, clocks = faults.Chats(cargo, troubles), {"clock": clock, "boottime": milliseconds}
        metrics = Metrics(milliseconds)
        gate = Gate(self.ledger, chats, POLICY, self.signals, boottime=milliseconds)
        publisher = Publisher(
            self.ledger, results, self.signals, metrics=metrics, report=quiet, random=lambda: 0.5, **clocks
        )
        rest = {"metrics": metrics, "publishing": publisher.offer, **clocks}
        worker = Worker(self.ledger, chats, gate, POLICY, self.signals, concurrency=4, **rest)
        reconciler = Reconciler(self.ledger, chats, gate, POLICY, self.signals, metrics=metrics, **clocks)
        rest = {"metrics": metrics, "signals": self.signals, "offers": worker.offer, **clocks}
        self.intake = Intake(self.ledger, RULES, high_water=1_000, ids=new_id, **rest)
        consumer = Consumer(
            queue,
            Input("bus", "in", prefetch=2),
            self.intake,
            None,
            ids=new_id,
            clock=clock,
            metrics=metrics,
            report=quiet,
            random=lambda: 0.5,
        )
        self.sources = Sources({"bus": None}, self.ledger, quiet)
        self.sources.add_switch("bus", consumer.set_paused)
        upkeep = Upkeep(self.ledger, quiet, "1.2.3")
        watcher = Watcher(
            self.ledger,
            metrics,
            self.status,
            self.signals,
            expect={"crm": 60_000},
            backlog=60_000,
            sources={"crm", "bus"},
            rules={"deal"},
            **clocks,
        )
        alerts = Alerts(self.ledger, receivers, {"pager": PAGER}, None, self.signals, clock=clock, random=lambda: 0.5)
        self.worker = worker
        self.problems = metrics.problems
        self.stages = (
            Stage({"source bus": consumer.run}, share=0.5),
            Stage({"worker": worker.run, "reconciler": reconciler.run}, share=0.9),
            Stage({"gate": gate.run, "publisher": publisher.run}),
            Stage(
                {
                    "ledger": upkeep.watch,
                    "pruner": upkeep.prune,
                    "sources": self.sources.run,
                    "problems": watcher.run,
                    "alerts": alerts.run,
                }
            ),
        )

    def start(self, grace):
        self.task = asyncio.create_task(run_stages(self.stages, self.ending, grace, self.status))

    async def stop(self):
        """Stop; how many seconds it took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self.ending.set()
        await self.task
        return loop.time() - began

    async def send(self, external_id, kind, clock):
        """As a vendor does: again until it is taken."""
        return await insist(lambda: self.send_once(external_id, kind, clock))

    async def send_once(self, external_id, kind, clock):
        raw = b"{}"
        event = Event(new_id(), "crm", external_id, kind, {}, raw, sha256(raw).digest(), clock())
        return await self.intake.accept([event])

    async def pause(self, *, paused):
        """As a person does: again until it is done."""
        await insist(lambda: self.sources.set_paused("bus", paused=paused))


async def insist(act):
    """Until it is done; only what the faults make is tried again."""
    async with asyncio.timeout(120):
        while True:
            try:
                return await act()
            except asyncio.CancelledError:
                if asyncio.current_task().cancelling():
                    raise
            except (faults.Bug, Overloaded, Unavailable):
                await asyncio.sleep(0.5)


def quiet(*_):
    return None
