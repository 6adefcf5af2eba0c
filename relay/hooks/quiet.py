"""A runner whose listener says nothing of what it could not read: a malformed header may hold a secret.

aiohttp's own answer and log line quote the bytes that its parser stopped at.
"""

from aiohttp import web
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server

from relay.hooks.answer import problem
from relay.telemetry import get_log

log = get_log()


class QuietRunner(web.AppRunner):
    """An AppRunner that answers and logs malformed requests in our words."""

    __slots__ = ()

    async def _make_server(self) -> Server:
        server = await super()._make_server()
        server.__class__ = _Server  # aiohttp has no other way to choose the class of its protocol
        return server


class _Server(Server):
    def __call__(self) -> RequestHandler:
        return _Handler(self, loop=self._loop, **self._kwargs)


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
