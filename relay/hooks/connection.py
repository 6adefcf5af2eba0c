"""A connection with limits of memory and time, on top of aiohttp's protocol.

aiohttp limits the length of a line, the number of headers and the unread bytes of a body. It does not limit the bytes
of all connections together, the size of a head (128 headers of 8 KiB), or the time for it. So every byte is counted
here, from its arrival until its request is answered.
"""

import asyncio
import json
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from aiohttp import StreamReader, web
from aiohttp.web_protocol import RequestHandler

from relay.hooks.answer import problem
from relay.hooks.crowd import Cap, Crowd
from relay.hooks.pool import Ease, Pool
from relay.hooks.unread import judge, judge_size
from relay.limits import party_of
from relay.telemetry import get_log

if TYPE_CHECKING:
    from aiohttp.web_server import Server

log = get_log()

_SLACK: Final = 4 << 10
"""Bytes besides the body that are not examined: a usual head, and the framing of chunks."""
_WORDS: Final = {
    Cap.CONNECTIONS: (503, "too many connections are open; send it again later"),
    Cap.IN_FLIGHT: (503, "too much is being received at once; send it again later"),
    Cap.HEAD: (431, "the headers of this request are too large"),
    Cap.HEAD_SLOW: (408, "the headers of this request did not arrive in time"),
}


class Crowded(Exception):
    """Too much is being received at once, and this request must give way."""


class Connection(RequestHandler):
    """A connection of the `crowd`. Its `party` is the peer, until a trusted proxy names another one."""

    __slots__ = (
        "_begun", "_crowd", "_deaf", "_head", "_held", "_last", "_patience", "_pools", "_timer", "_unread",
        "crowded", "party",
    )  # fmt: skip

    def __init__(self, server: "Server", crowd: Crowd, *, loop: asyncio.AbstractEventLoop, **options: object) -> None:
        super().__init__(server, loop=loop, **options)  # type: ignore[arg-type] # aiohttp's own options, passed on
        self.party = ""
        self.crowded = False
        self._crowd = crowd
        self._deaf = False  # further input is read and discarded
        self._pools: list[Pool[Connection]] = [crowd.bytes]
        self._held = 0
        self._head = 0
        self._begun = bytearray()  # the incomplete head, to describe it if it is malformed
        self._unread: bytes | None = None
        self._last: StreamReader | None = None
        self._patience: asyncio.Timeout | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def crowd(self) -> Crowd:
        """All connections of this listener."""
        return self._crowd

    @property
    def ease(self) -> Ease:
        """How easily this connection can be closed."""
        if self._patience is not None or self._head or self._deaf:
            return Ease.READING
        return Ease.IDLE if self._waiter is not None and not self._waiter.done() else Ease.BUSY

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer = transport.get_extra_info("peername")
        self.party = party_of(peer[0] if isinstance(peer, tuple) else None)
        if not self._crowd.seats.add(self, 1):
            victim = self._crowd.seats.find(self)
            if victim is None:
                self.transport = transport  # type: ignore[assignment] # aiohttp's attribute, without starting its tasks
                self._turn_away(Cap.CONNECTIONS)
                return
            victim.make_room()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._crowd.seats.leave(self)
        self._stop_timer()
        super().connection_lost(exc)
        # A running handler keeps the body after its connection is lost, so the bytes count until it ends.
        if not self._request_in_progress:
            self._release()

    def data_received(self, data: bytes) -> None:
        if self._force_close or self._close:
            return
        between = self._last is None or self._last.is_eof()
        if data and not self._deaf and not self._hold(len(data)):
            return
        waiting = len(self._messages)
        super().data_received(data)
        if len(self._messages) > waiting:
            # With several requests in one packet it is unknown which bytes belong to which.
            if between and len(self._messages) == waiting + 1 and not hasattr(self._messages[-1][0], "raw_headers"):
                self._unread = bytes(self._begun) + data
            self._heads_came(len(data), waiting)
        elif between and data:
            self._begun += data
            self._head_grew(len(data))

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the response, and release the bytes of this request.

        The connection is closed when more or less than this request has arrived, because the bytes in the parser
        cannot be counted from here.
        """
        if not request.content.is_eof():
            self._deaf = True
        if self._deaf or self._crowd.leaving or self._surplus(request) > _SLACK:
            resp.force_close()
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._release()

    def name(self, party: str) -> None:
        """Set the party of this request, as a trusted proxy reports it."""
        if party != self.party:
            amounts = [(pool, pool.leave(self)) for pool in (self._crowd.seats, *self._pools)]
            self.party = party
            for pool, amount in amounts:
                if amount:
                    pool.add(self, amount)

    def join(self, pool: "Pool[Connection]") -> None:
        """Count the bytes of this request in another pool too. Raises `Crowded` when that pool is full."""
        if self._pools[-1] is pool:
            return
        self._pools.append(pool)
        if not pool.add(self, self._held) and not self._shed(pool):
            self._crowd.pressure.tell(Cap.IN_FLIGHT, self.party)
            raise Crowded

    def read_until(self, patience: asyncio.Timeout | None) -> None:
        """Set the time-out of the handler that reads the body; None when it has finished."""
        self._patience = patience

    def close_if_idle(self) -> None:
        """Close, unless a request has begun: that is still answered."""
        if self.ease is Ease.IDLE and self.transport is not None:
            self.transport.close()

    def make_room(self) -> None:
        """Close at once, to make room for another connection."""
        if self.ease is Ease.IDLE:
            self._crowd.pressure.tell(Cap.CONNECTIONS, self.party)
            self._hang_up()
        else:
            self._turn_away(Cap.CONNECTIONS)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - not repeated in the response
    ) -> web.StreamResponse:
        """The response to malformed HTTP or to an internal error. The connection is closed after it.

        aiohttp's own response and log line quote the bytes where its parser stopped, which may be a secret.
        """
        kind = type(exc).__name__ if exc else None
        detail = "the relay failed at this request; send it again"
        if status >= 500:
            log.error("request.failed", remote=request.remote, error=kind, exc_info=exc)
        else:
            unread = judge(self._unread or b"")
            log.warning(
                "request.malformed",
                status=status,
                remote=request.remote,
                error=kind,
                what=unread.what,
                hint=unread.hint,
            )
            self._crowd.report(unread, self.party)
            detail = f"{unread.what}; nothing was accepted"
        if request.writer.output_size > 0:
            raise ConnectionError("the response has already begun")
        response = problem(status, "malformed", detail)
        response.force_close()
        return response

    def _hold(self, amount: int) -> bool:
        """Count bytes that arrived. Returns whether this connection may go on."""
        self._held += amount
        full = [pool for pool in self._pools if not pool.add(self, amount)]
        if not full or all(self._shed(pool) for pool in full):
            return True
        self._give_way()
        return not self._force_close

    def _shed(self, pool: "Pool[Connection]") -> bool:
        """Make others give way until the pool is within its limit. Returns False when this connection must give way."""
        while pool.held > pool.most:
            victim = pool.find(self)
            if victim is None:
                return False
            victim._give_way()  # noqa: SLF001 - the same class
        return True

    def _give_way(self) -> None:
        """End this request with 503, because too much is in flight."""
        if self._patience is None:
            self._turn_away(Cap.IN_FLIGHT)
            return
        self._crowd.pressure.tell(Cap.IN_FLIGHT, self.party)
        self.crowded = self._deaf = True
        with suppress(RuntimeError):  # its time-out has expired, but its handler has not run yet
            self._patience.reschedule(self._loop.time())
        self._release()

    def _heads_came(self, size: int, waiting: int) -> None:
        """Handle the end of one or more heads in the latest bytes."""
        if self._head + size > self._crowd.caps.head:
            heads = [getattr(message, "raw_headers", ()) for message, _ in list(self._messages)[waiting:]]
            if max(map(_size, heads)) > self._crowd.caps.head:
                self._refuse_head(_written(self._messages[waiting][0], max(heads, key=_size)))
                return
        self._head = 0
        self._begun.clear()
        self._stop_timer()
        self._last = self._messages[-1][1]
        # While a request is being answered, stop reading: the next requests wait at the sender.
        if self._request_in_progress and not self._buffer_paused:
            self._pause_reading_for_buffer()

    def _head_grew(self, size: int) -> None:
        self._head += size
        if self._head > self._crowd.caps.head:
            self._refuse_head(bytes(self._begun))
        elif self._timer is None:
            self._timer = self._loop.call_later(self._crowd.caps.head_time, self._head_is_late)

    def _refuse_head(self, head: bytes) -> None:
        self._crowd.report(judge_size(head, self._crowd.caps.head), self.party)
        self._turn_away(Cap.HEAD)

    def _head_is_late(self) -> None:
        """Close the connection, unless the previous request is still being answered."""
        if self._request_in_progress:
            self._timer = self._loop.call_later(self._crowd.caps.head_time, self._head_is_late)
        else:
            self._turn_away(Cap.HEAD_SLOW)

    def _turn_away(self, cap: Cap) -> None:
        """Respond without a handler, and close. A handler that reads the body gets an error."""
        self._crowd.pressure.tell(cap, self.party)
        answered = self._deaf or (self._request_in_progress and self._patience is None)
        if self.transport is not None and not answered:
            self.transport.write(_canned(*_WORDS[cap]))
        self._hang_up()

    def _hang_up(self) -> None:
        self.crowded = self._deaf = True
        self._crowd.seats.leave(self)
        self._stop_timer()
        self._release()
        self.force_close()

    def _release(self) -> None:
        """Remove the bytes of this connection from all pools."""
        for pool in self._pools:
            pool.leave(self)
        self._held = 0
        del self._pools[1:]

    def _surplus(self, request: web.BaseRequest) -> int:
        """The approximate number of bytes beyond this request."""
        rest = self._held - request.content.total_bytes
        if rest > _SLACK:
            rest -= len(request.path_qs) + _size(request.raw_headers)
        return rest

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _size(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """The approximate number of bytes of the headers."""
    return sum(len(name) + len(value) + 4 for name, value in headers)


def _written(message: object, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The approximate text of a head."""
    first = f"{getattr(message, 'method', '')} {getattr(message, 'path', '')}".encode(errors="replace")
    return b"\r\n".join([first, *(b"%b: %b" % header for header in headers)])


def _canned(status: int, detail: str) -> bytes:
    phrase = HTTPStatus(status).phrase
    document = {"type": "/problems/busy", "title": phrase, "status": status, "detail": detail}
    body = json.dumps(document).encode()
    later = "Retry-After: 5\r\n" if status == 503 else ""
    head = (
        f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/problem+json\r\n"
        f"Content-Length: {len(body)}\r\n{later}Connection: close\r\n\r\n"
    )
    return head.encode() + body
