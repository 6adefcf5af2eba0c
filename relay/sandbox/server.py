"""The simulator as an aiohttp application, and how to run it."""

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Final, Self

import uuid_utils
from aiohttp import web
from aiohttp.typedefs import Middleware
from pydantic import ValidationError

from relay.listener import Listener, read
from relay.sandbox.api import SandboxApi, explain
from relay.sandbox.controls import Controls
from relay.sandbox.dice import Dice
from relay.sandbox.faults import Faults
from relay.sandbox.render import refuse
from relay.sandbox.store import ChatStore
from relay.sandbox.strike import deny

_MAX_BODY: Final = 4 << 20
_DEFAULT: Final = Faults()


def new_uuid() -> str:
    """A random UUID in lower case, as Cargo's are."""
    return str(uuid_utils.uuid4())


def make_app(
    faults: Faults = _DEFAULT,
    *,
    token: str | None = None,
    clock: Callable[[], float] = time.time,
    ids: Callable[[], str] = new_uuid,
    keep: int = 200_000,
    page: int = 50,
    pending: float = 0.2,
    generating: float = 0.5,
    agents: Collection[str] = (),
) -> web.Application:
    """A Cargo of its own. With a `token`, every path under `/v1` asks for it.

    `clock` gives seconds since the epoch. At most `keep` chats are remembered, the oldest go first; a list page has
    `page` rows by default. An assistant's message is `pending`, then `generating`, for so many seconds.
    With `agents`, chats of every other agent are refused as Cargo refuses them, 404.
    """
    api = SandboxApi(
        ChatStore(keep, page),
        Dice(faults),
        clock=clock,
        ids=ids,
        pending=int(pending * 1_000),
        generating=int(generating * 1_000),
        agents=frozenset(map(str.lower, agents)),
    )
    app = web.Application(middlewares=[_guard(api, token, clock)], client_max_size=_MAX_BODY)
    app.add_routes([*api.routes(), *Controls(api).routes()])

    async def stop(_: web.Application) -> None:
        api.stopping.set()

    app.on_shutdown.append(stop)
    return app


def _guard(api: SandboxApi, token: str | None, clock: Callable[[], float]) -> Middleware:
    """Count, wait, ask for the token, and put refusals into Cargo's form."""
    expected = None if token is None else f"Bearer {token}".encode()

    @web.middleware
    async def guard(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        resource = request.match_info.route.resource
        path = resource.canonical if resource else "other"
        if not path.startswith("/_"):
            api.counts.arrive(request.method, path, clock())
            if delay := api.dice.delay():
                await _wait(request, delay)
            if (denied := api.dice.faults.denied) is not None:
                return deny(denied)
            if expected is not None and not _bears(request, expected):
                return deny(401)
        return await _refusing(request, handler)

    return guard


async def _wait(request: web.Request, delay: float) -> None:
    """The body is read first, so that a caller who hangs up meanwhile has still sent a request that is worked on."""
    if request.method == "POST":
        await request.read()
    await asyncio.sleep(delay)


def _bears(request: web.Request, expected: bytes) -> bool:
    return hmac.compare_digest(request.headers.get("Authorization", "").encode(errors="replace"), expected)


async def _refusing(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValidationError as error:
        return refuse(400, explain(error), "invalidPayload")
    except ValueError as error:
        return refuse(400, f"The body is not JSON that can be read: {error}", "invalidPayload")
    except web.HTTPException as error:
        return refuse(error.status, error.reason, "notFound" if error.status == 404 else "refused")


@dataclass(frozen=True, slots=True)
class Running:
    """A simulator that answers at `url` (without `/v1`) until `stop`, or until its `async with` ends."""

    url: str
    runner: web.AppRunner

    async def stop(self) -> None:
        await self.runner.cleanup()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def run(app: web.Application, host: str = "127.0.0.1", port: int = 0) -> Running:
    """Answer at host and port; no host is every address, port 0 takes a free one.

    Raises OSError when the address cannot be had, ValueError when it is none.
    """
    address = read(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    sockets = await asyncio.to_thread(address.open)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    for sock in sockets:
        await web.SockSite(runner, sock).start()
    return Running(Listener(address.host, sockets[0].getsockname()[1]).url, runner)
