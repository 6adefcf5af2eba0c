"""The ops listener's application: the API, its description and the status page."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import web

from relay.model import Result
from relay.ops.api import Api
from relay.ops.gauges import Watch
from relay.ops.guard import add_headers, make_guard
from relay.ops.openapi import describe
from relay.ops.operations import Operations
from relay.ops.page import StatusPage
from relay.ops.problem import problems
from relay.ops.routes import ROUTES, dumps
from relay.ops.stream import Stream
from relay.ports import Archive, Outbox
from relay.secret import Secret
from relay.telemetry import Metrics, Status

_MOST_BYTES: Final = 8 << 20


def make_ops_app(
    archive: Archive,
    outbox: Outbox,
    operations: Operations,
    *,
    token: Secret | None,
    status: Status,
    metrics: Metrics,
    version: str,
    encode: Callable[[Result], bytes],
    clock: Callable[[], int],
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> web.Application:
    """The application of the ops listener.

    `encode` makes the CloudEvent of a result; `clock` gives milliseconds since the epoch, `monotonic` seconds.
    Without a `token` the listener must be bound to loopback.
    """
    stream = Stream(outbox, encode, monotonic=monotonic)
    api = Api(archive, operations, stream, clock)
    watch = Watch(archive.gauges, monotonic)
    page = StatusPage(archive, operations, status, watch, version=version, clock=clock)
    description = dumps(describe(version)).encode()

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=description, content_type="application/json")

    async def watching(_: web.Application) -> AsyncIterator[None]:
        yield
        await watch.close()

    app = web.Application(middlewares=[make_guard(token, metrics, sleep), problems], client_max_size=_MOST_BYTES)
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(stream.close)
    app.cleanup_ctx.append(watching)
    app.router.add_get("/", page.show)
    app.router.add_get("/openapi.json", openapi)
    for route in ROUTES:
        app.router.add_route(route.method, route.path, route.serve(api))
    return app
