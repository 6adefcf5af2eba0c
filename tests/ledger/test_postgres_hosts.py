"""Where the ledger's server is: several hosts, sockets, failovers; the one that takes writes is used."""

import asyncio
from contextlib import aclosing

import pytest
from sqlalchemy import text

from relay.errors import Unavailable
from relay.ledger import Terms, Unusable, migrate_ledger, open_ledger
from relay.model import EventStatus
from tests.conftest import lend
from tests.ledger.build import make_entry
from tests.services.postgres import run_cluster
from tests.services.process import find_port

TERMS = Terms(owner="one")


@pytest.fixture(scope="module")
def left():
    yield from lend(run_cluster())


@pytest.fixture(scope="module")
def right():
    yield from lend(run_cluster())


def set_read_only(server, *, on):
    """As a failover has it: also for the connections that are open."""
    server.run(f"ALTER SYSTEM SET default_transaction_read_only = {'on' if on else 'off'}")
    server.run("SELECT pg_reload_conf()")


@pytest.fixture
async def pair(left, right):
    """Two servers with a ledger each; the left one takes writes."""
    for server in (left, right):
        set_read_only(server, on=False)
        await migrate_ledger(server.url)
    set_read_only(right, on=True)
    yield left, right
    for server in (left, right):
        set_read_only(server, on=False)


async def port_of(ledger):
    shown = text("SELECT inet_server_port()")
    return await ledger.write(lambda conn, _: conn.execute(shown).scalar())


def both(one, two, query=""):
    return f"postgresql://postgres@127.0.0.1:{one.port},127.0.0.1:{two.port}/postgres{query}"


@pytest.mark.parametrize("query", ["", "?target_session_attrs=read-write", "?load_balance_hosts=random"])
async def test_of_several_hosts_the_one_that_takes_writes_is_used(pair, query):
    writes, reads = pair
    async with aclosing(await open_ledger(both(reads, writes, query), TERMS)) as ledger:
        assert await port_of(ledger) == writes.port
        await ledger.accept([make_entry()])


async def test_after_a_failover_the_other_one_is_used(pair):
    left, right = pair
    async with aclosing(await open_ledger(both(left, right), TERMS)) as ledger:
        await ledger.accept([make_entry()])
        set_read_only(left, on=True)
        set_read_only(right, on=False)
        [receipt] = await accept_at_last(ledger)
        assert receipt.status is EventStatus.ACCEPTED
        assert await port_of(ledger) == right.port


async def accept_for_ever(ledger):
    """A server takes a new setting in when it has time."""
    while True:
        await ledger.accept([make_entry()])


async def accept_at_last(ledger):
    while True:
        try:
            return await ledger.accept([make_entry()])
        except Unavailable as error:
            assert "takes writes" in str(error) or "takes no writes" in str(error)  # noqa: PT017 - tried again


async def test_while_none_takes_writes_it_is_away_and_says_why(pair):
    left, right = pair
    async with aclosing(await open_ledger(both(left, right), TERMS)) as ledger:
        set_read_only(left, on=True)
        with pytest.raises(Unavailable, match=r"no host.*takes writes now \(127\.0\.0\.1:\d+: takes no writes; "):
            await accept_for_ever(ledger)
        with pytest.raises(Unavailable, match="takes writes now"):
            await ledger.ping()


async def test_a_host_that_is_down_is_passed_over(pair):
    writes, _ = pair
    dead = f"postgresql://postgres@127.0.0.1:{find_port()},127.0.0.1:{writes.port}/postgres"
    async with aclosing(await open_ledger(dead, TERMS)) as ledger:
        assert await port_of(ledger) == writes.port


async def test_the_only_host_that_turns_read_only_is_down_with_its_reason_and_up_again(pair):
    writes, _ = pair
    async with aclosing(await open_ledger(writes.url, TERMS)) as ledger:
        set_read_only(writes, on=True)
        with pytest.raises(Unavailable, match=r"takes no writes.*read-only transaction"):
            await accept_for_ever(ledger)
        with pytest.raises(Unavailable, match="takes no writes: it is a standby, or read-only by default"):
            await ledger.ping()
        set_read_only(writes, on=False)
        await accept_at_last(ledger)
        await ledger.ping()


async def test_a_server_that_takes_no_writes_at_the_start_is_told_with_what_to_do(pair):
    _, reads = pair
    with pytest.raises(Unusable, match=r"takes no writes, default_transaction_read_only is on: ALTER DATABASE"):
        await open_ledger(reads.url, TERMS)


@pytest.mark.parametrize(
    "form",
    [
        "postgresql:///postgres?host={folder}&port={port}&user=postgres",
        "postgresql://postgres@:{port}/postgres?host={folder}",
        "postgres://postgres@{quoted}:{port}/postgres?sslmode=require",
    ],
)
async def test_a_socket_is_named_by_its_folder(left, form):
    url = form.format(folder=left.folder, quoted=str(left.folder).replace("/", "%2F"), port=left.port)
    async with aclosing(await open_ledger(url, TERMS, migrate=True)) as ledger:
        assert await port_of(ledger) is None


async def test_what_the_server_closed_meanwhile_is_no_reason_to_refuse_an_event(left):
    """An idle time-out of the server's, or of what stands before it."""
    async with aclosing(await open_ledger(left.url, TERMS, migrate=True)) as ledger:
        async with ledger._store._engine.connect() as conn:
            driver = (await conn.get_raw_connection()).driver_connection
        left.run(f"SELECT pg_terminate_backend({driver.get_server_pid()}, 10000)")
        while not driver.is_closed():
            await asyncio.sleep(0)
        [receipt] = await ledger.accept([make_entry()])
        assert receipt.status is EventStatus.ACCEPTED
