"""Where events come from: the sources, how each is set up, and what came of it."""

from typing import Final
from urllib.parse import quote

from aiohttp import web

from relay.errors import NotFound
from relay.ops.console.chart import charts, time_to_result
from relay.ops.console.page import Confirmation, Console, Done, Form, Values
from relay.ops.guard import actor_of
from relay.ops.rated import RatesAsk
from relay.ops.setup import Source
from relay.schemes import names, vendor

_COUNTS: Final = ("accepted", "refused", "duplicate", "unmatched")


async def show(console: Console, request: web.Request) -> Values:
    """The page of all sources."""
    counted = await console.api.by_source()
    sources = (await console.api.sources(request)).sources
    return {"sources": [(source, counted.get(source.name)) for source in sources]}


async def show_source(console: Console, request: web.Request) -> Values:
    """The page of one source."""
    source = await find_source(console, request)
    rates = await console.api.rates_of(RatesAsk(since="24h", step="15m", source=source.name))
    entry = vendor(source.scheme) if source.scheme in names() else None
    why_not = await console.operations.why_no_sample(source.name) if source.path else None
    address = source.address or f"https://<your relay>{source.path}"
    return {
        "source": source,
        "why_no_sample": why_not,
        "place": place_of(source.name),
        "charts": charts(rates, _COUNTS),
        "time": time_to_result(rates.total),
        "events": (await console.api.recent(request, source.name, 10)).events,
        "vendor": entry,
        "steps": [step.replace("{url}", address) for step in entry.setup] if entry and source.path else [],
    }


async def find_source(console: Console, request: web.Request) -> Source:
    """The source that the address names. Raises NotFound."""
    name = request.match_info["name"]
    for source in (await console.api.sources(request)).sources:
        if source.name == name:
            return source
    raise NotFound(f"there is no source {name[:80]!r}")


def place_of(name: str) -> str:
    """The page of a source."""
    return f"/sources/{quote(name, safe='')}"


async def ask_pause(console: Console, request: web.Request) -> Confirmation:
    """What pausing means."""
    source = await find_source(console, request)
    if source.path:
        says = "Its sender gets 503 with Retry-After: it sends again later, for as long as its vendor does."
    else:
        says = "Its queue is not consumed: messages wait in RabbitMQ."
    more = "What was accepted goes on. The pause holds on all replicas until somebody resumes the source."
    return Confirmation(f"Pause the source {source.name}?", (says, more), "Pause", place_of(source.name))


async def pause(console: Console, request: web.Request, _: Form) -> Done:
    name = request.match_info["name"]
    await console.operations.pause_source(name, by=actor_of(request))
    return Done(f"The source {name} is paused.", place_of(name))


async def ask_resume(console: Console, request: web.Request) -> Confirmation:
    """What resuming means."""
    name = (await find_source(console, request)).name
    return Confirmation(f"Resume the source {name}?", ("It takes in events again.",), "Resume", place_of(name))


async def resume(console: Console, request: web.Request, _: Form) -> Done:
    name = request.match_info["name"]
    await console.operations.resume_source(name, by=actor_of(request))
    return Done(f"The source {name} takes in events again.", place_of(name))
