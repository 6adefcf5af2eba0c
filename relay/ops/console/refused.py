"""Who was turned away, and why? Refused requests, grouped by source and reason."""

from collections import defaultdict
from urllib.parse import quote

from aiohttp import web

from relay.ops.console.page import Confirmation, Console, Done, Form, Values
from relay.ops.guard import actor_of
from relay.ops.wire import Rejection


async def show(console: Console, request: web.Request) -> Values:
    """The newest refused requests."""
    groups: defaultdict[tuple[str, str], list[Rejection]] = defaultdict(list)
    for rejection in (await console.api.rejected(request)).rejected:
        groups[rejection.source, rejection.reason].append(rejection)
    return {
        "groups": [
            {
                "source": source,
                "reason": reason,
                "requests": requests,
                "kept": sum(each.kept and each.readmitted is None for each in requests),
                "readmit": f"/refused/{quote(source, safe='')}/readmit",
            }
            for (source, reason), requests in groups.items()
        ],
        "sources": [source.name for source in (await console.api.sources(request)).sources],
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
