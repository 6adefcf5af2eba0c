"""Is it well? Open problems first, then numbers, then where events come from."""

from typing import Any, Final

from aiohttp import web

from relay.errors import Unavailable
from relay.model import ParkReason, ProblemState
from relay.ops.console.chart import Chart, charts, time_to_result
from relay.ops.console.page import Console, Values
from relay.ops.console.problems import present
from relay.ops.console.standing import stand
from relay.ops.rated import RatesAsk
from relay.ops.setup import Replica

_MOST: Final = 20
_COUNTS: Final = ("accepted", "chats", "failed", "refused")


async def show(console: Console, request: web.Request) -> Values:
    """The page. While the ledger is away, it shows the rest."""
    gauges = await console.watch.current()
    problems, more, fault = await _problems(console, request)
    rates, time = await _rates(console)
    parts = console.api.parts(request, console.status)
    return {
        "standing": stand(console.status, gauges, parts),
        "phase": console.status.phase.value,
        "problems": problems,
        "more": more,
        "fault": fault,
        "charts": rates,
        "time": time,
        "gauges": gauges,
        "parked": [(reason.value, gauges.parked.get(reason.value, 0)) for reason in ParkReason] if gauges else [],
        "sources": (await console.api.sources(request)).sources,
        "replicas": await _replicas(console, request),
        "parts": parts,
    }


async def _problems(console: Console, request: web.Request) -> tuple[list[dict[str, Any]], bool, str]:
    """The problems that are not resolved, whether there are more, and why they are not known."""
    try:
        found = [
            await console.api.unresolved(request, state, _MOST)
            for state in (ProblemState.OPEN, ProblemState.ACKNOWLEDGED)
        ]
    except Unavailable as error:
        return [], False, str(error)
    return [present(each) for page in found for each in page.problems], any(page.cursor for page in found), ""


async def _replicas(console: Console, request: web.Request) -> list[Replica]:
    """The replicas that are there."""
    try:
        return (await console.api.replicas(request)).replicas
    except Unavailable:
        return []


async def _rates(console: Console) -> tuple[list[Chart], str]:
    """What happened in the last hour, and how long results took."""
    try:
        rates = await console.api.rates_of(RatesAsk())
    except Unavailable:
        return [], ""
    return charts(rates, _COUNTS), time_to_result(rates.total)
