"""The composition root: configuration to objects, one AsyncExitStack, one TaskGroup."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from relay import __version__
from relay.app import adapters, inputs
from relay.app.clock import boottime, wall
from relay.app.dry import make_rules
from relay.app.judge import Court
from relay.app.learned import Hooks
from relay.app.listen import Listening
from relay.app.operations import Desk
from relay.app.sources import Sources
from relay.app.supervise import supervise
from relay.app.upkeep import Upkeep, beat
from relay.broker import Broker, ResultPublisher
from relay.broker.link import Report
from relay.config import Loaded, Settings
from relay.consumer import Consumer
from relay.dispatch import Gate, Reconciler, Worker
from relay.errors import Unavailable
from relay.hooks import fetch
from relay.hooks import make_runner as make_hooks_runner
from relay.intake import Intake
from relay.ledger import SqlLedger, is_file
from relay.model import Gauges, new_id
from relay.ops import make_health_app, make_ops_app
from relay.outbox import Publisher, encode
from relay.ports import Chats
from relay.telemetry import Metrics, PartState, Phase, Status, get_log

log = get_log()

Run = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a relay listens, as URLs."""

    hooks: str
    health: str
    ops: str


class Service:
    """One relay. `open` makes its parts, `serve` runs them until told to stop."""

    def __init__(self, loaded: Loaded, *, migrate: bool) -> None:
        self.settings: Settings = loaded.settings
        self.metrics = Metrics()
        self.metrics.config_info.labels(loaded.digest).set(1)
        self.metrics.config_reload.set(1)
        self.metrics.build_info.labels(__version__).set(1)
        self.status = Status(wall, asyncio.get_running_loop().time)
        self._migrate = migrate
        self._proxy = loaded.proxy
        self._policy = adapters.make_policy(self.settings)
        self._parts: dict[str, Run] = {}
        self._consumers: list[Consumer] = []
        self._gauges: Callable[[], Awaitable[Gauges]] = _not_yet
        self.publisher: Publisher | None = None
        self._stop = asyncio.Event()

    async def open(self, stack: AsyncExitStack) -> Addresses:
        """Make everything and open the listeners, health first. Raises Misconfigured, Unusable, Blocked."""
        self._listening = Listening(self.settings, self.metrics)
        heart = asyncio.create_task(beat(self.status))
        stack.callback(heart.cancel)
        health = await self._listen_health(stack)
        ledger = self.ledger = await self._open_ledger(stack)
        self._gauges = ledger.gauges
        cargo = await stack.enter_async_context(adapters.make_cargo(self.settings, self._proxy, self.metrics))
        self.hooks = Hooks(self.settings)
        self.sources = Sources(self.settings.sources, ledger, self.hooks.take)
        self._add_dispatch(ledger, cargo)
        self._add_upkeep(ledger)
        intake = self._make_intake(ledger)
        broker = adapters.make_broker(self.settings, self._report("broker"))
        if broker is not None:
            self._add_publisher(ledger, broker)
            self._add_consumers(broker, intake)
        await self.sources.refresh()
        ops = await self._listen_ops(stack, ledger, intake)
        hooks = await self._listen_hooks(stack, ledger, intake)
        return Addresses(hooks, health, ops)

    def stop(self) -> None:
        """Begin to drain."""
        self._stop.set()

    async def stopped(self) -> None:
        """Return once it was told to stop."""
        await self._stop.wait()

    async def serve(self, grace: float) -> None:
        """Run the parts until `stop`, then drain within `grace` seconds."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(supervise(name, run, self.status)) for name, run in self._parts.items()]
            self.status.phase = Phase.SERVING
            await self._stop.wait()
            await self._drain(grace)
            for task in tasks:
                task.cancel()

    async def _drain(self, grace: float) -> None:
        """Take nothing more, finish what is in flight, flush results."""
        log.info("service.draining", grace_s=grace)
        self.status.phase = Phase.DRAINING
        loop = asyncio.get_running_loop()
        end = loop.time() + grace
        for consumer in self._consumers:
            consumer.end()
        await self.worker.drain(max(0.0, end - loop.time() - 1.0))
        if self.publisher is not None:
            await self.publisher.flush(max(0.5, end - loop.time()))
        log.info("service.drained")

    async def _open_ledger(self, stack: AsyncExitStack) -> SqlLedger:
        terms = adapters.make_terms(self.settings, self._policy)
        report = self._report("ledger", vital=is_file(self.settings.ledger.url))
        report(PartState.STARTING, "")
        ledger = await adapters.reach_ledger(
            self.settings, terms, migrate=self._migrate, away=lambda error: report(PartState.STARTING, error)
        )
        stack.push_async_callback(ledger.aclose)
        return ledger

    def _add_dispatch(self, ledger: SqlLedger, cargo: Chats) -> None:
        concurrency = self.settings.cargo.concurrency
        gate = Gate(ledger, cargo, self._policy, sleep=asyncio.sleep, opened=self._freed)
        self.worker = Worker(
            ledger,
            cargo,
            gate,
            self._policy,
            concurrency=concurrency,
            clock=wall,
            boottime=boottime,
            sleep=asyncio.sleep,
            metrics=self.metrics,
            told=self._told,
        )
        reconciler = Reconciler(
            ledger,
            cargo,
            gate,
            self._policy,
            clock=wall,
            sleep=asyncio.sleep,
            metrics=self.metrics,
            told=self._told,
            freed=self._freed,
        )
        self._parts |= {"worker": self.worker.run, "gate": gate.run, "reconciler": reconciler.run}

    def _add_publisher(self, ledger: SqlLedger, broker: Broker) -> None:
        results = self.settings.results
        out = ResultPublisher(broker.publishing, exchange=results.exchange, queue=results.queue)
        broker.publishing.want(out.ensure)
        self.publisher = Publisher(ledger, out, clock=wall, metrics=self.metrics, report=self._report("publisher"))
        self._parts |= {"broker": broker.run, "publisher": self.publisher.run}

    def _make_intake(self, ledger: SqlLedger) -> Intake:
        return Intake(
            ledger,
            make_rules(self.settings),
            high_water=self.settings.ledger.high_water,
            ids=new_id,
            clock=wall,
            metrics=self.metrics,
            freed=self._freed,
            told=self._told,
        )

    def _add_upkeep(self, ledger: SqlLedger) -> None:
        upkeep = Upkeep(ledger, self._report("ledger", vital=is_file(self.settings.ledger.url)))
        self._parts |= {"ledger": upkeep.watch, "pruner": upkeep.prune, "sources": self.sources.run}
        if not is_file(self.settings.ledger.url):
            self._parts["cursors"] = upkeep.sequence  # one that writes alone gives them at once

    def _add_consumers(self, broker: Broker, intake: Intake) -> None:
        for name, consumer in inputs.make_consumers(self.settings, broker, intake, self.metrics, self._report):
            self._consumers.append(consumer)
            self.sources.add_switch(name, consumer.pause, consumer.resume)
            self._parts[f"source {name}"] = consumer.run

    async def _listen_health(self, stack: AsyncExitStack) -> str:
        app = make_health_app(self.status, self.metrics, self._read_gauges)
        runner = self._listening.inside("health", app)
        return await self._listening.open(stack, runner, "health", self.settings.http.health)

    async def _listen_ops(self, stack: AsyncExitStack, ledger: SqlLedger, intake: Intake) -> str:
        http = self.settings.http
        judges = Court(self.hooks.by_name, intake, http.max_body, new_id, fetch)
        desk = Desk(ledger, intake, self.settings, self.sources, judges, new_id, wall, self._freed, self._told)
        app = make_ops_app(
            ledger,
            ledger,
            desk,
            token=http.token,
            status=self.status,
            metrics=self.metrics,
            version=__version__,
            encode=encode,
            clock=wall,
        )
        return await self._listening.open(stack, self._listening.inside("ops", app), "ops", http.ops)

    async def _listen_hooks(self, stack: AsyncExitStack, ledger: SqlLedger, intake: Intake) -> str:
        http = self.settings.http
        runner = make_hooks_runner(
            self.hooks.by_name,
            intake,
            max_body=http.max_body,
            ids=new_id,
            clock=wall,
            metrics=self.metrics,
            public_url=http.public_url,
            reject=ledger.reject,
            paused=self.sources.is_paused,
            draining=lambda: self.status.phase is Phase.DRAINING,
            fetch=fetch,
            learn=self.hooks.learner(self.sources.learn),
            crowd=self._listening.public(),
            limit_refused=http.limit_refused,
        )
        return await self._listening.open(stack, runner, "hooks", http.hooks)

    async def _read_gauges(self) -> Gauges:
        return await self._gauges()

    def _report(self, part: str, *, vital: bool = False) -> Report:
        def report(state: PartState, reason: str) -> None:
            self.status.set(part, state, reason, vital=vital)

        return report

    def _freed(self) -> None:
        self.worker.notify()

    def _told(self) -> None:
        if self.publisher is not None:
            self.publisher.notify()


async def _not_yet() -> Gauges:
    raise Unavailable("the ledger is not open yet")
