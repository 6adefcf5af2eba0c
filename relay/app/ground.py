"""What all parts of a relay stand on: it is there before the ledger is open, and until after it is closed."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, Self

from relay import __version__
from relay.app import adapters
from relay.app.clock import boottime, wall
from relay.app.force import Force, make_force
from relay.app.listen import Listening
from relay.app.otherloop import OtherLoop
from relay.app.upkeep import beat
from relay.config import Loaded, Settings
from relay.errors import Unavailable
from relay.ledger import SqlLedger, is_file
from relay.life import Signals
from relay.model import Gauges
from relay.ops import make_health_app
from relay.telemetry import Metrics, PartState, Reporter, Status, Tracing, get_log

log = get_log()

_CLOSING: Final = 5.0
"""The timeout for closing the ledger, whose server may be away, in seconds."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What all parts of a relay share and what exists before the ledger is open."""

    force: Force
    settings: Settings
    metrics: Metrics
    status: Status
    signals: Signals
    listening: Listening
    tracing: Tracing | None

    @classmethod
    def of(cls, loaded: Loaded) -> Self:
        force, metrics = make_force(loaded, adapters.make_owner()), Metrics(boottime)
        settings = force.settings
        metrics.config_info.labels(force.digest).set(1)
        metrics.config_reload.set(1)
        metrics.expect(rule.name for rule in force.rules.rules)
        metrics.build_info.labels(__version__).set(1)
        status = Status(wall, asyncio.get_running_loop().time)
        listening = Listening(settings, metrics)
        return cls(force, settings, metrics, status, Signals(), listening, adapters.make_tracing())

    def report(self, part: str, *, vital: bool = False) -> Reporter:
        def report(state: PartState, reason: str, public: str | None = None, /) -> None:
            self.status.set(part, state, reason, vital=vital, public=public)

        return report

    def report_ledger(self) -> Reporter:
        """A reporter for the ledger. An unusable file makes the relay unready; an unavailable server does not."""
        return self.report("ledger", vital=is_file(self.settings.ledger.url))


def watch(ground: Ground, stack: AsyncExitStack) -> None:
    """Let the heart beat, and have spans sent at the end."""
    heart = asyncio.create_task(beat(ground.status))
    stack.callback(heart.cancel)
    if ground.tracing is not None:
        stack.push_async_callback(ground.tracing.close)


class LateGauges:
    """Reads the ledger's gauges for the health listener, which opens before the ledger."""

    ledger: SqlLedger | None = None

    async def read(self) -> Gauges:
        if self.ledger is None:
            raise Unavailable("the ledger is not open yet")
        return await self.ledger.gauges()


async def open_ledger(ground: Ground, stack: AsyncExitStack, missed: list[int], *, migrate: bool) -> SqlLedger:
    """Open the ledger. `missed` gets the boottime in ms of each try at which it was away."""
    report = ground.report_ledger()

    def miss(error: str) -> None:
        missed.append(boottime())
        report(PartState.STARTING, error)

    report(PartState.STARTING, "")
    ledger = await adapters.reach_ledger(
        ground.settings,
        ground.force.terms,
        migrate=migrate,
        away=miss,
    )
    stack.push_async_callback(_close_ledger, ledger)
    return ledger


async def _close_ledger(ledger: SqlLedger) -> None:
    try:
        async with asyncio.timeout(_CLOSING):
            await ledger.aclose()
    except TimeoutError:
        log.warning("ledger.unclosed", what=f"it did not close within {_CLOSING:.0f} s: the process ends anyway")


async def listen_health(ground: Ground, stack: AsyncExitStack, gauges: LateGauges) -> str:
    """Open the health listener in its own event loop, so that it answers even when the main loop is stuck."""
    other = OtherLoop("health")
    stack.push_async_callback(other.aclose)
    app = make_health_app(ground.status, ground.metrics, other.ask(gauges.read))
    runner = ground.listening.inside("health", app)
    return await ground.listening.open(stack, runner, "health", ground.settings.http.health, other)
