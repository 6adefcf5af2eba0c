"""The port Chats, held against the adapter for Cargo and the simulator, over real HTTP."""

import asyncio
import json
from contextlib import asynccontextmanager

import aiohttp
import pytest

from relay.cargo import Cargo
from relay.errors import Denied, Permanent, Retryable, Unknown
from relay.ports import Chats
from relay.sandbox import Faults, make_app, run
from relay.secret import Secret

TOKEN = "sk-cargo-7f3a"
AGENT = "3c90c3cc-0d44-4b50-8888-8dd25736052a"
CONNECTOR = "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"


def body(dispatch="d1", **fields):
    meta = {"relay": {"dispatch": dispatch, "run": 2, "event": "e1"}, "ticket": 7}
    trigger = {"type": "connector", "connectorUuid": CONNECTOR, "meta": meta}
    return json.dumps({"trigger": trigger, "name": "Ticket", "agentUuid": AGENT, **fields}).encode()


class Lab:
    """A simulator, the adapter that calls it, and what the adapter observed."""

    def __init__(self, url, chats: Chats, seen):
        self.url = url
        self.chats = chats
        self.seen = seen

    async def made(self, dispatch="d1"):
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{self.url}/_chats", params={"dispatch": dispatch}) as answer,
        ):
            return (await answer.json())["chats"]


@pytest.fixture
def lab():
    @asynccontextmanager
    async def start(faults=None, *, token=TOKEN, timeout=5.0, **settings):
        seen = []
        async with (
            await run(make_app(faults or Faults(), token=TOKEN, **settings)) as sandbox,
            Cargo(
                f"{sandbox.url}/v1",
                Secret(token),
                timeout=timeout,
                connections=8,
                observe=lambda outcome, seconds: seen.append((outcome, seconds)),
            ) as chats,
        ):
            yield Lab(sandbox.url, chats, seen)

    return start


async def test_a_creation_gives_the_chat_with_its_stamp(lab):
    async with lab() as here:
        chat = await here.chats.create(body())
        made = await here.made()
    assert [chat.uuid] == [one["uuid"] for one in made]
    assert (chat.name, chat.agent_uuid, chat.trigger_type, chat.stamp) == ("Ticket", AGENT, "connector", ("d1", 2))
    assert chat.connector_uuid == CONNECTOR
    assert chat.created_at > 1_700_000_000_000
    assert here.seen[0][0] == "ok"
    assert 0 < here.seen[0][1] < 5


async def test_a_chat_without_our_stamp_is_a_chat(lab):
    async with lab(Faults(script=("no_stamp",))) as here:
        chat = await here.chats.create(body())
    assert chat.stamp is None


@pytest.mark.parametrize(
    ("fault", "made"),
    [
        ("error_before", 0),
        ("error_after", 1),
        ("lost", 1),
        ("reset_before", 0),
        ("reset_after", 1),
        ("hang", 0),
        ("hang_after", 1),
        ("html", 0),
        ("empty", 1),
        ("no_chat", 1),
        ("bad_uuid", 1),
    ],
)
async def test_an_outcome_that_is_not_known_is_unknown_whether_the_chat_was_made_or_not(lab, fault, made):
    # Where an answer comes, a slow machine has time for it; where none comes, the wait is the test's.
    async with lab(Faults(script=("ok", fault)), timeout=1.5 if fault.startswith("hang") else 30) as here:
        await here.chats.create(body("other"))
        with pytest.raises(Unknown) as caught:
            await here.chats.create(body())
        assert len(await here.made()) == made
    assert [outcome for outcome, _ in here.seen] == ["ok", "unknown"]
    assert TOKEN not in f"{caught.value!r}{caught.value}"


async def test_a_429_says_when_to_come_back_if_cargo_does(lab):
    async with lab(Faults(script=("throttled", "throttled_bare"), retry_after=7)) as here:
        with pytest.raises(Retryable) as told:
            await here.chats.create(body())
        with pytest.raises(Retryable) as bare:
            await here.chats.create(body())
        assert await here.made() == []
    assert (told.value.status, told.value.retry_after) == (429, 7.0)
    assert (bare.value.status, bare.value.retry_after) == (429, None)
    assert [outcome for outcome, _ in here.seen] == ["retryable", "retryable"]


@pytest.mark.parametrize(("fault", "status"), [("unauthorized", 401), ("forbidden", 403)])
async def test_refused_credentials_are_denied_and_nothing_is_made(lab, fault, status):
    async with lab(Faults(script=(fault,))) as here:
        with pytest.raises(Denied) as caught:
            await here.chats.create(body())
        assert await here.made() == []
    assert caught.value.status == status
    assert here.seen[0][0] == "denied"


async def test_a_wrong_token_is_denied_on_every_call(lab):
    async with lab(token="sk-other") as here:
        calls = (
            here.chats.probe,
            lambda: here.chats.create(body()),
            lambda: here.chats.say(AGENT, "hello", None),
            lambda: here.chats.chats("connector", 0, 9_999_999_999_999, 0),
            lambda: here.chats.messages(AGENT),
        )
        for call in calls:
            with pytest.raises(Denied):
                await call()


async def test_a_body_that_cargo_refuses_is_permanent_with_its_reason(lab):
    async with lab() as here:
        with pytest.raises(Permanent, match="trigger") as caught:
            await here.chats.create(b'{"name": "no trigger"}')
    assert (caught.value.status, caught.value.code) == (400, "invalidPayload")
    assert here.seen[0][0] == "permanent"


async def test_every_chat_is_found_once_by_paging_through_the_list(lab):
    async with lab(page=3) as here:
        uuids = {(await here.chats.create(body(f"d{n}"))).uuid for n in range(230)}
        found, offset = [], 0
        while (page := await here.chats.chats("connector", 0, 9_999_999_999_999, offset)).rows:
            found += page.chats
            offset += page.rows
    assert offset == 230
    assert {chat.uuid for chat in found} == uuids
    assert {chat.stamp for chat in found} == {(f"d{n}", 2) for n in range(230)}


async def test_the_list_keeps_to_its_trigger_type_and_time(lab):
    async with lab() as here:
        chat = await here.chats.create(body())
        await here.chats.create(b'{"trigger": {"type": "app"}}')
        here_now = chat.created_at
        pages = [
            await here.chats.chats("connector", here_now - 1, here_now + 60_000, 0),
            await here.chats.chats("connector", here_now + 60_000, here_now + 120_000, 0),
            await here.chats.chats("connector", 0, here_now - 1, 0),
        ]
    assert [[row.uuid for row in page.chats] for page in pages] == [[chat.uuid], [], []]


async def test_a_list_that_fails_is_unknown_and_a_list_that_lags_is_empty(lab):
    async with lab(Faults(list_lag=60)) as here:
        await here.chats.create(body())
        assert (await here.chats.chats("connector", 0, 9_999_999_999_999, 0)).rows == 0
    async with lab(Faults(list_errors=1.0)) as here:
        with pytest.raises(Unknown):
            await here.chats.chats("connector", 0, 9_999_999_999_999, 0)
        with pytest.raises(Unknown):
            await here.chats.probe()


async def test_a_message_is_said_once_and_listed(lab):
    async with lab() as here:
        chat = await here.chats.create(body())
        said = await here.chats.say(chat.uuid, "Grüße \ud83d\ude00", AGENT)
        listed = await here.chats.messages(chat.uuid)
        made = await here.made()
        with pytest.raises(Permanent) as caught:
            await here.chats.say(chat.uuid, "again", None)
    assert [(one.uuid == said, one.type) for one in listed] == [(True, "user"), (False, "assistant")]
    assert listed[1].status in ("pending", "generating")
    assert made[0]["messages"][0]["parts"] == [{"type": "text", "text": "Grüße 😀"}]
    assert (caught.value.status, caught.value.code) == (409, "lastMessageNotFinished")


async def test_a_message_for_a_chat_that_is_gone_is_permanent(lab):
    async with lab() as here:
        with pytest.raises(Permanent) as said:
            await here.chats.say(AGENT, "hello", None)
        with pytest.raises(Permanent) as listed:
            await here.chats.messages(AGENT)
    assert (said.value.code, listed.value.code) == ("chatNotFound", "chatNotFound")


@pytest.mark.parametrize("fault", ["lost", "reset_after", "empty", "error_after", "no_chat"])
async def test_a_message_whose_answer_is_lost_is_unknown_and_found_in_the_list(lab, fault):
    async with lab(Faults(script=(fault,), on="messages")) as here:
        chat = await here.chats.create(body())
        with pytest.raises(Unknown):
            await here.chats.say(chat.uuid, "hello", None)
        assert [one.type for one in await here.chats.messages(chat.uuid)] == ["user", "assistant"]


async def test_the_probe_passes_where_the_token_does(lab):
    async with lab() as here:
        assert await here.chats.probe() is None
    async with lab(Faults(denied=403)) as here:
        with pytest.raises(Denied):
            await here.chats.probe()


async def test_many_calls_share_the_pool(lab):
    async with lab(Faults(latency=0.01)) as here:
        made = await asyncio.gather(*(here.chats.create(body(f"d{n}")) for n in range(100)))
    assert len({chat.uuid for chat in made}) == 100
