"""Servers that reveal neither their software nor malformed input, which may contain a secret."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiohttp import web

from relay.hooks.connection import Connection
from relay.hooks.crowd import Crowd


class QuietRunner(web.AppRunner):
    """An AppRunner that enforces its crowd's caps, and answers malformed requests with Relay's own messages."""

    __slots__ = ("_crowd",)

    def __init__(self, app: web.Application, crowd: Crowd, **options: Any) -> None:
        super().__init__(app, **options)
        self._crowd = crowd

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        # aiohttp has no other way to choose the classes of an application's protocol and requests
        server.__class__ = _Listener
        server.crowd = self._crowd  # type: ignore[attr-defined] # its class is _Listener now
        server.request_factory = partial(self.app._make_request, _cls=_Request)  # noqa: SLF001 - for the same reason
        return server


class _Listener(web.Server):
    crowd: Crowd

    def __call__(self) -> Connection:
        return Connection(self, self.crowd, loop=self._loop, **self._kwargs)


class QuietServer(_Listener):
    """A server without an application: every request goes to `handler`. `most` limits the bytes of a body."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        crowd: Crowd,
        *,
        most: int,
        **options: Any,
    ) -> None:
        make = partial(_BareRequest, loop=asyncio.get_running_loop(), client_max_size=most)
        super().__init__(handler, request_factory=make, **options)
        self.crowd = crowd


class _Request(web.Request):
    """A request whose response does not contain aiohttp's `Server` header, which is added last."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        await super()._prepare_hook(response)
        response.headers.popall("Server", None)


class _BareRequest(web.BaseRequest):
    """A `_Request` without an application."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        response.headers.popall("Server", None)
