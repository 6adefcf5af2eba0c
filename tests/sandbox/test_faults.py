"""The simulator's faults, as they look to who calls it."""

import asyncio
import errno
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest

from relay.sandbox import NAMES, Faults, make_app, run

MADE = {"error_after", "lost", "reset_after", "hang_after", "empty", "no_chat", "no_stamp", "bad_uuid"}
BODY = {
    "trigger": {
        "type": "connector",
        "connectorUuid": "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f",
        "meta": {"relay": {"dispatch": "d1", "run": 1, "event": "e1"}, "x": 1},
    }
}


class Caller:
    """Calls a simulator; `create` gives the status, `lost`, `ECONNRESET` or `silent`, and the body."""

    def __init__(self, session):
        self.session = session

    async def json(self, method, path, **request):
        async with self.session.request(method, path, **request) as answer:
            return answer.status, json.loads(await answer.text() or "null")

    async def create(self, seconds=5.0):
        try:
            async with asyncio.timeout(seconds), self.session.post("/v1/ai/chats", json=BODY) as answer:
                return answer.status, await answer.text(), answer.headers
        except aiohttp.ServerDisconnectedError:
            return "lost", "", {}
        except aiohttp.ClientOSError as error:
            return errno.errorcode[error.errno], "", {}
        except TimeoutError:
            return "silent", "", {}

    async def statuses(self, count):
        return [(await self.create())[0] for _ in range(count)]


@pytest.fixture
def sandbox():
    @asynccontextmanager
    async def start(faults=None, **settings):
        async with (
            await run(make_app(faults or Faults(), **settings)) as running,
            aiohttp.ClientSession(running.url, connector=aiohttp.TCPConnector(force_close=True)) as session,
        ):
            yield Caller(session)

    return start


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ("throttled", 429, "rateLimited"),
        ("throttled_bare", 429, ""),
        ("error_before", 502, "internalError"),
        ("error_after", 502, "internalError"),
        ("lost", "lost", ""),
        ("reset_before", "ECONNRESET", ""),
        ("reset_after", "ECONNRESET", ""),
        ("hang", "silent", ""),
        ("hang_after", "silent", ""),
        ("html", 200, "<html>"),
        ("empty", 200, ""),
        ("no_chat", 200, "{}"),
        ("no_stamp", 200, '"meta":{"x":1}'),
        ("bad_uuid", 200, '"uuid": "not-a-uuid"'),
        ("unauthorized", 401, "unauthorized"),
        ("forbidden", 403, "forbidden"),
    ],
)
async def test_each_fault_strikes_once_and_makes_a_chat_or_does_not(sandbox, fault, status, text):
    async with sandbox(Faults(script=(fault,), status=502)) as caller:
        seen, body, _ = await caller.create(0.3)
        _, made = await caller.json("GET", "/_chats?dispatch=d1")
        _, stats = await caller.json("GET", "/_stats")
        assert await caller.statuses(1) == [200]
    assert seen == status
    assert text in body
    assert bool(text) == bool(body)
    assert len(made["chats"]) == (fault in MADE)
    assert stats["struck"] == {fault: 1}


def test_the_table_of_faults_is_whole():
    assert [name for name in NAMES if name not in (Faults.__doc__ or "")] == []


async def test_retry_after_is_told_only_where_it_should_be(sandbox):
    async with sandbox(Faults(script=("throttled", "throttled_bare"), retry_after=9)) as caller:
        told, bare = [(await caller.create())[2] for _ in range(2)]
    assert told["Retry-After"] == "9"
    assert "Retry-After" not in bare


async def test_a_chat_without_its_stamp_is_without_it_in_lists_too_but_is_known_here(sandbox):
    async with sandbox(Faults(script=("no_stamp",))) as caller:
        await caller.create()
        _, page = await caller.json("GET", "/v1/ai/chats/list")
        _, made = await caller.json("GET", "/_chats?dispatch=d1")
    assert page["chats"][0]["trigger"]["meta"] == {"x": 1}
    assert made["chats"][0]["dispatch"] == "d1"


async def test_a_script_goes_before_shares_and_lets_through_what_it_says(sandbox):
    faults = Faults(script=("ok", "error_before", "ok"), throttled=1.0)
    async with sandbox(faults) as caller:
        assert await caller.statuses(5) == [200, 503, 200, 429, 429]


async def test_shares_strike_as_many_times_as_they_may(sandbox):
    async with sandbox(Faults(error_before=1.0, times=2)) as caller:
        assert await caller.statuses(4) == [503, 503, 200, 200]


async def test_a_seed_repeats_the_shares(sandbox):
    runs = []
    for seed in (1, 1, 2):
        async with sandbox(Faults(throttled_bare=0.3, error_before=0.3, seed=seed)) as caller:
            runs.append(await caller.statuses(40))
    assert runs[0] == runs[1] != runs[2]
    assert set(runs[0]) == {200, 429, 503}


async def test_faults_change_at_run_time_and_show_and_reset(sandbox):
    async with sandbox() as caller:
        status, shown = await caller.json("PUT", "/_faults", json={"error_after": 1, "list_lag": 2.5})
        assert (status, shown["error_after"], shown["list_lag"], shown["lost"]) == (200, 1.0, 2.5, 0.0)
        assert await caller.json("GET", "/_faults") == (200, shown)
        assert await caller.statuses(1) == [503]
        _, reset = await caller.json("DELETE", "/_faults")
        assert (reset["error_after"], reset["script"]) == (0.0, [])
        assert await caller.statuses(1) == [200]


@pytest.mark.parametrize(
    "faults",
    [
        {"unheard_of": 1},
        {"lost": 1.5},
        {"lost": 0.6, "hang": 0.6},
        {"script": ["gremlins"]},
        {"latency": -1},
        {"status": 404},
        {"denied": 500},
        [],
    ],
)
async def test_faults_that_make_no_sense_are_refused_and_change_nothing(sandbox, faults):
    async with sandbox(Faults(error_before=1.0)) as caller:
        status, answer = await caller.json("PUT", "/_faults", json=faults)
        assert await caller.statuses(1) == [503]
    assert status == 400
    assert answer["errorMessage"]


def test_shares_beyond_one_are_refused_in_code_too():
    with pytest.raises(ValueError, match=r"add up to 1\.2"):
        Faults(lost=0.6, hang=0.6)


async def test_a_rate_refuses_what_is_above_it(sandbox):
    now = [0.0]
    async with sandbox(Faults(rate=3), clock=lambda: 1_700_000_000.0 + now[0]) as caller:
        assert await caller.statuses(5) == [200, 200, 200, 429, 429]
        now[0] += 1.0
        assert await caller.statuses(4) == [200, 200, 200, 429]
        _, stats = await caller.json("GET", "/_stats")
    assert stats["max_starts_per_second"] == 5


async def test_a_list_lags_and_fails(sandbox):
    now = [1_700_000_000.0]
    async with sandbox(Faults(list_lag=5), clock=lambda: now[0]) as caller:
        await caller.create()
        now[0] += 4.9
        assert (await caller.json("GET", "/v1/ai/chats/list"))[1] == {"chats": []}
        now[0] += 0.1
        assert len((await caller.json("GET", "/v1/ai/chats/list"))[1]["chats"]) == 1
        await caller.json("PUT", "/_faults", json={"list_errors": 1, "status": 500})
        assert (await caller.json("GET", "/v1/ai/chats/list"))[0] == 500


async def test_a_revoked_token_is_denied_everywhere_but_at_the_controls(sandbox):
    async with sandbox(Faults(denied=403)) as caller:
        assert await caller.statuses(1) == [403]
        assert (await caller.json("GET", "/v1/ai/chats/list"))[0] == 403
        assert (await caller.json("DELETE", "/_faults"))[0] == 200
        assert await caller.statuses(1) == [200]


async def test_latency_delays_every_answer(sandbox):
    """Of an hour: a request that has come in and gets no answer by itself is one that waits for it."""
    paths = (("POST", "/v1/ai/chats"), ("GET", "/v1/ai/chats/list"), ("POST", "/v1/ai/messages"), ("GET", "/v1/none"))
    async with sandbox(Faults(latency=3_600.0)) as caller:
        calls = [asyncio.create_task(caller.json(*path)) for path in paths]
        while sum((await caller.json("GET", "/_stats"))[1]["requests"].values()) < len(calls):
            pass
        done, waiting = await asyncio.wait(calls, timeout=0)
        for call in waiting:
            call.cancel()
        await asyncio.wait(waiting)
    assert done == set()


async def test_faults_strike_messages_when_asked_to(sandbox):
    async with sandbox(Faults(script=("lost",), on="messages")) as caller:
        _, body, _ = await caller.create()
        say = {"chatUuid": json.loads(body)["chat"]["uuid"], "parts": [{"type": "text", "text": "x"}]}
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await caller.json("POST", "/v1/ai/messages", json=say)
        _, made = await caller.json("GET", "/_chats")
    assert [message["type"] for message in made["chats"][0]["messages"]] == ["user", "assistant"]


async def test_a_caller_who_hangs_up_during_the_latency_gets_a_chat_all_the_same(sandbox):
    async with sandbox(Faults(latency=0.2)) as caller:
        assert (await caller.create(0.05))[0] == "silent"
        async with asyncio.timeout(5):
            while not (await caller.json("GET", "/_chats"))[1]["chats"]:
                await asyncio.sleep(0.02)


async def test_it_stops_at_once_though_a_call_hangs(sandbox):
    running = await run(make_app(Faults(hang=1.0)))
    async with aiohttp.ClientSession(running.url) as session:
        call = asyncio.create_task(session.post("/v1/ai/chats", json=BODY))
        while (await (await session.get("/_stats")).json())["struck"] != {"hang": 1}:
            pass
        async with asyncio.timeout(30):  # aiohttp itself would wait a minute for the call
            await running.stop()
        await asyncio.gather(call, return_exceptions=True)
