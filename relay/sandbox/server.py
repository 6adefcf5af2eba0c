"""The simulator as an aiohttp application, and a function to run it."""

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
from relay.sandbox.workspace import RELEASE, Workspace

_MAX_BODY: Final = 4 << 20
_DEFAULT: Final = Faults()


def new_uuid() -> str:
    """A random UUID in lower case, like Cargo's."""
    return str(uuid_utils.uuid4())


def make_app(
    faults: Faults = _DEFAULT,
    *,
    token: str | None = None,
    clock: Callable[[], float] = time.time,
    keep: int = 200_000,
    page: int = 50,
    pending: float = 0.2,
    generating: float = 0.5,
    agents: Collection[str] = (),
    workspace: Workspace | None = None,
) -> web.Application:
    """The application of a simulated Cargo. With a `token`, all paths under `/v1` require it.

    `clock` returns seconds since the epoch. At most `keep` chats are remembered; the oldest are dropped first. A page
    of a list has `page` rows by default. An assistant's message is pending for `pending` seconds, then generating for
    `generating` seconds. With `agents`, chats of other agents are refused with 404, as Cargo does. `workspace` is what
    `relay check --online` asks for; default: these agents, deployed, and any connector.
    """
    known = frozenset(map(str.lower, agents))
    if workspace is None:
        workspace = Workspace(dict.fromkeys(sorted(known), RELEASE) if known else None)
    api = SandboxApi(
        ChatStore(keep, page),
        Dice(faults),
        clock=clock,
        ids=new_uuid,
        pending=int(pending * 1_000),
        generating=int(generating * 1_000),
        agents=known,
    )
    app = web.Application(middlewares=[_guard(api, token, clock)], client_max_size=_MAX_BODY)
    app.add_routes([*api.routes(), *workspace.routes(), *Controls(api).routes()])

    async def stop(_: web.Application) -> None:
        api.stopping.set()

    app.on_shutdown.append(stop)
    return app


def _guard(api: SandboxApi, token: str | None, clock: Callable[[], float]) -> Middleware:
    """A middleware that counts, delays, checks the token, and turns errors into Cargo's format."""
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
    """Read the body, then wait: a client that disconnects meanwhile has still sent a complete request."""
    if request.method in {"POST", "PUT"}:
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
        return refuse(400, f"The body is not valid JSON: {error}", "invalidPayload")
    except web.HTTPException as error:
        return refuse(error.status, error.reason, "notFound" if error.status == 404 else "refused")


@dataclass(frozen=True, slots=True)
class Running:
    """A running simulator at `url` (without `/v1`). It ends with `stop` or with its `async with`."""

    url: str
    runner: web.AppRunner

    async def stop(self) -> None:
        await self.runner.cleanup()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


async def run(app: web.Application, host: str = "127.0.0.1", port: int = 0) -> Running:
    """Serve `app`. An empty host means all addresses, port 0 a free port.

    Raises OSError when the address cannot be bound, ValueError when it is invalid.
    """
    address = read(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    sockets = await asyncio.to_thread(address.open)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    for sock in sockets:
        await web.SockSite(runner, sock).start()
    return Running(Listener(address.host, sockets[0].getsockname()[1]).url, runner)
