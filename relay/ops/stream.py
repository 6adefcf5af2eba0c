"""Results as resumable server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web

from relay.errors import Conflict, Unavailable
from relay.model import Result
from relay.ops.guard import is_still_allowed
from relay.ops.hide import Hide
from relay.ports import Outbox

_BATCH: Final = 200
_HEADERS: Final = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Stream:
    """Sends each result as one event: `id:` is its cursor, `data:` its CloudEvent.

    It polls for new results every `poll` seconds, and sends a comment after `heartbeat` seconds of silence, so that
    proxies keep the connection. `monotonic` returns seconds.
    """

    def __init__(
        self,
        outbox: Outbox,
        encode: Callable[[Result], bytes],
        hide: Hide,
        *,
        monotonic: Callable[[], float],
        poll: float = 0.5,
        heartbeat: float = 15.0,
    ) -> None:
        self._outbox = outbox
        self._encode = encode
        self._hide = hide
        self._monotonic = monotonic
        self._poll = poll
        self._heartbeat = heartbeat
        self._closing = asyncio.Event()

    async def close(self, _: web.Application) -> None:
        """End all streams so that the service can stop. For `on_shutdown`."""
        self._closing.set()

    async def send(self, request: web.Request, after: int | None, *, follow: bool) -> web.StreamResponse:
        """Stream the results after a cursor (None: from now on). Raises Unavailable and Conflict before any byte."""
        latest = await self._outbox.latest()
        if after is not None and after > latest:  # nothing would come until the old number is reached again
            raise Conflict(
                f"Last-Event-ID or after: {after} is newer than the last result, {latest}: the ledger was restored or "
                "made anew; begin again with after=0 or after=latest"
            )
        cursor = latest if after is None else after
        batch = await self._read(request, cursor)
        response = web.StreamResponse(headers=_HEADERS)
        await response.prepare(request)
        try:
            await self._run(request, response, cursor, batch, follow=follow)
        except ConnectionError:
            return response  # the client disconnected; it resumes with its Last-Event-ID
        return response

    async def _run(
        self,
        request: web.Request,
        response: web.StreamResponse,
        cursor: int,
        batch: list[tuple[int, Result]],
        *,
        follow: bool,
    ) -> None:
        await response.write(
            b"retry: 2000\nid: %d\n\n" % cursor
        )  # so that a client can resume from before the first result
        last_write = self._monotonic()
        while True:
            if batch:
                await response.write(b"".join(self._event(position, result) for position, result in batch))
                cursor, last_write = batch[-1][0], self._monotonic()
            elif not follow or await self._rest():
                return
            elif self._monotonic() - last_write >= self._heartbeat:
                await response.write(b": here\n\n")
                last_write = self._monotonic()
            if not await is_still_allowed(request):
                return  # whoever asks again, with the `Last-Event-ID`, is told why
            batch = await self._next(request, cursor, follow=follow)

    async def _read(self, request: web.Request, cursor: int) -> list[tuple[int, Result]]:
        return await self._hide.results(request, await self._outbox.follow(cursor, _BATCH))

    async def _next(self, request: web.Request, cursor: int, *, follow: bool) -> list[tuple[int, Result]]:
        try:
            return await self._read(request, cursor)
        except Unavailable:
            if not follow:
                raise
            return []  # the stream goes on when the ledger is back; the cursor has not moved, so nothing is skipped

    async def _rest(self) -> bool:
        try:
            await asyncio.wait_for(self._closing.wait(), self._poll)
        except TimeoutError:
            return False
        return True

    def _event(self, cursor: int, result: Result) -> bytes:
        return b"id: %d\ndata: %b\n\n" % (cursor, self._encode(result))
