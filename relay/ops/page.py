"""The status page: one plain page made on the server, without JavaScript; everything on it is escaped."""

import secrets
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from relay.errors import Unavailable
from relay.model import EventQuery, EventView, Gauges
from relay.ops.gauges import Watch
from relay.ops.operations import Operations
from relay.ports import Archive
from relay.telemetry import Status
from relay.units import iso, show

_EVENTS: Final = 50
_POLICY: Final = (
    "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class StatusPage:
    """`GET /`; while the ledger is away, what is known without it. `clock` gives milliseconds since the epoch."""

    def __init__(
        self,
        archive: Archive,
        operations: Operations,
        status: Status,
        watch: Watch,
        *,
        version: str,
        clock: Callable[[], int],
    ) -> None:
        self._archive = archive
        self._operations = operations
        self._status = status
        self._watch = watch
        self._version = version
        self._clock = clock
        pages = Environment(
            loader=PackageLoader("relay.ops", "pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        pages.filters.update(iso=iso, ago=self._ago)
        self._page = pages.get_template("status.html")

    async def show(self, _: web.Request) -> web.Response:
        """The page, with a policy that lets a browser load and run nothing."""
        events, fault = await self._events()
        nonce = secrets.token_urlsafe(16)
        gauges = await self._watch.current()
        text = self._page.render(
            nonce=nonce,
            version=self._version,
            now=self._clock(),
            status=self._status,
            numbers=_numbers(gauges),
            pauses=gauges.paused if gauges else {},
            sources=[_source(source) for source in self._operations.sources()],
            events=events,
            fault=fault,
        )
        policy = _POLICY.format(nonce=nonce)
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": policy})

    async def _events(self) -> tuple[tuple[EventView, ...], str]:
        try:
            return (await self._archive.events(EventQuery(limit=_EVENTS))).events, ""
        except Unavailable as error:
            return (), str(error)

    def _ago(self, milliseconds: int) -> str:
        return show(max(0, self._clock() - milliseconds))


def _numbers(gauges: Gauges | None) -> dict[str, str]:
    if gauges is None:
        return {}
    parked = ", ".join(f"{reason} {count}" for reason, count in gauges.parked.items() if count)
    return {
        "due": str(gauges.due),
        "oldest due": show(gauges.oldest_due),
        "unfinished": str(gauges.unfinished),
        "checking": str(gauges.checking),
        "parked": parked or "0",
        "unpublished results": str(gauges.unpublished),
        "unroutable results": str(gauges.unroutable),
    }


def _source(source: Any) -> dict[str, Any]:
    return {
        "name": source["name"],
        "type": source["type"],
        "how": source.get("scheme") or source.get("queue") or "",
        "paused": bool(source.get("paused")),
        "last": source.get("lastEventAt") or "never",
    }
