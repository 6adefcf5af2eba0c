"""Who did what by hand."""

from typing import Final
from urllib.parse import quote

from aiohttp import web

from relay.ops.console.page import Console, Values

_PLACES: Final = {
    "event": "/events",
    "dispatch": "/events",
    "source": "/sources",
    "secret": "/sources",
    "rule": "/rules",
}


async def show(console: Console, request: web.Request) -> Values:
    """The page, the newest first."""
    page = await console.api.acts(request)
    return {
        "acts": [(act, _place(act.act, act.target)) for act in page.acts],
        "cursor": page.cursor,
        "query": request.query,
    }


def _place(act: str, target: str) -> str | None:
    """The page of what was acted on."""
    folder = _PLACES.get(act.partition(".")[0])
    return None if folder is None else f"{folder}/{quote(target, safe='')}"
