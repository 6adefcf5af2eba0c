"""The public listener from the start of the process to its end, whatever becomes of its ledger meanwhile."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, cast

from aiohttp import web

from relay.hooks.answer import later
from relay.hooks.app import RETRY_AFTER, Door
from relay.hooks.connection import Connection
from relay.hooks.crowd import Crowd
from relay.hooks.hook import Accepting, Fetch, Hook, Learn
from relay.hooks.quiet import QuietServer
from relay.hooks.quota import Quotas
from relay.hooks.refusals import Refusals
from relay.hooks.strangers import Strangers
from relay.model import Ids, Rejection
from relay.telemetry import Metrics
from relay.units import Rate

_BUFFER: Final = 64 << 10
"""aiohttp buffers up to twice as many bytes of a body before it stops reading from the sender."""


class Front(web.ServerRunner):
    """Serves `POST /hooks/{source}`, its vendors' handshakes, and nothing else; create it in a running event loop.

    `most` is the bytes of a body, before and after inflating. Until `open`, every request is answered 503 with
    `Retry-After`: the port answers while the ledger is still away. The end has two steps: after `say_goodbye` every
    answer closes its connection, so that senders and balancers go elsewhere by themselves; after `close_entrance` no
    further connection is taken. `cleanup` waits up to 10 s for what is still being answered.

    It is aiohttp's server without its application: there is one path, and choosing a route costs more than verifying.
    """

    __slots__ = ("_crowd", "_door")

    def __init__(self, crowd: Crowd, *, most: int) -> None:
        server = QuietServer(
            self._answer_early,
            crowd,
            most=most,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=75.0,
            lingering_time=crowd.caps.linger,
            read_bufsize=_BUFFER,
        )
        super().__init__(server, shutdown_timeout=10.0)
        self._crowd = crowd
        self._door: Door | None = None

    def open(
        self,
        hooks: Mapping[str, Hook],
        intake: Accepting,
        *,
        max_body: int,
        ids: Ids,
        clock: Callable[[], int],
        metrics: Metrics,
        public_url: Callable[[], str | None],
        reject: Callable[[Rejection], Awaitable[None]],
        paused: Callable[[str], bool],
        fetch: Fetch,
        learn: Learn,
        limit_refused: Rate | None = None,
        monotonic: Callable[[], float] = lambda: time.monotonic() * 1_000,
    ) -> None:
        """Take events from now on.

        `max_body` is bytes, before and after inflating. `clock` returns milliseconds since the epoch, `monotonic`
        milliseconds of a monotonic clock. `hooks`, `public_url` and the trusted proxies of the crowd may change while
        the server runs. `reject` stores a refused request; its errors do not affect the response. `limit_refused`
        limits the refused requests per address and source. aiohttp does not decompress bodies, because signatures
        cover the original bytes.
        """
        self._door = door = Door(
            hooks,
            intake,
            Refusals(reject, ids, metrics),
            self._crowd,
            max_body,
            ids,
            clock,
            public_url,
            strangers=Strangers(limit_refused, monotonic),
            quotas=Quotas(monotonic),
            paused=paused,
            fetch=fetch,
            learn=learn,
        )
        self._crowd.report = door.report
        if self.server is not None:
            self.server.request_handler = door.take

    async def _answer_early(self, http: web.BaseRequest) -> web.Response:
        # A connection keeps the handler that it began with, so one that was idle until now may ask here after `open`.
        if self._door is not None:
            return await self._door.take(http)
        answer = later("starting", "the relay is starting; send it again later", RETRY_AFTER)
        answer.force_close()
        return answer

    def say_goodbye(self) -> None:
        """Close each connection with its next answer."""
        self._crowd.leaving = True

    async def close_entrance(self) -> None:
        """Take no further connection, and close those on which nothing was asked; what has begun is still answered."""
        self.say_goodbye()
        for site in self.sites:
            await site.stop()
        if self.server is not None:
            await asyncio.sleep(0)  # connections that were taken already have their first bytes read
            for connection in self.server.connections:
                cast(Connection, connection).close_if_idle()

    async def cleanup(self) -> None:
        """Answer what has begun, for at most 10 s, then close everything."""
        await super().cleanup()
        if self._door is not None:
            await self._door.close()
