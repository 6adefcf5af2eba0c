"""The way of one event on real parts: webhook or message in, chat at Cargo, confirmed result out."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aio_pika
import aiohttp
import pytest

from relay.sandbox import Faults
from tests.e2e.harness import Relay, Vendor, consuming, eventually
from tests.e2e.simulator import simulating
from tests.services.process import Unavailable


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("postgres_url") if request.param == "postgresql" else None


async def start(relay: Relay) -> None:
    await asyncio.to_thread(relay.start)


async def fetch(queue: aio_pika.abc.AbstractQueue) -> aio_pika.abc.AbstractIncomingMessage:
    """The next message of a queue, waited for (`get` itself does not wait)."""
    found: list[aio_pika.abc.AbstractIncomingMessage] = []

    async def look() -> bool:
        message = await queue.get(fail=False)
        found.extend([message] if message else [])
        return bool(found)

    await eventually(look, seconds=20, what=lambda: f"nothing came to {queue.name}")
    return found[0]


async def stop(relay: Relay) -> None:
    await asyncio.to_thread(relay.stop)


async def test_webhook_to_confirmed_result(tmp_path: Path, amqp_url: str, ledger: str | None) -> None:
    async with simulating() as cargo, consuming(amqp_url) as told, aiohttp.ClientSession() as session:
        relay = Relay(tmp_path, cargo=cargo.url, ledger=ledger, amqp=amqp_url, message=True)
        await start(relay)
        try:
            vendor = Vendor(session, relay.url("hooks"))
            status, answer = await vendor.post(1)
            assert status == 202
            event = answer["events"][0]
            assert event["status"] == "accepted"
            assert event["externalId"] == "msg_1"
            status, again = await vendor.post(1)
            assert (status, again["events"][0]["id"]) == (200, event["id"])
            assert again["events"][0]["status"] == "duplicate"
            await eventually(lambda: len(told.results) == 2, seconds=20, what=relay.describe)
        finally:
            await stop(relay)
        (chat,) = await cargo.chats()
        (created,) = told.of("relay.chat.created")
        dispatch = event["dispatches"][0]["id"]
        assert chat["name"] == "Deal 1"
        assert chat["trigger"]["meta"] == {
            "id": 1,
            "relay": {"dispatch": dispatch, "run": 1, "event": event["id"]},
        }
        assert [message["parts"] for message in chat["messages"] if message["type"] == "user"] == [
            [{"type": "text", "text": "Deal 1 was won"}]
        ]
        assert (created["id"], created["subject"], created["source"]) == (f"{dispatch}.1", event["id"], "/relay/crm")
        assert created["data"] | {"receivedAt": "", "createdAt": ""} == {
            "chatUuid": chat["uuid"],
            "agentUuid": "3c90c3cc-0d44-4b50-8888-8dd25736052a",
            "name": "Deal 1",
            "rule": "deal",
            "source": "crm",
            "dispatchId": dispatch,
            "run": 1,
            "eventId": event["id"],
            "externalId": "msg_1",
            "eventType": "deal.won",
            "correlationId": None,
            "attempts": 1,
            "labels": {},
            "reconciled": False,
            "receivedAt": "",
            "createdAt": "",
        }


OWN = """\
    labels: {deal: "{{ data.id }}", lost: "{{ data.gone }}"}
    result: {exchange: crm.results, routing_key: "deal.{{ data.id }}"}
"""


async def test_labels_and_results_on_an_exchange_of_the_rule(tmp_path: Path, amqp_url: str, ledger: str | None) -> None:
    """The exchange is there before the first result, nobody's queue holds up what goes elsewhere, and all is found."""
    async with simulating() as cargo, consuming(amqp_url) as told, aiohttp.ClientSession() as session:
        relay = Relay(tmp_path, cargo=cargo.url, ledger=ledger, amqp=amqp_url, rules=OWN)
        await start(relay)
        connection = await aio_pika.connect(amqp_url)
        try:
            channel = await connection.channel()
            own = await channel.declare_queue("own", durable=True)
            vendor = Vendor(session, relay.url("hooks"))
            _, answer = await vendor.post(1)  # of which no queue is told yet
            await eventually(lambda: relay.logged("result.unroutable"), seconds=20, what=relay.describe)
            await own.bind("crm.results", "deal.*")
            first = await fetch(own)
            assert (first.routing_key, first.type) == ("deal.1", "relay.chat.created")
            assert json.loads(first.body)["data"]["labels"] == {"deal": "1"}
            await first.ack()
            events = f"{relay.url('ops')}/api/events?label="
            async with session.get(f"{events}deal:1") as found:
                [event] = (await found.json())["events"]
            assert event["id"] == answer["events"][0]["id"]
            [dispatch] = event["dispatches"]
            assert dispatch["result"] == {"exchange": "crm.results", "routingKey": "deal.1"}
            assert dispatch["leftOut"] == [{"label": "lost", "why": "labels.lost: data.gone is missing"}]
            async with session.get(f"{events}deal:2") as nothing:
                assert (await nothing.json())["events"] == []
        finally:
            await connection.close()
            await stop(relay)
        others = {result["type"] for result in told.results.values()}
        assert others <= {"relay.problem.opened", "relay.problem.resolved"}, "nothing of the rule goes there"


async def test_message_to_reply_and_dead_letter(tmp_path: Path, amqp_url: str, ledger: str | None) -> None:
    async with simulating() as cargo, consuming(amqp_url) as told:
        relay = Relay(tmp_path, cargo=cargo.url, ledger=ledger, amqp=amqp_url, queue="crm.events")
        await start(relay)
        connection = await aio_pika.connect(amqp_url)
        try:
            await eventually(lambda: relay.logged("source.consuming"), seconds=20, what=relay.describe)
            channel = await connection.channel()
            replies = await channel.declare_queue("replies", durable=True)
            for body, kind in ((b'{"id": 7}', "deal.won"), (b'{"id": 8}', "other"), (b"\xff\x00 garbage", "deal.won")):
                message = aio_pika.Message(
                    body,
                    message_id=f"m-{kind}-{len(body)}",
                    type=kind,
                    correlation_id="call-1",
                    reply_to="replies",
                    content_type="application/json",
                )
                await channel.default_exchange.publish(message, "crm.events")
            await eventually(lambda: len(told.results) == 1, seconds=20, what=relay.describe)
            kinds = set()
            for _ in range(2):
                reply = await fetch(replies)
                assert reply.correlation_id == "call-1"
                kinds.add(json.loads(reply.body)["type"])
                await reply.ack()
            assert kinds == {"relay.chat.created", "relay.event.unmatched"}
            async with aiohttp.ClientSession() as session:
                await _send_back(session, f"{relay.url('ops')}/api/dead")
            dead = await fetch(await channel.get_queue("relay.dead"))
            assert dead.body == b"\xff\x00 garbage"
            assert dead.headers["relay-source"] == "bus"
        finally:
            await connection.close()
            await stop(relay)
        assert len(await cargo.chats()) == 1


async def _send_back(session: aiohttp.ClientSession, api: str) -> None:
    """The one dead letter goes back by the end of its id, cannot be read again, and is a second record."""

    async def listed(count: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []

        async def look() -> bool:
            async with session.get(api) as answer:
                found[:] = (await answer.json())["dead"]
            return len(found) == count

        await eventually(look, seconds=20, what=lambda: f"{found}")
        return found

    [letter] = await listed(1)
    assert (letter["source"], letter["queue"], letter["reason"]) == ("bus", "crm.events", "json")
    assert letter["headers"] == {}
    async with session.post(f"{api}/requeue", json={"ids": [letter["id"][-12:]]}) as answer:
        sent = {"id": letter["id"], "source": "bus", "queue": "crm.events"}
        assert await answer.json() == {"requeued": [sent], "refused": [], "missing": []}
    [again, first] = await listed(2)
    assert (first["id"], again["messageId"], again["requeuedAt"]) == (letter["id"], letter["messageId"], None)
    assert first["requeuedAt"] is not None


async def test_an_answer_lost_after_creation_is_found_not_repeated(tmp_path: Path, ledger: str | None) -> None:
    faults = Faults(script=("lost", "reset_after", "error_after", "hang_after", "html", "empty", "no_chat", "bad_uuid"))
    async with simulating(faults) as cargo, aiohttp.ClientSession() as session:
        relay = Relay(tmp_path, cargo=cargo.url, ledger=ledger)
        await start(relay)
        try:
            vendor = Vendor(session, relay.url("hooks"))
            await asyncio.gather(*(vendor.insist(number) for number in range(8)))
            await eventually(lambda: _made(relay) == 8, seconds=40, what=relay.describe)
        finally:
            await stop(relay)
        chats = await cargo.chats()
        assert sorted(chat["trigger"]["meta"]["id"] for chat in chats) == list(range(8))


def _made(relay: Relay) -> int:
    """Chats that the log tells of: there is no broker here."""
    return relay.logged("chat.created") + relay.logged("chat.reconciled")


async def test_refused_credentials_pause_everything_and_burn_nothing(tmp_path: Path) -> None:
    async with simulating(Faults(denied=401)) as cargo, aiohttp.ClientSession() as session:
        relay = Relay(tmp_path, cargo=cargo.url)
        await start(relay)
        try:
            vendor = Vendor(session, relay.url("hooks"))
            await asyncio.gather(*(vendor.insist(number) for number in range(10)))
            await eventually(lambda: relay.logged("cargo.paused"), seconds=20, what=relay.describe)
            await cargo.set_faults(Faults())
            await eventually(lambda: _made(relay) == 10, seconds=40, what=relay.describe)
            created = [line for line in relay.lines() if line["event"] == "chat.created"]
            assert {line["attempt"] for line in created} == {1}
        finally:
            await stop(relay)
        assert len(await cargo.chats()) == 10


async def test_a_cargo_that_is_away_opens_the_circuit_and_loses_nothing(tmp_path: Path) -> None:
    async with simulating(Faults(error_before=1.0)) as cargo, aiohttp.ClientSession() as session:
        relay = Relay(tmp_path, cargo=cargo.url)
        await start(relay)
        try:
            vendor = Vendor(session, relay.url("hooks"))
            await asyncio.gather(*(vendor.insist(number) for number in range(30)))
            await eventually(lambda: relay.logged("cargo.paused"), seconds=30, what=relay.describe)
            await cargo.set_faults(Faults())
            await eventually(lambda: _made(relay) == 30, seconds=180, what=relay.describe)
        finally:
            await stop(relay)
        assert len(await cargo.chats()) == 30


async def test_the_broker_is_killed_and_everything_is_told(tmp_path: Path, private_rabbitmq) -> None:
    amqp = private_rabbitmq.url
    async with simulating() as cargo, aiohttp.ClientSession() as session:
        relay = Relay(tmp_path, cargo=cargo.url, amqp=amqp, queue="crm.events")
        await start(relay)
        await eventually(lambda: relay.logged("source.consuming"), seconds=20, what=relay.describe)
        await stop(relay)
        # RabbitMQ 3.10 forgets the leaders of quorum queues declared in the last seconds before a SIGKILL.
        await asyncio.to_thread(private_rabbitmq.stop)
        await asyncio.to_thread(private_rabbitmq.start)
        await start(relay)
        try:
            vendor = Vendor(session, relay.url("hooks"))
            await asyncio.gather(*(vendor.insist(number) for number in range(10)))
            await asyncio.to_thread(private_rabbitmq.kill)
            await asyncio.gather(*(vendor.insist(number) for number in range(10, 20)))
            await asyncio.to_thread(private_rabbitmq.start)
            async with consuming(amqp) as told:
                await eventually(lambda: len(told.of("relay.chat.created")) == 20, seconds=60, what=relay.describe)
                connection = await aio_pika.connect(amqp)
                async with connection:
                    channel = await connection.channel()
                    message = aio_pika.Message(b'{"id": 99}', message_id="m-99", type="deal.won")
                    await channel.default_exchange.publish(message, "crm.events", mandatory=True)
                await eventually(lambda: len(told.of("relay.chat.created")) == 21, seconds=60, what=relay.describe)
        finally:
            await stop(relay)
        assert len(await cargo.chats()) == 21


async def test_a_relay_that_waits_for_its_ledger_is_alive_and_ends_when_told(tmp_path: Path) -> None:
    relay = Relay(tmp_path, cargo="http://127.0.0.1:9/v1", ledger="postgresql://relay@127.0.0.1:9/relay")
    waiting = asyncio.create_task(asyncio.to_thread(relay.start))
    await eventually(lambda: relay.log.exists() and relay.logged("ledger.unavailable"), seconds=20, what=relay.describe)
    async with aiohttp.ClientSession(relay.url("health")) as session:
        async with session.get("/livez") as answer:
            assert answer.status == 200
        async with session.get("/readyz?verbose") as answer:
            assert answer.status == 503
            assert "ledger" in await answer.text()
    await stop(relay)
    with pytest.raises(Unavailable):
        await waiting
    assert not relay.alive()
