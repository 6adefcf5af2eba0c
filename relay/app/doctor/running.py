"""Examines a running relay by its own parts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from functools import partial

from relay.app.clock import wall
from relay.app.doctor.patient import Patient
from relay.app.learned import Hooks
from relay.app.reload import Reloader
from relay.app.sources import Sources
from relay.broker import Link
from relay.cargo import Cargo
from relay.dispatch import Gate
from relay.ledger import SqlLedger
from relay.telemetry import Status


def make_patient(
    ledger: SqlLedger,
    cargo: Cargo,
    gate: Gate,
    hooks: Hooks,
    sources: Sources,
    reloader: Reloader,
    link: Link | None,
    status: Status,
) -> Patient:
    """What is examined, as the parts are now."""
    settings = reloader.force.settings
    return Patient(
        settings=settings,
        inspect=partial(ledger.inspect, tuple(settings.sources)),
        link=partial(_linked, link, status),
        cargo=lambda: nullcontext(cargo),
        clock=wall,
        paused=[name for name in settings.sources if sources.is_paused(name)],
        pauses=gate.paused,
        uses={name: hook.scheme.used_at for name, hook in hooks.by_name.items()},
    )


@asynccontextmanager
async def _linked(link: Link | None, status: Status) -> AsyncIterator[Link | str]:
    """The connection for publishing, or why there is none now."""
    reasons = (part.reason for part in status.parts() if part.name == "broker")
    yield link if link is not None and link.up else next(reasons, "") or "not connected"
