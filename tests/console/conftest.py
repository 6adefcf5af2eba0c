"""The console over real HTTP, on a ledger in memory."""

from types import SimpleNamespace

import pytest

from relay.ops import make_ops_app
from relay.ops.access import make_holders
from relay.secret import Secret
from relay.telemetry import Metrics, Phase, Status
from tests.ops.conftest import encode
from tests.ops.desk import NOW, Desk, Memory

TOKENS = {name: (Secret(f"token-of-{name}"), name) for name in ("read", "operate", "admin")}


@pytest.fixture
def world():
    """What the console shows; `tokens` and `now` may change while it runs."""
    memory = Memory()
    status = Status(lambda: NOW, lambda: 0.0)
    status.phase = Phase.SERVING
    return SimpleNamespace(memory=memory, desk=Desk(memory), status=status, tokens={}, now=NOW, monotonic=0.0, slept=[])


@pytest.fixture
def make_console(world):
    """Makes one replica."""

    async def sleep(seconds):
        world.slept.append(seconds)

    def make():
        return make_ops_app(
            world.memory,
            world.memory,
            world.desk,
            holders=lambda: make_holders(None, world.tokens),
            status=world.status,
            metrics=Metrics(),
            version="1.2.3",
            encode=encode,
            clock=lambda: world.now,
            monotonic=lambda: world.monotonic,
            sleep=sleep,
            workspace_at=lambda: "https://app.example/workspaces/w",
        )

    return make


@pytest.fixture
async def console(aiohttp_client, make_console):
    """The console without tokens, for this machine."""
    return await aiohttp_client(make_console())


@pytest.fixture
async def signed(world, aiohttp_client, make_console):
    """Signs a browser in: `await signed("read")`."""
    world.tokens = dict(TOKENS)

    async def sign_in(role):
        client = await aiohttp_client(make_console())
        answer = await client.post("/signin", data={"token": f"token-of-{role}"}, allow_redirects=False)
        assert answer.status == 303
        return client

    return sign_in
