"""A connection that ends in the middle of a frame: what was under way is done again, and nothing is lost."""

import asyncio
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from tests.broker.test_outage import Ledger, check, fill, relaying

COUNT = 200
CUTS = 3
"""Connections that are cut; each next one after more bytes."""


class Cutter:
    """A way to RabbitMQ that cuts connections: `cuts` counts them. One byte is missing of the last frame.

    `side` is whose frame it is: the `client`'s or the `server`'s.
    """

    def __init__(self, host, port, side):
        self._at = host, port
        self._side = side
        self.cuts = 0

    async def serve(self, reader, writer):
        up_reader, up_writer = await asyncio.open_connection(*self._at)
        room = {"client": None, "server": None}
        if self.cuts < CUTS:
            room[self._side] = 4_000 * (1 + self.cuts)  # past the handshake, in the middle of messages
        ways = [self._pump(reader, up_writer, room["client"]), self._pump(up_reader, writer, room["server"])]
        tasks = [asyncio.create_task(way) for way in ways]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for end in (writer, up_writer):
            end.close()

    async def _pump(self, reader, writer, room):
        passed = 0
        while data := await reader.read(1 << 16):
            passed += len(data)
            is_over = room is not None and passed > room and self.cuts < CUTS
            writer.write(data[:-1] if is_over else data)
            await writer.drain()
            if is_over:
                self.cuts += 1
                return


@asynccontextmanager
async def cutting(url, side):
    """The cutter, and the URL by which one comes through it."""
    parts = urlsplit(url)
    cutter = Cutter(parts.hostname, parts.port, side)
    async with await asyncio.start_server(cutter.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield cutter, url.replace(f"{parts.hostname}:{parts.port}", f"127.0.0.1:{port}")


@pytest.mark.parametrize("side", ["client", "server"])
async def test_a_connection_that_is_cut_in_the_middle_of_a_frame(amqp_url, side):
    ledger = Ledger()
    await fill(amqp_url, 0, COUNT)
    async with cutting(amqp_url, side) as (cutter, url):
        async with relaying(url, ledger):
            await ledger.until(lambda: ledger.told() == COUNT)
        assert cutter.cuts == CUTS
    await check(amqp_url, ledger, COUNT)
