"""Results as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), resumable."""

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web

from relay.errors import Unavailable
from relay.model import Result
from relay.ports import Outbox

_BATCH: Final = 200
_HEADERS: Final = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Stream:
    """Sends each result as one event: `id:` its cursor, `data:` its CloudEvent.

    Looks for new results each `poll` seconds and sends a comment after `heartbeat` seconds of silence, so that
    proxies keep the connection. `monotonic` gives seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        encode: Callable[[Result], bytes],
        *,
        monotonic: Callable[[], float],
        poll: float = 0.5,
        heartbeat: float = 15.0,
    ) -> None:
        self._outbox = outbox
        self._encode = encode
        self._monotonic = monotonic
        self._poll = poll
        self._heartbeat = heartbeat
        self._closing = asyncio.Event()

    async def close(self, _: web.Application) -> None:
        """End every stream, so that the service can stop; for `on_shutdown`."""
        self._closing.set()

    async def send(self, request: web.Request, after: int | None, *, follow: bool) -> web.StreamResponse:
        """Answer with the results after a cursor (None: from now on). Raises `Unavailable` before the first byte."""
        cursor = await self._outbox.latest() if after is None else after
        batch = await self._outbox.follow(cursor, _BATCH)
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        try:
            await self._run(response, cursor, batch, follow=follow)
        except ConnectionError:
            return response  # the reader went away; it comes back with its Last-Event-ID
        return response

    async def _run(
        self, response: web.StreamResponse, cursor: int, batch: list[tuple[int, Result]], *, follow: bool
    ) -> None:
        await response.write(b"retry: 2000\nid: %d\n\n" % cursor)  # who is cut off before the first result has a cursor
        heard = self._monotonic()
        while True:
            if batch:
                await response.write(b"".join(self._event(at, result) for at, result in batch))
                cursor, heard = batch[-1][0], self._monotonic()
            elif not follow or await self._rest():
                return
            elif self._monotonic() - heard >= self._heartbeat:
                await response.write(b": here\n\n")
                heard = self._monotonic()
            batch = await self._next(cursor, follow=follow)

    async def _next(self, cursor: int, *, follow: bool) -> list[tuple[int, Result]]:
        try:
            return await self._outbox.follow(cursor, _BATCH)
        except Unavailable:
            if not follow:
                raise
            return []  # a stream outlives a ledger that is away; nothing is skipped, the cursor stands

    async def _rest(self) -> bool:
        try:
            await asyncio.wait_for(self._closing.wait(), self._poll)
        except TimeoutError:
            return False
        return True

    def _event(self, cursor: int, result: Result) -> bytes:
        return b"id: %d\ndata: %b\n\n" % (cursor, self._encode(result))
