"""Results as server-sent events: in order, resumable, and outliving a ledger that is away."""

import asyncio

import pytest

from relay.ops.stream import Stream
from tests.ops.desk import make_result


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    plain = Stream.__init__

    def quick(self, *args, **named):
        plain(self, *args, **named, poll=0.01, heartbeat=0.02)

    monkeypatch.setattr(Stream, "__init__", quick)


async def read(answer, count):
    """The next `count` results of a stream as pairs of cursor and CloudEvent id."""
    found = []
    cursor = None
    async for line in answer.content:
        if line.startswith(b"id: "):
            cursor = int(line[4:])
        if line.startswith(b"data: "):
            found.append((cursor, line.decode().split('"')[3]))
        if len(found) == count and line == b"\n":
            break
    return found


async def test_all_that_is_kept_and_the_end(http, memory):
    memory.tell(*(make_result(number) for number in range(1, 451)))
    answer = await http.get("/api/results?follow=0")
    assert answer.content_type == "text/event-stream"
    found = await read(answer, 1000)
    assert found == [(number, f"d-{number}.1") for number in range(1, 451)]


async def test_an_event_is_one_id_and_one_data_line(http, memory):
    memory.tell(make_result(1))
    text = await (await http.get("/api/results?follow=0")).text()
    lines = text.split("\n")
    assert [line.partition(":")[0] for line in lines] == ["retry", "id", "", "id", "data", "", ""]


async def test_it_resumes_after_the_last_event_id(http, memory):
    memory.tell(*(make_result(number) for number in range(1, 6)))
    answer = await http.get("/api/results?follow=0&after=1", headers={"Last-Event-ID": "3"})
    assert await read(answer, 9) == [(4, "d-4.1"), (5, "d-5.1")]
    answer = await http.get("/api/results?follow=0&after=4")
    assert await read(answer, 9) == [(5, "d-5.1")]


async def test_latest_begins_with_what_comes_next(http, memory):
    memory.tell(make_result(1))
    answer = await http.get("/api/results?after=latest")
    assert [await answer.content.readline() for _ in range(2)][1] == b"id: 1\n"
    memory.tell(make_result(2))
    assert await read(answer, 1) == [(2, "d-2.1")]
    answer.close()


async def test_silence_is_filled_with_comments(http):
    answer = await http.get("/api/results")
    async with asyncio.timeout(5):
        lines = [await answer.content.readline() for _ in range(6)]
    assert lines[2:] == [b"\n", b": here\n", b"\n", b": here\n"]
    answer.close()


async def test_a_stream_outlives_a_ledger_that_is_away(http, memory):
    memory.tell(make_result(1))
    answer = await http.get("/api/results")
    assert await read(answer, 1) == [(1, "d-1.1")]
    memory.away = True
    assert (await answer.content.readline()) == b": here\n"
    memory.tell(make_result(2))
    memory.away = False
    assert await read(answer, 1) == [(2, "d-2.1")]
    answer.close()


async def test_away_from_the_start_is_503(http, memory):
    memory.away = True
    assert (await http.get("/api/results")).status == 503


@pytest.mark.parametrize("cursor", ["x", "-1", "1" * 40, "1.5", "9223372036854775808"])
async def test_a_cursor_that_is_none_is_refused(http, cursor):
    assert (await http.get(f"/api/results?after={cursor}")).status == 400
    assert (await http.get("/api/results", headers={"Last-Event-ID": cursor})).status == 400


async def test_a_cursor_of_another_ledger_is_refused_and_told(http, memory):
    """Taken, nothing would come until the new ledger has told as many results as the old one."""
    memory.tell(make_result(1))
    for answer in (
        await http.get("/api/results?after=2"),
        await http.get("/api/results", headers={"Last-Event-ID": "99"}),
    ):
        assert answer.status == 409
        assert "is newer than the last result, 1" in (await answer.json())["detail"]


async def test_streams_end_when_the_service_stops(aiohttp_server, make_app, memory):
    from aiohttp import ClientSession

    server = await aiohttp_server(make_app())
    async with ClientSession() as session, session.get(server.make_url("/api/results")) as answer:
        await answer.content.readuntil(b"\n\n")
        async with asyncio.timeout(5):
            await server.close()
            assert (await answer.content.read()).replace(b": here\n\n", b"") == b""
