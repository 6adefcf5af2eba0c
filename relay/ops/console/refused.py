"""Who was turned away, and why? Refused requests, grouped by source and reason."""

from collections import Counter
from typing import Final
from urllib.parse import quote

from aiohttp import web

from relay.ops.ask import RefusalsAsk, read_query
from relay.ops.console.page import Confirmation, Console, Done, Form, Values
from relay.ops.guard import actor_of

_MOST: Final = 20
_MOST_OF_ALL: Final = 5
"""Requests that a group shows where all sources are on the page: there may be hundreds of groups."""


async def show(console: Console, request: web.Request) -> Values:
    """All groups, or those of one source, with their newest requests."""
    chosen = read_query(request, RefusalsAsk).source
    groups = await console.api.refusals(request, chosen, _MOST if chosen else _MOST_OF_ALL)
    configured = [source.name for source in (await console.api.sources(request)).sources]
    kept: Counter[str] = Counter()  # of its source, because all of that is readmitted at once
    for group, _ in groups:
        kept[group.source] += group.kept
    return {
        "groups": [
            {
                "source": group.source,
                "reason": group.reason,
                "count": group.count,
                "requests": requests,
                "kept": kept[group.source] if group.source in configured else 0,
                "readmit": f"/refused/{quote(group.source, safe='')}/readmit",
            }
            for group, requests in groups
            if chosen in (None, group.source)
        ],
        "sources": [*configured, *sorted({group.source for group, _ in groups} - set(configured))],
        "query": request.query,
    }


async def ask_readmit(console: Console, request: web.Request) -> Confirmation:
    """What would become of the kept requests, tried without accepting any."""
    name = request.match_info["name"]
    done = await console.operations.readmit(name, dry_run=True, by=actor_of(request))
    says = (
        f"All kept requests of {name} are verified again, with the secrets and keys that are in force now.",
        f"By a trial just now, {done['readmitted']} would be accepted and {done['refused']} refused again.",
        "What is accepted becomes an event, and its rules make chats of it.",
    )
    return Confirmation(f"Readmit the refused requests of {name}?", says, "Readmit", "/refused")


async def readmit(console: Console, request: web.Request, _: Form) -> Done:
    name = request.match_info["name"]
    done = await console.operations.readmit(name, dry_run=False, by=actor_of(request))
    return Done(f"{done['readmitted']} readmitted, {done['refused']} refused again.", "/refused")
