"""The consumers that config/README.md shows, run as they stand there on real results."""

import asyncio
import contextlib
import json
import os
import shutil
import sqlite3
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import aiohttp
import pytest
from asyncpg import connect as connect_postgres

from tests.docs.readme import ROOT, blocks, section
from tests.e2e.harness import Relay, Vendor, eventually
from tests.e2e.simulator import simulating
from tests.services.process import Process

SHOWN = section("Consume the results", (ROOT / "config/README.md").read_text())
# Dies as by a power cut where the acknowledgement would be sent: the commit is done, the broker knows nothing of it.
PYTHON_DEATH = """
import os, signal
from aio_pika.message import IncomingMessage
IncomingMessage.ack = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
"""
NODE_DEATH = """
import { createRequire } from "node:module";
const { Channel } = createRequire(import.meta.url)("./node_modules/amqplib/lib/channel_model.js");
Channel.prototype.ack = () => process.kill(process.pid, "SIGKILL");
"""


@dataclass
class Consumer:
    """A shown program: `command` runs it, `deadly` so that it dies before its first acknowledgement; `read` queries."""

    command: list[str]
    deadly: list[str]
    env: dict[str, str]
    folder: Path
    database: str

    def start(self, url: str, *, deadly: bool = False) -> Process:
        env = {**os.environ, **self.env, "RABBITMQ_URL": url}
        return Process(self.deadly if deadly else self.command, log=self.folder / "consumer.log", env=env)

    async def read(self, query: str) -> list[tuple]:
        """The rows; none while the program has not made its tables."""
        if self.database.startswith("postgresql"):
            connection = await connect_postgres(self.database)
            try:
                return [tuple(row) for row in await connection.fetch(query)]
            except Exception as error:
                if type(error).__name__ != "UndefinedTableError":
                    raise
                return []
            finally:
                await connection.close()
        with contextlib.closing(sqlite3.connect(self.database)) as connection:
            try:
                return connection.execute(query).fetchall()
            except sqlite3.OperationalError:
                return []


@pytest.fixture(params=["python", "js"])
def consumer(request, tmp_path):
    (code,) = blocks(request.param, SHOWN)
    if request.param == "python":
        (tmp_path / "consume.py").write_text(code)
        (tmp_path / "deadly.py").write_text(PYTHON_DEATH + code)
        command = [sys.executable, "-W", "error"]
        runs = [[*command, str(tmp_path / name)] for name in ("consume.py", "deadly.py")]
        database = str(tmp_path / "results.db")
        return Consumer(*runs, {"DATABASE": database}, tmp_path, database)
    url = request.getfixturevalue("postgres_url")
    packages = request.getfixturevalue("npm_folder")
    (tmp_path / "node_modules").symlink_to(packages / "node_modules")
    (tmp_path / "consume.mjs").write_text(code)
    (tmp_path / "death.mjs").write_text(NODE_DEATH)
    node, program = shutil.which("node"), str(tmp_path / "consume.mjs")
    deadly = [node, "--import", str(tmp_path / "death.mjs"), program]
    return Consumer([node, program], deadly, {"DATABASE_URL": url}, tmp_path, url)


class Way:
    """A way to RabbitMQ that can be cut."""

    def __init__(self, target: str) -> None:
        self._target = urlsplit(target)
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        login = self._target.netloc.rpartition("@")[0]
        port = self._server.sockets[0].getsockname()[1]
        self.url = self._target._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader, writer):
        there, back = await asyncio.open_connection(self._target.hostname, self._target.port)
        ends = {writer, back}
        self._writers |= ends
        await asyncio.gather(pass_on(reader, back), pass_on(there, writer))
        self._writers -= ends


async def pass_on(reader, writer):
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            writer.write(data)
    writer.transport.abort()


CHATS = "SELECT external_id FROM chats ORDER BY external_id"
SEEN = "SELECT message_id FROM seen"


async def test_a_shown_consumer_keeps_each_result_once(tmp_path, amqp_url, consumer):
    folder = tmp_path / "relay"
    folder.mkdir()
    async with simulating() as cargo, aiohttp.ClientSession() as session, Way(amqp_url) as way:
        relay = Relay(folder, cargo=cargo.url, amqp=amqp_url)
        await asyncio.to_thread(relay.start)
        running = None
        try:
            vendor = Vendor(session, relay.url("hooks"))
            for number in (1, 2, 3):
                await vendor.insist(number)
            await eventually(lambda: relay.logged("result.published") == 3, seconds=30, what=relay.describe)

            deadly = consumer.start(way.url, deadly=True)
            await eventually(lambda: not deadly.alive(), seconds=60, what=deadly.describe)
            # The one in Node.js keeps several at once: more than one may be committed when it dies.
            assert len(await consumer.read(CHATS)) == len(await consumer.read(SEEN)) >= 1, deadly.describe()

            await tell_of_the_future(amqp_url)
            running = consumer.start(way.url)
            await until(consumer, running, ["msg_1", "msg_2", "msg_3"], seen=4)
            way.cut()
            await vendor.insist(4)
            await until(consumer, running, ["msg_1", "msg_2", "msg_3", "msg_4"], seen=5)
            await eventually(lambda: is_empty(amqp_url), seconds=30, what=running.describe)
        finally:
            if running is not None:
                running.kill()
            await asyncio.to_thread(relay.stop)


async def until(consumer, process, chats, *, seen):
    """Wait until the consumer has kept these chats, and that many messages."""

    async def kept() -> bool:
        rows = await consumer.read(CHATS)
        return rows == [(chat,) for chat in chats] and len(await consumer.read(SEEN)) == seen

    await eventually(kept, seconds=60, what=process.describe)
    assert process.alive(), process.describe()


async def tell_of_the_future(url: str) -> None:
    """A result of a later release: a type and a routing key that nobody knows yet."""
    event = {
        "specversion": "1.0",
        "id": "future",
        "type": "relay.chat.renamed",
        "source": "/relay/crm",
        "data": {"n": 1},
    }
    async with await aio_pika.connect(url) as connection:
        exchange = await (await connection.channel()).get_exchange("relay.results")
        message = aio_pika.Message(json.dumps(event).encode(), message_id="future", type="relay.chat.renamed")
        await exchange.publish(message, "chat.renamed.crm.deal")


async def is_empty(url: str) -> bool:
    """Whether nothing waits in the queue."""
    async with await aio_pika.connect(url) as connection:
        queue = await (await connection.channel()).get_queue("relay.results")
        return queue.declaration_result.message_count == 0


def test_the_shown_java_names_what_the_others_do():
    """It is not run, as a machine need not have a compiler: what it does is held against the Python above it."""
    (java,), (python,) = blocks("java", SHOWN), blocks("python", SHOWN)
    for word in ("relay.results", "relay.chat.created", "externalId", "chatUuid", "RABBITMQ_URL", "seen", "chats"):
        assert word in java
        assert word in python
    assert java.count("{") == java.count("}")
    assert java.index("insist(message.") < java.index("basicAck")
