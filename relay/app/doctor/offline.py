"""Examines what a configuration names, without a running relay."""

from functools import partial

from relay.app.adapters import make_cargo
from relay.app.clock import wall
from relay.app.doctor.line import Diagnosis
from relay.app.doctor.patient import Patient
from relay.app.online import connected
from relay.config import Settings
from relay.ledger import inspect_ledger
from relay.proxy import Proxy
from relay.telemetry import Metrics


async def examine_files(settings: Settings, proxy: Proxy | None) -> list[Diagnosis]:
    """All lines. What only a running relay knows is a line `look`."""
    block = settings.ledger
    return await Patient(
        settings=settings,
        inspect=partial(inspect_ledger, block.url, tuple(settings.sources), **block.access()),
        link=partial(connected, settings),
        cargo=partial(make_cargo, settings, proxy, Metrics()),
        clock=wall,
    ).examine()
