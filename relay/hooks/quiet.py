"""A runner whose listener says nothing of what it could not read: a malformed header may hold a secret.

aiohttp's own answer and log line quote the bytes that its parser stopped at.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from relay.hooks.answer import problem
from relay.telemetry import get_log

log = get_log()


class QuietRunner(web.AppRunner):
    """An AppRunner that answers and logs malformed requests in our words."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Listener  # aiohttp has no other way to choose the class of an application's protocol
        return server


class _Listener(web.Server):
    def __call__(self) -> RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)


class QuietServer(_Listener):
    """A server as quiet, without an application: every request goes to `handler`. `most` is the bytes of a body."""

    def __init__(
        self, handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]], *, most: int, **options: Any
    ) -> None:
        make = partial(web.BaseRequest, loop=asyncio.get_running_loop(), client_max_size=most)
        super().__init__(handler, request_factory=make, **options)


class _Handler(RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - what is not repeated
    ) -> web.StreamResponse:
        """The answer to what is no HTTP, or to a fault of ours; the connection is closed after it."""
        kind = type(exc).__name__ if exc else None
        if status >= 500:
            log.error("request.failed", remote=request.remote, error=kind, exc_info=exc)
        else:
            log.warning("request.malformed", status=status, remote=request.remote, error=kind)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        response = problem(status, "malformed", "this request cannot be read; nothing of it was taken")
        response.force_close()
        return response
