"""The composition root: builds a complete relay from its configuration and runs it."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, Self

from relay import __version__
from relay.app import adapters, inputs
from relay.app.clock import boottime, wall
from relay.app.dry import make_rules
from relay.app.judge import Court
from relay.app.learned import Hooks
from relay.app.listen import Listening
from relay.app.operations import Desk
from relay.app.otherloop import OtherLoop
from relay.app.sources import Sources
from relay.app.stages import Stage, run_stages
from relay.app.supervise import Run
from relay.app.upkeep import Upkeep, beat
from relay.broker import Broker, DeadLetters, ResultPublisher
from relay.broker.link import Report
from relay.config import Loaded, Settings
from relay.dispatch import Gate, Policy, Reconciler, Worker
from relay.errors import Unavailable
from relay.hooks import fetch
from relay.hooks import make_runner as make_hooks_runner
from relay.intake import Intake
from relay.ledger import SqlLedger, is_file
from relay.life import Signals
from relay.model import Gauges, new_id
from relay.ops import make_health_app, make_ops_app
from relay.outbox import Publisher, encode
from relay.telemetry import Metrics, PartState, Phase, Status, get_log

log = get_log()

_CLOSING: Final = 5.0
"""The timeout for closing the ledger, whose server may be away, in seconds."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The URLs of a relay's listeners."""

    hooks: str
    health: str
    ops: str


@dataclass(frozen=True, slots=True)
class Service:
    """A complete relay: its listeners are open, its parts are created but do not run yet."""

    settings: Settings
    addresses: Addresses
    ledger: SqlLedger
    status: Status
    stages: Sequence[Stage]

    async def serve(self, ending: asyncio.Event, grace: float) -> None:
        """Run the parts until `ending`, then drain within `grace` seconds: stop inputs, finish calls, publish."""
        self.status.phase = Phase.SERVING
        draining = asyncio.create_task(self._drain(ending, grace))
        try:
            await run_stages(self.stages, ending, grace, self.status)
        finally:
            draining.cancel()
        log.info("service.drained")

    async def _drain(self, ending: asyncio.Event, grace: float) -> None:
        await ending.wait()
        self.status.phase = Phase.DRAINING
        log.info("service.draining", grace_s=grace)


@dataclass(frozen=True, slots=True)
class _Base:
    """What all parts of a relay share and what exists before the ledger is open."""

    settings: Settings
    metrics: Metrics
    status: Status
    policy: Policy
    signals: Signals
    listening: Listening

    @classmethod
    def of(cls, loaded: Loaded) -> Self:
        settings, metrics = loaded.settings, Metrics()
        metrics.config_info.labels(loaded.digest).set(1)
        metrics.config_reload.set(1)
        metrics.build_info.labels(__version__).set(1)
        status = Status(wall, asyncio.get_running_loop().time)
        listening = Listening(settings, metrics)
        return cls(settings, metrics, status, adapters.make_policy(settings), Signals(), listening)

    def report(self, part: str, *, vital: bool = False) -> Report:
        def report(state: PartState, reason: str) -> None:
            self.status.set(part, state, reason, vital=vital)

        return report

    def report_ledger(self) -> Report:
        """A reporter for the ledger. An unusable file makes the relay unready; an unavailable server does not."""
        return self.report("ledger", vital=is_file(self.settings.ledger.url))


async def build(loaded: Loaded, stack: AsyncExitStack, *, migrate: bool) -> Service:
    """Create all parts and open the listeners.

    `stack` closes what is opened, in reverse order. Raises Misconfigured, Unusable, Blocked.
    """
    base = _Base.of(loaded)
    settings, metrics, signals = base.settings, base.metrics, base.signals
    heart = asyncio.create_task(beat(base.status))
    stack.callback(heart.cancel)
    gauges = _Gauges()
    # Health comes first: opening the ledger may wait for its server, and probes must see why.
    health = await _listen_health(base, stack, gauges)
    ledger = gauges.ledger = await _open_ledger(base, stack, migrate=migrate)
    cargo = await stack.enter_async_context(adapters.make_cargo(settings, loaded.proxy, metrics))
    gate = Gate(ledger, cargo, base.policy, signals, boottime=boottime)
    worker = Worker(
        ledger,
        cargo,
        gate,
        base.policy,
        signals,
        concurrency=settings.cargo.concurrency,
        clock=wall,
        boottime=boottime,
        metrics=metrics,
    )
    reconciler = Reconciler(ledger, cargo, gate, base.policy, signals, clock=wall, boottime=boottime, metrics=metrics)
    intake = Intake(
        ledger,
        make_rules(settings),
        high_water=settings.ledger.high_water,
        ids=new_id,
        clock=wall,
        boottime=boottime,
        metrics=metrics,
        signals=signals,
    )
    hooks = Hooks(settings)
    sources = Sources(settings.sources, ledger, hooks.take)
    broker = adapters.make_broker(settings, base.report("broker"))
    ways_in, ways_out = _use_broker(base, broker, ledger, intake, sources)
    upkeep = Upkeep(ledger, base.report_ledger())
    # Before the listeners that accept work: a paused source must not accept anything, a learned secret must be there.
    await sources.refresh()
    ops = await _listen_ops(base, stack, ledger, intake, hooks, sources)
    public = await _listen_hooks(base, stack, ledger, intake, hooks, sources)
    tidying: dict[str, Run] = {"ledger": upkeep.watch, "pruner": upkeep.prune, "sources": sources.run}
    if not is_file(settings.ledger.url):
        tidying["cursors"] = upkeep.sequence  # a file has one writer, which assigns cursors at once
    if broker is not None:
        tidying["broker"] = broker.run
    # The order in which the parts stop: each stage still needs the later ones. Inputs first, then calls to Cargo, then
    # the publishing of their results, and last what keeps the ledger and the connections.
    stages = (
        Stage(ways_in, share=0.5),
        Stage({"worker": worker.run, "reconciler": reconciler.run}, share=0.9),
        Stage({"gate": gate.run} | ways_out),
        Stage(tidying),
    )
    return Service(settings, Addresses(public, health, ops), ledger, base.status, stages)


class _Gauges:
    """Reads the ledger's gauges for the health listener, which opens before the ledger."""

    ledger: SqlLedger | None = None

    async def read(self) -> Gauges:
        if self.ledger is None:
            raise Unavailable("the ledger is not open yet")
        return await self.ledger.gauges()


async def _open_ledger(base: _Base, stack: AsyncExitStack, *, migrate: bool) -> SqlLedger:
    report = base.report_ledger()
    report(PartState.STARTING, "")
    ledger = await adapters.reach_ledger(
        base.settings,
        adapters.make_terms(base.settings, base.policy),
        migrate=migrate,
        away=lambda error: report(PartState.STARTING, error),
    )
    stack.push_async_callback(_close_ledger, ledger)
    return ledger


async def _close_ledger(ledger: SqlLedger) -> None:
    try:
        async with asyncio.timeout(_CLOSING):
            await ledger.aclose()
    except TimeoutError:
        log.warning("ledger.unclosed", what=f"it did not close within {_CLOSING:.0f} s: the process ends anyway")


def _use_broker(
    base: _Base, broker: Broker | None, ledger: SqlLedger, intake: Intake, sources: Sources
) -> tuple[dict[str, Run], dict[str, Run]]:
    """The parts that consume from queues, and those that publish; both empty without a broker."""
    if broker is None:
        return {}, {}
    results, dead = base.settings.results, DeadLetters(broker.publishing)
    out = ResultPublisher(broker.publishing, exchange=results.exchange, queue=results.queue)
    broker.publishing.want(out.ensure)
    broker.publishing.want(dead.ensure)
    publisher = Publisher(
        ledger,
        out,
        base.signals,
        clock=wall,
        boottime=boottime,
        metrics=base.metrics,
        report=base.report("publisher"),
    )
    consumers = dict(inputs.make_consumers(base.settings, broker, dead, intake, base.metrics, base.report))
    for name, consumer in consumers.items():
        sources.add_switch(name, consumer.set_paused)
    return {f"source {name}": consumer.run for name, consumer in consumers.items()}, {"publisher": publisher.run}


async def _listen_health(base: _Base, stack: AsyncExitStack, gauges: _Gauges) -> str:
    """Open the health listener in its own event loop, so that it answers even when the main loop is stuck."""
    other = OtherLoop("health")
    stack.push_async_callback(other.aclose)
    app = make_health_app(base.status, base.metrics, other.ask(gauges.read))
    runner = base.listening.inside("health", app)
    return await base.listening.open(stack, runner, "health", base.settings.http.health, other)


async def _listen_ops(
    base: _Base, stack: AsyncExitStack, ledger: SqlLedger, intake: Intake, hooks: Hooks, sources: Sources
) -> str:
    http = base.settings.http
    judges = Court(hooks.by_name, intake, http.max_body, new_id, fetch)
    desk = Desk(ledger, intake, base.settings, sources, judges, new_id, wall, base.signals)
    app = make_ops_app(
        ledger,
        ledger,
        desk,
        token=http.token,
        status=base.status,
        metrics=base.metrics,
        version=__version__,
        encode=encode,
        clock=wall,
    )
    return await base.listening.open(stack, base.listening.inside("ops", app), "ops", http.ops)


async def _listen_hooks(
    base: _Base, stack: AsyncExitStack, ledger: SqlLedger, intake: Intake, hooks: Hooks, sources: Sources
) -> str:
    http = base.settings.http
    runner = make_hooks_runner(
        hooks.by_name,
        intake,
        max_body=http.max_body,
        ids=new_id,
        clock=wall,
        metrics=base.metrics,
        public_url=http.public_url,
        reject=ledger.reject,
        paused=sources.is_paused,
        draining=lambda: base.status.phase is Phase.DRAINING,
        fetch=fetch,
        learn=hooks.learner(sources.learn, boottime),
        crowd=base.listening.public(),
        limit_refused=http.limit_refused,
    )
    return await base.listening.open(stack, runner, "hooks", http.hooks)
