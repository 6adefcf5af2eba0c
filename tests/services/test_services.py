"""The servers that other tests stand on: they keep what was confirmed, keep tests apart, and leave nothing behind."""

import subprocess
import sys
import time

import aio_pika
import asyncpg
import pytest

from tests.services.postgres import MISSING as NO_POSTGRES
from tests.services.postgres import Cluster, run_postgres
from tests.services.process import Process, Unavailable, running
from tests.services.rabbitmq import MISSING as NO_RABBITMQ
from tests.services.rabbitmq import Node, run_rabbitmq


async def declare(url, *, passive):
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        return await channel.declare_queue("left", durable=True, passive=passive)


async def test_each_test_has_a_virtual_host_of_its_own(rabbitmq_server):
    with rabbitmq_server.vhost() as one, rabbitmq_server.vhost() as two:
        await declare(one, passive=False)
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await declare(two, passive=True)


async def test_a_vhost_is_gone_after_its_test(rabbitmq_server):
    with rabbitmq_server.vhost() as url:
        await declare(url, passive=False)
    with pytest.raises(aio_pika.exceptions.AMQPError):
        await declare(url, passive=True)


async def test_a_killed_rabbitmq_comes_back_at_the_same_address_with_what_was_durable(private_rabbitmq):
    await declare(private_rabbitmq.url, passive=False)
    # RabbitMQ 3.10 may forget what was declared in the last seconds before a SIGKILL.
    private_rabbitmq.stop()
    private_rabbitmq.start()
    private_rabbitmq.kill()
    with pytest.raises((OSError, aio_pika.exceptions.AMQPError)):
        await declare(private_rabbitmq.url, passive=True)
    private_rabbitmq.start()
    await declare(private_rabbitmq.url, passive=True)
    assert "left" in private_rabbitmq.ctl("list_queues", "name")


async def test_each_test_has_a_database_of_its_own(postgres_server):
    with postgres_server.database() as one, postgres_server.database() as two:
        first, second = await asyncpg.connect(one), await asyncpg.connect(two)
        await first.execute("CREATE TABLE mine (id int)")
        assert await second.fetchval("SELECT to_regclass('mine')") is None
        await first.close()
        await second.close()


async def test_a_killed_postgres_comes_back_with_what_was_committed(private_postgres):
    connection = await asyncpg.connect(private_postgres.url)
    await connection.execute("CREATE TABLE kept (id int)")
    private_postgres.kill()
    with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
        await connection.execute("SELECT 1")
    connection.terminate()
    private_postgres.start()
    again = await asyncpg.connect(private_postgres.url)
    assert await again.fetchval("SELECT to_regclass('kept')") == "kept"
    await again.close()


async def test_a_ready_rabbitmq_is_used_where_one_is_named(rabbitmq_server, monkeypatch):
    monkeypatch.setenv("RELAY_TEST_AMQP", rabbitmq_server.url)
    monkeypatch.setenv("RELAY_TEST_AMQP_API", rabbitmq_server.api)
    with run_rabbitmq() as broker, broker.vhost() as url:
        assert not isinstance(broker, Node)
        await declare(url, passive=False)


async def test_a_ready_postgres_is_used_where_one_is_named(postgres_server, monkeypatch):
    monkeypatch.setenv("RELAY_TEST_POSTGRES", postgres_server.url)
    with run_postgres() as server, server.database() as url:
        assert not isinstance(server, Cluster)
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT count(*) FROM pg_stat_user_tables") == 0
        await connection.close()


@pytest.mark.parametrize(
    ("setting", "url", "run"),
    [
        ("RELAY_TEST_AMQP", "amqp://guest:guest@127.0.0.1:1", run_rabbitmq),
        ("RELAY_TEST_POSTGRES", "postgresql://postgres@127.0.0.1:1/postgres", run_postgres),
    ],
)
def test_a_ready_server_that_is_not_there_is_named_with_its_setting(setting, url, run, monkeypatch):
    monkeypatch.setenv(setting, url)
    monkeypatch.setenv("RELAY_TEST_AMQP_API", "http://guest:guest@127.0.0.1:1")
    with pytest.raises(Unavailable, match=setting), run():
        pass


PARENT = """
import pathlib, sys, time
from tests.services.process import Process
child = Process(["sleep", "600"], log=pathlib.Path(sys.argv[1]))
print(child.pid, flush=True)
time.sleep(600)
"""


def test_a_server_dies_with_a_test_run_that_is_killed(tmp_path):
    command = [sys.executable, "-c", PARENT, str(tmp_path / "log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = int(parent.stdout.readline())
        parent.kill()
        parent.wait()
    end = time.monotonic() + 10
    while running(child) and time.monotonic() < end:
        time.sleep(0.01)
    assert not running(child)


def test_what_a_server_started_is_killed_with_it(tmp_path):
    process = Process(["sh", "-c", "setsid sleep 600 & echo $!; wait"], log=tmp_path / "log")
    while not (tmp_path / "log").read_text().strip():
        time.sleep(0.01)
    grandchild = int((tmp_path / "log").read_text())
    process.kill()
    assert not running(grandchild)


@pytest.mark.parametrize(
    ("message", "package", "setting"),
    [(NO_RABBITMQ, "rabbitmq-server", "RELAY_TEST_AMQP="), (NO_POSTGRES, "postgresql", "RELAY_TEST_POSTGRES=")],
)
def test_what_is_missing_is_said_with_the_package_and_the_setting(message, package, setting):
    assert f"apt-get install {package}" in message
    assert setting in message
