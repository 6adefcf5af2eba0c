"""What came? Events, newest first."""

from typing import Final

from aiohttp import web

from relay.model import EventStatus, State
from relay.ops.console.live import MOST
from relay.ops.console.outcome import tell_event
from relay.ops.console.page import Console, Values
from relay.ops.console.render import go
from relay.ops.console.text import with_query

_STATUSES: Final = (
    *(str(each) for each in EventStatus if each is not EventStatus.DUPLICATE),
    *(str(each) for each in State),
)
_WINDOW: Final = "24h"
"""How far back a text is searched for unless `since` says something else: bodies have no index."""


async def show(console: Console, request: web.Request) -> Values | web.StreamResponse:
    """The list, with its filters in the address."""
    query = request.query
    if "text" in query and "since" not in query:
        return go(f"/events{with_query(query, since=_WINDOW)}")
    page = await console.api.events(request)
    filters = with_query(query, cursor=None)
    newest = page.events[0].id if page.events else ""
    return {
        "rows": [(event, tell_event(event.status, event.received_at, event.dispatches)) for event in page.events],
        "notice_of_search": page.notice,
        "cursor": page.cursor,
        "newer": await console.api.newer_page(request),
        "query": query,
        "filters": filters,
        "live": "" if "cursor" in query else f"/events/live{with_query(query, after=newest)}",
        "most": MOST,
        "statuses": _STATUSES,
        "sources": [source.name for source in (await console.api.sources(request)).sources],
        "rules": [rule["name"] for rule in console.operations.rules()],
    }
