"""The composition root: builds a complete relay from its configuration and runs it."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from relay import __version__
from relay.app import adapters, inputs
from relay.app.clock import boottime, wall
from relay.app.doctor import Patient
from relay.app.doctor.running import make_patient
from relay.app.dry import rules_of
from relay.app.former import FormerRules
from relay.app.ground import Ground, LateGauges, listen_health, open_ledger, watch
from relay.app.judge import Court
from relay.app.learned import Hooks
from relay.app.operations import Desk
from relay.app.pauses import RulePauses
from relay.app.queues import Queues
from relay.app.reload import PART, Reloader
from relay.app.samples import Samples
from relay.app.sources import Sources
from relay.app.stages import Stage, run_stages
from relay.app.supervise import Run
from relay.app.swap import Swap
from relay.app.upkeep import Upkeep
from relay.broker import Broker, DeadLetters, Link, ResultPublisher
from relay.cargo import Cargo
from relay.config import Loaded, Settings
from relay.dispatch import BudgetWatch, CreditWatch, Gate, Plans, Reconciler, Worker
from relay.hooks import Front, fetch
from relay.intake import Closer, Intake, JobRunner
from relay.ledger import SqlLedger, is_file
from relay.model import RuleVersion, new_id
from relay.ops import make_ops_app
from relay.outbox import Publisher, encode
from relay.rules import RuleSet
from relay.slots import no_offer
from relay.telemetry import Phase, Status, get_log

log = get_log()


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
    front: Front
    reloader: Reloader

    async def serve(self, ending: asyncio.Event, grace: float, linger: Callable[[], float] = lambda: 0.0) -> None:
        """Run the parts until `ending`, then go on for `linger` seconds, then drain within `grace` seconds.

        Draining is: stop inputs, finish calls, publish.
        """
        self.status.phase = Phase.SERVING
        stopping = asyncio.Event()
        leaving = asyncio.create_task(self._leave(ending, stopping, grace, linger))
        try:
            await run_stages(self.stages, stopping, grace, self.status)
        finally:
            leaving.cancel()
        log.info("service.drained")

    async def _leave(
        self, ending: asyncio.Event, stopping: asyncio.Event, grace: float, linger: Callable[[], float]
    ) -> None:
        """Say that the relay is about to stop, and take what comes until nobody sends it anything any more.

        A balancer hears of the end by `/readyz`, some seconds late; a sender hears of it by the answers, which close
        its connection. So the listener is closed only after `linger`. Connections that come later are refused by the
        system: then balancers take the next replica.
        """
        await ending.wait()
        try:
            seconds = linger()
            self.status.phase = Phase.DRAINING
            self.front.say_goodbye()
            log.info("service.draining", linger_s=seconds, grace_s=grace)
            await asyncio.sleep(seconds)
            await self.front.close_entrance()
        finally:
            stopping.set()


async def build(loaded: Loaded, stack: AsyncExitStack, *, migrate: bool) -> Service:
    """Create all parts and open the listeners.

    `stack` closes what is opened, in reverse order. Raises Misconfigured, Unusable, Blocked.
    """
    ground = Ground.of(loaded)
    force, settings, metrics, signals = ground.force, ground.settings, ground.metrics, ground.signals
    watch(ground, stack)
    gauges = LateGauges()
    # Health comes first: opening the ledger may wait for its server, and probes must see why.
    health = await listen_health(ground, stack, gauges)
    # Likewise the hooks listener, which asks senders to come again meanwhile. A balancer so sees a port that is open.
    crowd = ground.listening.public()
    front = Front(crowd, most=settings.http.max_body)
    public = await ground.listening.open(stack, front, "hooks", settings.http.hooks)
    missed: list[int] = []
    ledger = gauges.ledger = await open_ledger(ground, stack, missed, migrate=migrate)
    watcher = adapters.make_watcher(
        settings, ledger, metrics, ground.status, signals, away=boottime() - missed[0] if missed else 0
    )
    cargo = await stack.enter_async_context(adapters.make_cargo(settings, loaded.proxy, metrics))
    broker = adapters.make_broker(settings, ground.report("broker"))
    publisher = None if broker is None else _make_publisher(ground, broker, ledger)
    gate = Gate(ledger, cargo, force.policy, signals, boottime=boottime)
    worker = Worker(
        ledger,
        cargo,
        gate,
        force.policy,
        signals,
        concurrency=settings.cargo.concurrency,
        clock=wall,
        boottime=boottime,
        metrics=metrics,
        publishing=no_offer if publisher is None else publisher.offer,
        tracing=ground.tracing,
    )
    reconciler = Reconciler(ledger, cargo, gate, force.policy, signals, clock=wall, boottime=boottime, metrics=metrics)
    intake = Intake(
        ledger,
        force.rules,
        high_water=settings.ledger.high_water,
        ids=new_id,
        clock=wall,
        boottime=boottime,
        metrics=metrics,
        signals=signals,
        offers=worker.offer,
        tracing=ground.tracing,
    )

    def rules_as_of(version: RuleVersion | None) -> RuleSet:
        """The rules in force, or the one that a reload has changed since."""
        current = intake.rules
        return current if version is None or current.version(version.rule) == version.hash else rules_of(version)

    closer = Closer(ledger, rules_as_of, signals, boottime=boottime, metrics=metrics)

    def plans() -> Plans:
        return intake.rules.budgets()  # of the rules in force, which may be replaced

    jobs = JobRunner(ledger, lambda: intake.rules, signals, ids=new_id, clock=wall, boottime=boottime, metrics=metrics)
    budgets = BudgetWatch(ledger, cargo, gate, plans, boottime=boottime, metrics=metrics)

    credit_watch = _make_credit_watch(ledger, cargo, gate, intake)
    hooks = Hooks(settings, force.hooks)
    sources = Sources(settings.sources, ledger, hooks.take)
    pauses = RulePauses(ledger, lambda: intake.rules, signals)
    queues = None if broker is None else _make_queues(ground, broker, intake, sources)

    swap = Swap(
        cargo, ledger, gate, worker, reconciler, intake, hooks, sources, crowd, queues, watcher, metrics, signals
    )
    reloader = Reloader(force, swap.put, ledger.keep_versions, metrics, ground.status)
    upkeep = Upkeep(ledger, ground.report_ledger(), __version__)
    # Before anything is taken in: a paused source must not accept anything, a learned secret must be there.
    await sources.refresh()
    await pauses.refresh()
    former = await FormerRules.read(ledger, lambda: intake.rules)
    await ledger.keep_versions(force.rules.versions)  # and every version before a dispatch names it
    link = broker.publishing if broker is not None else None
    patient = partial(make_patient, ledger, cargo, gate, hooks, sources, reloader, link, ground.status)
    ops = await _listen_ops(ground, stack, ledger, intake, hooks, sources, pauses, reloader, link, patient)
    _open_front(front, ground, ledger, intake, hooks, sources, reloader)
    tidying: dict[str, Run] = {
        "ledger": upkeep.watch,
        "pruner": upkeep.prune,
        "sources": sources.run,
        "rules": pauses.run,
        "former": former.run,
        "problems": watcher.run,
        "minutes": partial(upkeep.count, metrics.minutes),
    }
    if settings.alerts.urls:
        tidying["alerts"] = (await adapters.make_alerts(settings, ledger, signals, stack)).run
    if not is_file(settings.ledger.url):
        tidying["cursors"] = upkeep.sequence  # a file has one writer, which assigns cursors at once
    if broker is not None:
        tidying["broker"] = broker.run
    # The order in which the parts stop: each stage still needs the later ones. Inputs first, then calls to Cargo, then
    # the publishing of their results, and last what keeps the ledger and the connections.
    stages = (
        Stage({PART: reloader.run, "jobs": jobs.run} | ({} if queues is None else {"queues": queues.run}), share=0.5),
        Stage(
            {
                "worker": worker.run,
                "reconciler": reconciler.run,
                "budgets": budgets.run,
                "usage": credit_watch.run,
                "windows": closer.run,
            },
            share=0.9,
        ),
        Stage({"gate": gate.run} | ({} if publisher is None else {"publisher": publisher.run})),
        Stage(tidying),
    )
    return Service(settings, Addresses(public, health, ops), ledger, ground.status, stages, front, reloader)


def _make_credit_watch(ledger: SqlLedger, cargo: Cargo, gate: Gate, intake: Intake) -> CreditWatch:
    def trigger_types() -> frozenset[str]:
        return intake.rules.trigger_types()  # of the rules in force

    return CreditWatch(ledger, ledger, cargo, gate, trigger_types, clock=wall, boottime=boottime)


def _make_publisher(ground: Ground, broker: Broker, ledger: SqlLedger) -> Publisher:
    results = ground.settings.results
    exchange = ResultPublisher(
        broker.publishing,
        exchange=results.exchange,
        queue=results.queue,
        others=adapters.result_exchanges(ground.settings),
    )
    broker.publishing.want(exchange.ensure)
    return Publisher(
        ledger,
        exchange,
        ground.signals,
        clock=wall,
        boottime=boottime,
        metrics=ground.metrics,
        report=ground.report("publisher"),
        tracing=ground.tracing,
    )


def _make_queues(ground: Ground, broker: Broker, intake: Intake, sources: Sources) -> Queues:
    dead = DeadLetters(broker.publishing)
    broker.publishing.want(dead.ensure)
    make = inputs.make_consumers(broker, dead, intake, ground.metrics, ground.report)
    return Queues(make, ground.force.queues, sources, ground.status)


async def _listen_ops(
    ground: Ground,
    stack: AsyncExitStack,
    ledger: SqlLedger,
    intake: Intake,
    hooks: Hooks,
    sources: Sources,
    pauses: RulePauses,
    reloader: Reloader,
    link: Link | None,
    patient: Callable[[], Patient],
) -> str:
    http = ground.settings.http
    judges = Court(hooks.by_name, intake, http.max_body, new_id, fetch)
    samples = Samples(judges, sources.is_paused, new_id, wall)
    desk = Desk(
        ledger,
        ledger,
        intake,
        reloader,
        sources,
        pauses,
        judges,
        new_id,
        wall,
        ground.signals,
        patient,
        samples,
        ground.metrics,
        link,
    )
    app = make_ops_app(
        ledger,
        ledger,
        desk,
        holders=lambda: adapters.holders_of(reloader.force.settings.http),
        status=ground.status,
        metrics=ground.metrics,
        version=__version__,
        encode=encode,
        clock=wall,
        workspace_at=lambda: adapters.workspace_at(reloader.force.settings.cargo),
    )
    return await ground.listening.open(stack, ground.listening.inside("ops", app), "ops", http.ops)


def _open_front(
    front: Front,
    ground: Ground,
    ledger: SqlLedger,
    intake: Intake,
    hooks: Hooks,
    sources: Sources,
    reloader: Reloader,
) -> None:
    http = ground.settings.http
    front.open(
        hooks.by_name,
        intake,
        max_body=http.max_body,
        ids=new_id,
        clock=wall,
        metrics=ground.metrics,
        public_url=lambda: reloader.force.settings.http.public_url,
        reject=ledger.reject,
        paused=sources.is_paused,
        fetch=fetch,
        learn=hooks.learner(sources.learn, boottime),
        limit_refused=http.limit_refused,
    )
