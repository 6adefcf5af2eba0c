"""The simulator's paths, as Cargo's reference has them."""

import asyncio
import io
import json
import re
from contextlib import asynccontextmanager

import aiohttp
import pytest

from relay.sandbox import Faults, make_app, run
from tests.pure.test_listener import ipv6

AGENT = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
CONNECTOR = "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"
V4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TRIGGER = {"type": "connector", "connectorUuid": CONNECTOR, "meta": {"a": [1, None]}}


class Clock:
    """Seconds since the epoch, moved by hand."""

    def __init__(self):
        self.now = 1_700_000_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sandbox():
    """Starts a simulator and gives `call(method, path, json=..., ...)`, which answers (status, JSON)."""

    @asynccontextmanager
    async def start(faults=None, *, headers=None, **settings):
        async with (
            await run(make_app(faults or Faults(), **settings)) as running,
            aiohttp.ClientSession(running.url, headers=headers) as session,
        ):

            async def call(method, path, **request):
                async with session.request(method, path, **request) as answer:
                    text = await answer.text()
                    return answer.status, json.loads(text) if text else None

            yield call

    return start


async def make(call, **fields):
    status, answer = await call("POST", "/v1/ai/chats", json={"trigger": TRIGGER, **fields})
    assert status == 200, answer
    return answer["chat"]


async def listed(call, **query):
    status, answer = await call("GET", "/v1/ai/chats/list", params=query)
    assert status == 200, answer
    return [chat["uuid"] for chat in answer["chats"]]


async def test_a_chat_is_made_got_and_listed_the_same(sandbox, clock):
    async with sandbox(clock=clock) as call:
        chat = await make(call, name='Ticket "7"', agentUuid=AGENT.upper())
        got = await call("GET", f"/v1/ai/chats/{chat['uuid'].upper()}")
        _, page = await call("GET", "/v1/ai/chats/list")
    assert got == (200, {"chat": chat})
    assert page == {"chats": [chat]}
    assert V4.fullmatch(chat["uuid"])
    assert chat["trigger"] == TRIGGER
    assert (chat["name"], chat["agentUuid"], chat["releaseUuid"]) == ('Ticket "7"', AGENT, None)
    assert chat["createdAt"] == chat["updatedAt"] == "2023-11-14T22:13:20.000Z"
    names = """uuid slug traceUuid workspaceUuid userUuid agentUuid releaseUuid name trigger heartbeat evaluator
        activeStreamUuid creditsUsedCount createdAt updatedAt deletedAt lastMessage"""
    assert sorted(chat) == sorted(names.split())


@pytest.mark.parametrize(
    "trigger",
    [
        {"type": "workflow", "uuid": AGENT, "nodeUuid": AGENT, "runUuid": None},
        {"type": "chat", "uuid": AGENT, "agentUuid": None, "messageUuid": AGENT},
        {"type": "web_extension", "url": None},
        {"type": "draft"},
        {"type": "app"},
        {"type": "schedule"},
    ],
)
async def test_every_trigger_of_the_reference_makes_a_chat(sandbox, trigger):
    async with sandbox() as call:
        assert (await make(call, trigger=trigger))["trigger"] == trigger


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b'{"trigger": {"type": "app"}, "name": NaN}',
        b'{"trigger": {"type": "app"}, "name": "\\ud800"}',
        b'{"trigger": {"type": "app"}, "name": 7}',
        b'{"trigger": {"type": "app"}, "agentUuid": "none"}',
        b'{"trigger": {"type": "app"}, "agentUuid": "3c90c3cc-0d44-1b50-8888-8dd25736052a"}',
        b'{"trigger": {"type": "letter"}}',
        b'{"trigger": {}}',
        b'{"trigger": {"type": "connector", "meta": {}}}',
        b'{"trigger": {"type": "connector", "connectorUuid": "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f", "meta": []}}',
        b'{"trigger": {"type": "workflow", "uuid": "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"}}',
    ],
)
async def test_a_body_that_is_no_chat_is_refused_with_a_reason_and_makes_none(sandbox, body):
    async with sandbox() as call:
        status, answer = await call("POST", "/v1/ai/chats", data=body)
        _, made = await call("GET", "/_chats")
    assert status == 400
    assert answer["reason"] == "invalidPayload"
    assert answer["errorMessage"]
    assert made == {"chats": []}


async def test_a_body_of_five_megabytes_is_refused(sandbox):
    async with sandbox() as call:
        status, _ = await call("POST", "/v1/ai/chats", data=io.BytesIO(b" " * (5 << 20)))
    assert status == 413


async def test_what_does_not_exist_is_answered_in_cargos_form(sandbox):
    async with sandbox() as call:
        assert (await call("GET", f"/v1/ai/chats/{AGENT}"))[1]["reason"] == "chatNotFound"
        assert (await call("GET", f"/v1/ai/messages/{AGENT}"))[1]["reason"] == "messageNotFound"
        assert (await call("GET", f"/v1/ai/messages/list?chatUuid={AGENT}"))[1]["reason"] == "chatNotFound"
        assert (await call("GET", "/v1/ai/agents"))[0] == 404
        assert (await call("PATCH", "/v1/ai/chats"))[0] == 405


async def test_the_list_filters_by_everything_in_the_reference(sandbox, clock):
    async with sandbox(clock=clock) as call:
        first = await make(call, name="First ticket", agentUuid=AGENT)
        clock.now += 10
        second = await make(call, trigger={"type": "app"}, name="Second", releaseUuid=CONNECTOR)
        await call(
            "POST", "/v1/ai/messages", json={"chatUuid": second["uuid"], "parts": [{"type": "text", "text": "x"}]}
        )
        one, two = first["uuid"], second["uuid"]
        assert await listed(call) == [two, one]
        assert await listed(call, triggerType="connector") == [one]
        assert await listed(call, triggerType="letter") == []
        assert await listed(call, agentUuid=AGENT) == [one]
        assert await listed(call, releaseUuid=CONNECTOR) == [two]
        assert await listed(call, userUuid=first["userUuid"]) == [two, one]
        assert await listed(call, userUuid=AGENT) == []
        assert await listed(call, name="ticket") == [one]
        assert await listed(call, createdAfter="2023-11-14T22:13:25.000Z") == [two]
        assert await listed(call, createdBefore="2023-11-14T22:13:25.000Z") == [one]
        assert await listed(call, createdAfter="2023-11-14T22:13:20.000Z") == [two]
        assert await listed(call, createdBefore="2023-11-14T22:13:20.000Z") == []
        assert await listed(call, messageStatuses="pending") == [two]
        assert await listed(call, **{"messageStatuses[]": "success"}) == []
        assert await listed(call, messageStatuses="error,pending") == [two]


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "offset=-1", "agentUuid=x", "createdAfter=soon", "messageStatuses=done"]
)
async def test_a_query_that_cannot_be_read_is_refused(sandbox, query):
    async with sandbox() as call:
        status, answer = await call("GET", f"/v1/ai/chats/list?{query}")
    assert (status, answer["reason"]) == (400, "invalidPayload")


async def test_the_list_comes_in_pages_newest_first(sandbox):
    async with sandbox() as call:
        made = [(await make(call))["uuid"] for _ in range(60)][::-1]
        assert await listed(call) == made[:50]
        assert await listed(call, offset="50") == made[50:]
        assert await listed(call, limit="7", offset="3") == made[3:10]
        assert await listed(call, limit="1000") == made
        assert await listed(call, offset="60") == []


async def test_an_assistants_message_is_pending_then_generating_then_success(sandbox, clock):
    async with sandbox(clock=clock, pending=1, generating=2) as call:
        chat = (await make(call, agentUuid=AGENT))["uuid"]
        say = {"chatUuid": chat, "parts": [{"type": "text", "text": "Hello"}]}
        _, said = await call("POST", "/v1/ai/messages", json=say)
        user, assistant = said["userMessage"], said["assistantMessage"]

        async def status():
            _, answer = await call("GET", f"/v1/ai/messages/{assistant['uuid']}")
            _, shown = await call("GET", f"/v1/ai/chats/{chat}")
            assert shown["chat"]["lastMessage"]["status"] == answer["message"]["status"]
            return answer["message"]["status"]

        assert (user["type"], user["status"], user["parts"]) == ("user", "success", say["parts"])
        assert (assistant["type"], assistant["status"], assistant["agentUuid"]) == ("assistant", "pending", AGENT)
        clock.now += 1
        assert await status() == "generating"
        refused = await call("POST", "/v1/ai/messages", json=say)
        assert (refused[0], refused[1]["reason"]) == (409, "lastMessageNotFinished")
        clock.now += 2
        assert await status() == "success"
        _, messages = await call("GET", f"/v1/ai/messages/list?chatUuid={chat}")
        assert [one["uuid"] for one in messages["messages"]] == [user["uuid"], assistant["uuid"]]
        assert messages["messages"][1]["usage"]["creditsUsedCount"] == 1
        assert messages["messages"][1]["finishedAt"] == "2023-11-14T22:13:23.000Z"
        assert (await call("POST", "/v1/ai/messages", json=say))[0] == 200


async def test_a_message_that_is_cancelled_has_no_answer_and_the_next_may_follow(sandbox, clock):
    async with sandbox(clock=clock, pending=1, generating=2) as call:
        chat = (await make(call))["uuid"]
        say = {"chatUuid": chat, "parts": [{"type": "text", "text": "Hello"}]}
        _, said = await call("POST", "/v1/ai/messages", json=say)
        path = f"/v1/ai/messages/{said['assistantMessage']['uuid']}"
        clock.now += 1
        uuids = [each["uuid"] for each in said.values()]
        cancelled = await call("POST", "/v1/ai/messages/cancel", json={"uuids": uuids})
        _, shown = await call("GET", path)
        _, user = await call("GET", f"/v1/ai/messages/{said['userMessage']['uuid']}")
        missing = await call("POST", "/v1/ai/messages/cancel", json={"uuids": [*uuids, AGENT]})
        wrong = await call("POST", "/v1/ai/messages/cancel", json={"uuids": "all"})
        assert cancelled == (200, {})
        assert (shown["message"]["status"], shown["message"]["parts"]) == ("cancelled", [])
        assert shown["message"]["finishedAt"] == "2023-11-14T22:13:21.000Z"
        assert user["message"]["status"] == "success"
        assert (missing[0], missing[1]["reason"]) == (404, "messageNotFound")
        assert (wrong[0], wrong[1]["reason"]) == (400, "invalidPayload")
        assert (await call("POST", "/v1/ai/messages", json=say))[0] == 200
        assert await call("DELETE", path) == (200, {})
        assert (await call("DELETE", path))[1]["reason"] == "messageNotFound"
        _, left = await call("GET", f"/v1/ai/messages/list?chatUuid={chat}")
        assert len(left["messages"]) == 3


async def test_a_chat_is_renamed_and_deleted(sandbox):
    async with sandbox() as call:
        chat = (await make(call, name="Ticket"))["uuid"]
        _, said = await call(
            "POST", "/v1/ai/messages", json={"chatUuid": chat, "parts": [{"type": "text", "text": "x"}]}
        )
        _, renamed = await call("PUT", f"/v1/ai/chats/{chat}", json={"name": "Deal"})
        _, same = await call("PUT", f"/v1/ai/chats/{chat.upper()}", json={})
        assert (renamed["chat"]["uuid"], renamed["chat"]["name"], same["chat"]["name"]) == (chat, "Deal", "Deal")
        assert (await call("PUT", f"/v1/ai/chats/{chat}", json={"name": 7}))[1]["reason"] == "invalidPayload"
        assert await call("DELETE", f"/v1/ai/chats/{chat}") == (200, {})
        for method, path, body in (
            ("GET", f"/v1/ai/chats/{chat}", None),
            ("PUT", f"/v1/ai/chats/{chat}", {"name": "Deal"}),
            ("DELETE", f"/v1/ai/chats/{chat}", None),
        ):
            status, answer = await call(method, path, json=body)
            assert (status, answer["reason"]) == (404, "chatNotFound")
        assert await listed(call) == []
        assert (await call("GET", f"/v1/ai/messages/{said['userMessage']['uuid']}"))[0] == 404


@pytest.mark.parametrize("parts", [None, [], [{}], [{"type": "text"}], [{"type": "text", "text": 7}], "hello"])
async def test_a_message_without_parts_is_refused(sandbox, parts):
    async with sandbox() as call:
        chat = (await make(call))["uuid"]
        status, answer = await call("POST", "/v1/ai/messages", json={"chatUuid": chat, "parts": parts})
    assert (status, answer["reason"]) == (400, "invalidPayload")


async def test_a_message_without_a_chat_opens_one(sandbox):
    async with sandbox() as call:
        _, said = await call("POST", "/v1/ai/messages", json={"parts": [{"type": "text", "text": "Hello"}]})
        _, got = await call("GET", f"/v1/ai/chats/{said['userMessage']['chatUuid']}")
    assert got["chat"]["trigger"] == {"type": "app"}


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Bearer", "right", "Basic right", "Bearer r\u00efght"])
async def test_with_a_token_every_path_asks_for_it(sandbox, header):
    async with sandbox(token="right", headers=header and {"Authorization": header}) as call:
        for method, path in (
            ("POST", "/v1/ai/chats"),
            ("GET", "/v1/ai/chats/list"),
            ("GET", f"/v1/ai/messages/{AGENT}"),
        ):
            status, answer = await call(method, path)
            assert (status, answer["reason"]) == (401, "unauthorized")
            assert "right" not in answer["errorMessage"]
        assert (await call("GET", "/_stats"))[0] == 200


async def test_with_the_right_token_it_works(sandbox):
    async with sandbox(token="right", headers={"Authorization": "Bearer right"}) as call:
        await make(call)


async def test_only_so_many_chats_are_kept(sandbox):
    async with sandbox(keep=3) as call:
        made = [(await make(call))["uuid"] for _ in range(5)]
        say = {"chatUuid": made[2], "parts": [{"type": "text", "text": "x"}]}
        _, said = await call("POST", "/v1/ai/messages", json=say)
        assert await listed(call) == made[:1:-1]
        await make(call)
        assert (await call("GET", f"/v1/ai/messages/{said['userMessage']['uuid']}"))[0] == 404
        _, stats = await call("GET", "/_stats")
    assert stats["created"] == 6


async def test_it_tells_what_it_made_and_counted_and_forgets(sandbox):
    stamped = {**TRIGGER, "meta": {"relay": {"dispatch": "d7", "run": 1, "event": "e"}}}
    async with sandbox() as call:
        await make(call)
        chat = await make(call, name="seven", trigger=stamped)
        await call("POST", "/v1/ai/messages", json={"chatUuid": chat["uuid"], "parts": [{"type": "text", "text": "x"}]})
        _, every = await call("GET", "/_chats")
        _, seventh = await call("GET", "/_chats?dispatch=d7")
        _, stats = await call("GET", "/_stats")
        assert (await call("DELETE", "/_chats"))[0] == 204
        assert (await call("GET", "/_chats"))[1] == {"chats": []}
        assert (await call("GET", "/_stats"))[1]["created"] == 0
    assert len(every["chats"]) == 2
    (told,) = seventh["chats"]
    assert (told["uuid"], told["name"], told["trigger"]) == (chat["uuid"], "seven", stamped)
    assert [message["type"] for message in told["messages"]] == ["user", "assistant"]
    assert stats["requests"] == {"POST /v1/ai/chats": 2, "POST /v1/ai/messages": 1}
    assert stats["created"] == 2
    assert stats["max_starts_per_second"] == 2


async def test_a_port_in_use_is_an_error_that_names_it():
    async with await run(make_app()) as first:
        port = int(first.url.rsplit(":", 1)[1])
        with pytest.raises(OSError, match=str(port)):
            await run(make_app(), port=port)


async def test_many_at_once_make_as_many(sandbox):
    async with sandbox() as call:
        uuids = {chat["uuid"] for chat in await asyncio.gather(*(make(call) for _ in range(200)))}
    assert len(uuids) == 200


@pytest.mark.parametrize("host", ["", "::", "localhost"])
async def test_it_answers_on_every_family_that_the_machine_has(host):
    async with await run(make_app(), host) as running, aiohttp.ClientSession() as session:
        assert running.url.startswith("http://127.0.0.1:")
        for url in (running.url, *([running.url.replace("127.0.0.1", "[::1]")] if ipv6() else [])):
            async with session.get(f"{url}/v1/ai/chats/list") as answer:
                assert answer.status == 200


async def test_only_the_agents_that_there_are_get_chats(aiohttp_client):
    there, other = "0b5bd1a3-24d5-4c6c-9f5a-7d2a8d6a1f00", "3c90c3cc-0d44-4b50-8888-8dd25736052a"
    client = await aiohttp_client(make_app(agents=[there.upper()]))
    statuses = {}
    for agent in (there, other):
        body = {"agentUuid": agent, "trigger": {"type": "draft"}}
        async with client.post("/v1/ai/chats", json=body, headers={"Authorization": "Bearer x"}) as answer:
            statuses[agent] = (answer.status, (await answer.json()).get("reason"))
    assert statuses == {there: (200, None), other: (404, "agentNotFound")}
