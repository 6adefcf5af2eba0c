"""The ops listener's application: the API, its description and the console."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import web

from relay.model import Result
from relay.ops.access import TokenHolder
from relay.ops.api import Api
from relay.ops.console import Console, add_console, show_trouble
from relay.ops.gauges import Watch
from relay.ops.guard import Guesses, add_headers, make_guard
from relay.ops.hide import Hide
from relay.ops.openapi import describe
from relay.ops.operations import Operations
from relay.ops.problem import make_problems
from relay.ops.routes import ROUTES, dumps
from relay.ops.session import Sessions
from relay.ops.stream import Stream
from relay.ports import Archive, Outbox
from relay.telemetry import Metrics, Status

_MOST_BYTES: Final = 8 << 20


def make_ops_app(
    archive: Archive,
    outbox: Outbox,
    operations: Operations,
    *,
    holders: Callable[[], tuple[TokenHolder, ...]],
    status: Status,
    metrics: Metrics,
    version: str,
    encode: Callable[[Result], bytes],
    clock: Callable[[], int],
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    workspace_at: Callable[[], str | None] = lambda: None,
) -> web.Application:
    """The application of the ops listener.

    `encode` returns the CloudEvent of a result as JSON. `clock` returns milliseconds since the epoch, `monotonic`
    seconds. `holders` returns the present holders of tokens; without any the listener must be bound to loopback.
    `workspace_at` is the address of the workspace in Cargo's app, for links.
    """
    hide = Hide(archive, operations.hidden)
    stream = Stream(outbox, encode, hide, monotonic=monotonic)
    api = Api(archive, operations, stream, hide, clock)
    watch = Watch(archive.gauges, monotonic)
    guesses = Guesses(metrics, sleep)
    sessions = Sessions(archive, monotonic)
    console = Console(api, operations, status, watch, guesses, sessions, holders, clock, version, workspace_at)
    description = dumps(describe(version)).encode()

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=description, content_type="application/json")

    async def watching(_: web.Application) -> AsyncIterator[None]:
        yield
        await watch.close()

    guard = make_guard(holders, sessions, metrics, guesses, clock)
    app = web.Application(middlewares=[make_problems(show_trouble), guard], client_max_size=_MOST_BYTES)
    app.on_response_prepare.append(add_headers)
    app.on_shutdown.append(stream.close)
    app.on_cleanup.append(hide.close)
    app.cleanup_ctx.append(watching)
    app.router.add_get("/openapi.json", openapi)
    for route in ROUTES:
        serve = route.serve(api)
        app.router.add_route(route.method, route.path, serve)
        if route.method == "GET" and route.gives is not None:  # of a stream, HEAD would have no end
            app.router.add_route("HEAD", route.path, serve)
    add_console(app, console)
    return app
