"""TLS to RabbitMQ: who is believed, and what is said when somebody is not."""

import asyncio
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from relay.broker import Address, Broker
from relay.secret import Secret
from relay.telemetry import PartState
from tests.conftest import lend
from tests.services.rabbitmq import run_node


@pytest.fixture(scope="module")
def node(authority):
    """A RabbitMQ whose certificate is for `localhost`, and for no address."""
    yield from lend(run_node(authority.issue("localhost")))


@asynccontextmanager
async def connecting(host, port, ca_file):
    """A broker's connections, and what they report first of themselves."""
    told = asyncio.get_running_loop().create_future()

    def report(state, reason):
        if not told.done():
            told.set_result((state, reason))

    broker = Broker(
        Address(Secret(f"amqps://guest:guest@{host}:{port}/"), None, ca_file), consumes=False, report=report
    )
    task = asyncio.create_task(broker.run())
    try:
        async with asyncio.timeout(30):
            yield broker, *await told
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_node_that_proves_its_name_by_our_authority_is_used(node, ca_file):
    async with connecting("localhost", node.tls_port, ca_file) as (broker, state, _):
        assert state is PartState.UP
        channel = await broker.publishing.channel()
        assert (await channel.declare_queue("mine", auto_delete=True)).name == "mine"


async def test_a_certificate_of_another_authority_is_refused_with_the_setting(node, other_ca_file):
    async with connecting("localhost", node.tls_port, other_ca_file) as (_, state, reason):
        assert state is PartState.DOWN
    assert reason.startswith(f"amqps://localhost:{node.tls_port}/: its certificate is not trusted (")
    assert reason.endswith("): check broker.ca_file")


async def test_a_certificate_for_another_host_is_refused_with_the_setting(node, ca_file):
    async with connecting("127.0.0.1", node.tls_port, ca_file) as (_, state, reason):
        assert state is PartState.DOWN
    assert "its certificate is for another host (IP address mismatch" in reason
    assert reason.endswith("): check broker.url")


async def test_a_port_without_tls_is_told_as_such(node, ca_file):
    async with connecting("localhost", urlsplit(node.url).port, ca_file) as (_, state, reason):
        assert state is PartState.DOWN
    assert reason.endswith("what answers there speaks no TLS: write the port for amqps into broker.url")
