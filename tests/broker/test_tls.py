"""TLS to RabbitMQ: who is believed, and what is said when somebody is not."""

import asyncio
import re
import socket
import ssl
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from relay.broker import Address, Broker
from relay.life import Stop
from relay.secret import Secret
from relay.telemetry import PartState
from tests.conftest import lend
from tests.services.authority import Authority
from tests.services.rabbitmq import run_node


@pytest.fixture(scope="module")
def node(authority):
    """A RabbitMQ whose certificate is for `localhost`, and for no address; `relay` logs in by its certificate."""
    for server in lend(run_node(authority.issue("localhost"))):
        server.call("PUT", "/users/relay", b'{"password_hash": "", "tags": ""}')
        server.call("PUT", "/permissions/%2F/relay", b'{"configure": ".*", "write": ".*", "read": ".*"}')
        yield server


@pytest.fixture
def identity(authority, tmp_path):
    """Writes the certificate and the key of a client of that name; the two paths."""

    def write(name, issuer=authority):
        files = (tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        issuer.issue(name).write(*files)
        return tuple(map(str, files))

    return write


@asynccontextmanager
async def connecting(host, port, ca_file, *, login="guest:guest@", files=(None, None), query=""):
    """A broker's connections, and what they report first of themselves once they have tried."""
    told = asyncio.get_running_loop().create_future()

    def report(state, reason):
        if state is not PartState.STARTING and not told.done():
            told.set_result((state, reason))

    address = Address(Secret(f"amqps://{login}{host}:{port}/{query}"), None, ca_file, *files)
    broker = Broker(address, report=report)
    task = asyncio.create_task(broker.run(Stop()))
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


def users(node):
    """The users that are connected, and how each has logged in."""
    return {tuple(line.split("\t")) for line in node.ctl("list_connections", "user", "auth_mechanism").splitlines()[1:]}


async def test_without_a_user_the_certificate_is_the_login(node, ca_file, identity):
    async with connecting("localhost", node.tls_port, ca_file, login="", files=identity("relay")) as (_, state, reason):
        assert state is PartState.UP, reason
        assert users(node) == {("relay", "EXTERNAL")}


async def test_with_a_user_the_password_is_the_login_also_beside_a_certificate(node, ca_file, identity):
    async with connecting("localhost", node.tls_port, ca_file, files=identity("relay")) as (_, state, reason):
        assert state is PartState.UP, reason
        assert users(node) == {("guest", "PLAIN")}


async def test_a_certificate_that_names_no_user_is_told_and_guest_is_not_tried(node, ca_file, identity):
    async with connecting("localhost", node.tls_port, ca_file, login="", files=identity("nobody")) as (
        _,
        state,
        reason,
    ):
        assert state is PartState.DOWN
    assert "RabbitMQ has no user of this certificate's name" in reason


async def test_a_certificate_of_an_authority_that_the_broker_does_not_know_is_told(node, ca_file, identity):
    strange = identity("relay", Authority("Strangers"))
    async with connecting("localhost", node.tls_port, ca_file, login="", files=strange) as (_, state, reason):
        assert state is PartState.DOWN
    assert re.search(r"it refuses our certificate \(.*unknown ca|so does a server that wants .* not this one", reason)
    assert "check broker.cert_file" in reason


async def test_a_broker_that_offers_no_external_login_is_told_what_it_takes(authority, ca_file, identity):
    """As it comes, without the plugin: a server that only offers PLAIN, by the frames of AMQP."""
    start = bytes.fromhex("0100000000 001d 000a000a 00 09 00000000 00000005") + b"PLAIN" + bytes.fromhex("00000005")
    frame = start[:3] + len(start[7:] + b"en_US").to_bytes(4) + start[7:] + b"en_US" + b"\xce"

    async def offer(reader, writer):
        await reader.readexactly(8)
        writer.write(frame)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(offer, "localhost", 0, ssl=insisting(authority, identity)) as server:
        port = server.sockets[0].getsockname()[1]
        async with connecting("localhost", port, ca_file, login="", files=identity("relay")) as (_, state, reason):
            assert state is PartState.DOWN
    assert "does not offer this way to log in, but PLAIN" in reason
    assert "rabbitmq_auth_mechanism_ssl" in reason


async def test_a_server_that_insists_on_a_certificate_is_told_with_the_setting(authority, ca_file, identity):
    # asyncio's own server would hang up without the alert that a server of OpenSSL sends.
    with socket.create_server(("localhost", 0)) as server:
        refusing = asyncio.create_task(asyncio.to_thread(refuse, server, insisting(authority, identity)))
        async with connecting("localhost", server.getsockname()[1], ca_file) as (_, _, reason):
            # Its alert is lost when it hangs up before it has read what we sent meanwhile.
            assert re.search("it requires a client certificate|so does a server that wants a client", reason)
            assert "broker.cert_file" in reason
        await refusing


def refuse(server, context):
    connection, _ = server.accept()
    with connection, pytest.raises(ssl.SSLError, match="peer did not return a certificate"):
        context.wrap_socket(connection, server_side=True)


def insisting(authority, identity):
    """TLS for a server that takes only clients with a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(*identity("localhost"))
    return context


async def test_what_weakens_tls_never_reaches_the_client_library(node, other_ca_file, ca_file):
    weak = "?no_verify_ssl=1&cafile=" + ca_file
    async with connecting("localhost", node.tls_port, other_ca_file, query=weak) as (_, state, reason):
        assert state is PartState.DOWN
    assert "is not trusted" in reason


@pytest.mark.parametrize(
    ("path", "vhost"),
    [
        ("", "/"),
        ("/", "/"),
        ("/%2F", "/"),
        ("/%2f", "/"),
        ("//", "/"),
        ("/crm", "crm"),
        ("/crm%2Fnew", "crm/new"),
        ("/crm/new", "crm/new"),
        ("/a%20b+c%3F", "a b+c?"),
    ],
)
def test_the_virtual_host_is_what_the_path_names(path, vhost):
    import aiormq

    address = Address(Secret(f"amqp://u@h{path}?heartbeat=7"))
    assert address.vhost == vhost

    async def connection():
        return aiormq.Connection(address.full())

    made = asyncio.run(connection())
    assert (made.vhost, made.url.port, made.heartbeat_timeout) == (vhost, 5672, 7)


def test_amqps_without_a_port_is_5671_and_a_certificate_without_a_user_is_external():
    full = Address(Secret("amqps://h"), None, None, "c", "k").full()
    assert (full.query["auth"], full.user, full.password) == ("external", None, None)
    assert "auth" not in Address(Secret("amqps://relay:p@h"), None, None, "c", "k").full().query

    async def port():
        import aiormq

        return aiormq.Connection(full).url.port

    assert asyncio.run(port()) == 5671


async def test_of_several_nodes_the_next_is_tried_when_one_is_away(amqp_url):
    """The user and the virtual host are those of the first."""
    parts = urlsplit(amqp_url)
    told = []
    first = amqp_url.replace(f":{parts.port}", ":1")
    address = Address(Secret(first), others=("amqp://127.0.0.1:2", f"amqp://{parts.hostname}:{parts.port}"))
    broker = Broker(address, report=lambda *args: told.append(args))
    task = asyncio.create_task(broker.run(Stop()))
    try:
        async with asyncio.timeout(30):
            await broker.publishing.ready()
        await (await broker.publishing.channel()).declare_queue("here", auto_delete=True)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert [reason.split(parts.path)[0] for state, reason in told if state is PartState.DOWN] == [
        "amqp://127.0.0.1:1",
        "amqp://127.0.0.1:2",
    ]
    assert "guest" not in repr(told)
