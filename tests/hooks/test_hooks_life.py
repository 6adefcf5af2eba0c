"""The hooks listener before the ledger is open, and on its way out."""

import asyncio
import contextlib
import json

import pytest
from aiohttp import web

from relay.hooks import Caps, Crowd, Front, TurnedAway
from relay.hooks.pool import Ease
from relay.telemetry import Metrics
from tests.hooks.listener import Recorder, listen

REQUEST = b"POST /hooks/open HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


@contextlib.asynccontextmanager
async def connecting(listener):
    reader, writer = await asyncio.open_connection("127.0.0.1", int(listener.url.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer_of(reader):
    """Status line and headers of one answer, in lower case, and its body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(int(line.split(":")[1]) for line in head.splitlines() if line.startswith("content-length"))
    return head, await reader.readexactly(length)


async def test_before_it_is_opened_every_request_is_asked_to_come_again():
    front = Front(Crowd(Caps(), TurnedAway("hooks", Metrics(), lambda: 0.0)), most=1 << 20)
    await front.setup()
    await web.TCPSite(front, "127.0.0.1", 0).start()
    try:
        reader, writer = await asyncio.open_connection(*front.addresses[0])
        writer.write(REQUEST)
        head, body = await answer_of(reader)
        assert head.startswith("http/1.1 503")
        assert "retry-after: 5" in head
        assert "connection: close" in head
        assert json.loads(body)["type"] == "/problems/starting"
        writer.close()
    finally:
        await front.cleanup()


async def test_a_connection_that_was_made_before_the_opening_is_served_after_it():
    async with listen(opened=False) as listener, connecting(listener) as (reader, writer):
        while not listener.front.server.connections:
            await asyncio.sleep(0)
        listener.open()
        writer.write(REQUEST)
        assert (await answer_of(reader))[0].startswith("http/1.1 202")


async def test_on_the_way_out_everything_is_taken_and_each_answer_closes_its_connection():
    async with listen() as listener, connecting(listener) as (reader, writer):
        writer.write(REQUEST)
        head, _ = await answer_of(reader)
        assert "connection: close" not in head
        listener.front.say_goodbye()
        writer.write(REQUEST)
        head, _ = await answer_of(reader)
        assert head.startswith("http/1.1 202")
        assert "connection: close" in head
        assert await reader.read() == b""
        async with connecting(listener) as (again, asking):  # a new connection is taken too
            asking.write(REQUEST.replace(b"/open", b"/nobody"))
            head, _ = await answer_of(again)
            assert head.startswith("http/1.1 404")
            assert "connection: close" in head
        assert len(listener.intake.events) == 2


async def test_a_closed_entrance_lets_end_what_has_begun_and_closes_what_is_idle():
    entered, go = asyncio.Event(), asyncio.Event()

    class Slow(Recorder):
        async def accept(self, events):
            entered.set()
            await go.wait()
            return await super().accept(events)

    async with (
        listen(intake=Slow()) as listener,
        connecting(listener) as (idle, _),
        connecting(listener) as (halved, halving),
        connecting(listener) as (busy, asking),
    ):
        asking.write(REQUEST)
        halving.write(REQUEST[:20])
        await entered.wait()
        while not any(connection.ease is Ease.READING for connection in listener.front.server.connections):
            await asyncio.sleep(0)
        port = int(listener.url.rpartition(":")[2])
        await listener.front.close_entrance()
        assert await idle.read() == b""
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        halving.write(REQUEST[20:])
        go.set()
        for reader in (busy, halved):
            head, _ = await answer_of(reader)
            assert head.startswith("http/1.1 202")
            assert "connection: close" in head
