"""What was told, and what waits to be."""

from typing import Any, Final

from aiohttp import web

from relay.ops.console.page import Console, Values
from relay.ops.wire import ResultState

_WAITING: Final = 50


async def show(console: Console, request: web.Request) -> Values:
    """The page: what waits, then what was told, the newest first."""
    told = await console.api.told(request)
    waiting = await console.api.still_waiting(request, _WAITING)
    return {
        "waiting": [_present(result) for result in waiting.results],
        "told": [_present(result) for result in told.results],
        "cursor": told.cursor,
        "query": request.query,
        "gauges": await console.watch.current(),
    }


def _present(result: ResultState) -> dict[str, Any]:
    """A result with the parts of its data that are shown."""
    data = result.data if isinstance(result.data, dict) else {}
    error = data.get("error")
    return {
        "it": result,
        "word": result.type.removeprefix("relay."),
        "tone": "bad" if result.type.endswith((".failed", ".parked", ".opened")) else "ok",
        "rule": data.get("rule"),
        "event": data.get("eventId"),
        "chat": data.get("chatUuid"),
        "error": error.get("message") if isinstance(error, dict) else None,
    }
