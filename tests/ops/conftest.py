"""The ops listener over real HTTP, without a token unless a test says so."""

import json

import pytest

from relay.ops import make_ops_app
from relay.ops.access import make_holders
from relay.telemetry import Metrics, Phase, Status
from relay.units import iso
from tests.ops.desk import NOW, Desk, Memory


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def desk(memory):
    return Desk(memory)


@pytest.fixture
def status():
    status = Status(lambda: NOW, lambda: 0.0)
    status.phase = Phase.SERVING
    return status


def encode(result):
    return json.dumps(
        {"id": result.id, "type": result.type, "time": iso(result.time), "data": dict(result.data)}
    ).encode()


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def slept():
    """How long wrong tokens were held up; nobody waits for it here."""
    return []


@pytest.fixture
def make_app(memory, desk, status, metrics, slept):
    async def sleep(seconds):
        slept.append(seconds)

    def make(token=None, tokens=None):
        return make_ops_app(
            memory,
            memory,
            desk,
            holders=lambda: make_holders(token, tokens or {}),
            status=status,
            metrics=metrics,
            version="1.2.3",
            encode=encode,
            clock=lambda: NOW,
            sleep=sleep,
        )

    return make


@pytest.fixture
async def http(aiohttp_client, make_app):
    return await aiohttp_client(make_app())
