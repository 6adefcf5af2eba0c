"""How many events have come since a list was read, as server-sent events.

Only the count is sent: a list that moved by itself could not be read, and one that grew by 500 events a second would
stop the browser.
"""

import asyncio
from contextlib import suppress
from typing import Final

from aiohttp import web
from aiohttp_sse import sse_response

from relay.errors import Unavailable
from relay.ops.api import Api
from relay.ops.guard import is_still_allowed

MOST: Final = 100
"""What is counted; more are told as `100+`."""
_POLL: Final = 1.0
_TURNS: Final = 600


class Live:
    """`GET /events/live`. A stream ends with the session, and after ten minutes: then the browser asks again."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._closing = asyncio.Event()

    async def close(self, _: web.Application) -> None:
        """End all streams so that the service can stop. For `on_shutdown`."""
        self._closing.set()

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Send the count whenever it has changed.

        Each look is at the last minute only, so that it costs the same however long a list is open; commits are not in
        the order of ids, so what was counted is known by its id.
        """
        known = set(await self._api.newer(request, MOST, since_read=True))
        async with sse_response(request) as response:
            await response.send(str(len(known)))
            for _ in range(_TURNS):
                if await self._rest() or not response.is_connected() or not await is_still_allowed(request):
                    break
                before = len(known)
                if before < MOST:  # no more is told
                    with suppress(Unavailable):  # it goes on when the ledger is back
                        known |= set(await self._api.newer(request, MOST, since_read=False))
                if len(known) != before:
                    await response.send(str(min(len(known), MOST)))
        return response

    async def _rest(self) -> bool:
        try:
            await asyncio.wait_for(self._closing.wait(), _POLL)
        except TimeoutError:
            return False
        return True
