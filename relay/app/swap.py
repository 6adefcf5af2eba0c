"""Swaps what is in force in every part of a running relay."""

from dataclasses import dataclass, replace

from relay.app.adapters import expectations
from relay.app.force import Force
from relay.app.former import hand_over
from relay.app.learned import Hooks
from relay.app.queues import Queues
from relay.app.sources import Sources
from relay.cargo import Cargo
from relay.dispatch import Gate, Reconciler, Worker
from relay.hooks import Crowd
from relay.intake import Intake
from relay.ledger import SqlLedger
from relay.life import Signals
from relay.problems import Watcher
from relay.telemetry import Metrics


@dataclass(frozen=True, slots=True)
class Swap:
    """The parts that run by a configuration. `queues` is None without a broker."""

    cargo: Cargo
    ledger: SqlLedger
    gate: Gate
    worker: Worker
    reconciler: Reconciler
    intake: Intake
    hooks: Hooks
    sources: Sources
    crowd: Crowd
    queues: Queues | None
    watcher: Watcher
    metrics: Metrics
    signals: Signals

    def put(self, former: Force, present: Force) -> None:
        """Put `present` into force. Nothing here waits, and nothing can fail, so that no part runs on half of it."""
        old, new = former.settings, present.settings
        if (old.cargo.token, old.cargo.workspace_uuid) != (new.cargo.token, new.cargo.workspace_uuid):
            self.cargo.use(new.cargo.token, new.cargo.workspace_uuid)
            self.gate.renew()
        self.ledger.terms = replace(present.terms, paused_rules=self.ledger.terms.paused_rules)
        self.worker.policy = self.gate.policy = self.reconciler.policy = present.policy
        hand_over(former.rules, present.rules)
        self.intake.use(present.rules, high_water=new.ledger.high_water)
        self.hooks.use(new, present.hooks)
        self.sources.use(new.sources)
        self.watcher.expect, self.watcher.backlog = expectations(new), new.alerts.backlog
        self.watcher.sources, self.watcher.rules = new.sources.keys(), frozenset(rule.name for rule in new.rules)
        self.crowd.trusted = new.http.trusted_proxies
        if self.queues is not None:
            self.queues.use(present.queues)
        self.metrics.expect(rule.name for rule in present.rules.rules)
        self.metrics.config_info.clear()
        self.metrics.config_info.labels(present.digest).set(1)
        self.signals.work.set()
