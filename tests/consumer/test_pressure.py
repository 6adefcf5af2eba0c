"""Trouble costs no deliveries: RabbitMQ drops a message of these queues when it comes once, or twice, too often."""

import asyncio
import json
import random
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from relay.consumer import Input
from relay.errors import Overloaded, Unavailable
from relay.telemetry import PartState
from tests.consumer.stage import Intake, Told, connected, consuming, depth, get, looking, put, settled

AWAY = Unavailable("disk full")


def ids(number):
    return [f"m{each}" for each in range(number)]


@asynccontextmanager
async def filled(url, *names, limit, **properties):
    """A queue with these messages, of which each may come `limit` times more than once."""
    async with looking(url) as channel:
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": limit}
        await channel.declare_queue("in", durable=True, arguments=arguments)
        await put(channel, *names, **properties)
        yield channel


def accepted(intake):
    return sorted(event.external_id for event in intake.events)


async def until(true, within=30):
    async with asyncio.timeout(within):
        while not true():
            await asyncio.sleep(0.01)


async def test_a_ledger_that_comes_and_goes_costs_no_delivery_and_few_lines(amqp_url):
    dice = random.Random(18)
    intake = Intake(lambda _: AWAY if dice.random() < 0.5 else None)
    async with filled(amqp_url, *ids(60), limit=0):
        pass
    with capture_logs() as lines:
        async with connected(amqp_url) as broker, consuming(broker, intake, Input("bus", "in", prefetch=7)):
            await intake.has(*ids(60))
    await settled(amqp_url, "in")
    assert accepted(intake) == sorted(ids(60))
    names = [line["event"] for line in lines]
    assert (names.count("source.pressed"), names.count("source.eased"), names.count("source.consuming")) == (1, 1, 1)


async def test_nothing_is_consumed_while_the_ledger_is_away(amqp_url):
    intake, told = Intake(), Told()
    intake.trouble, intake.away = lambda _: intake.away, AWAY
    async with (
        filled(amqp_url, *ids(20), limit=0) as channel,
        connected(amqp_url) as broker,
        consuming(broker, intake, Input("bus", "in", prefetch=5), report=told),
    ):
        await told.of(PartState.DEGRADED, "the ledger is away: disk full")
        asked = intake.asked
        await until(lambda: intake.asked >= asked + 5)
        assert await depth(channel, "in") == 15
        assert len(intake.tried) <= 5
        intake.away = None
        await intake.has(*ids(20))
    await settled(amqp_url, "in")


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_the_ledger_does_a_message_is_given_back_once(amqp_url, seed):
    """Held for longer than the patience again and again, by a ledger that also says "ready" and then fails."""
    dice = random.Random(seed)
    intake = Intake(lambda _: AWAY if dice.random() < 0.8 else None)
    async with filled(amqp_url, *ids(25), limit=1):
        pass
    source = Input("bus", "in", prefetch=6)
    async with connected(amqp_url) as broker, consuming(broker, intake, source, patience=0.02):
        await intake.has(*ids(25), within=60)
        intake.trouble = lambda _: None
        async with looking(amqp_url) as channel:
            await put(channel, "last")
        await intake.has("last")
    await settled(amqp_url, "in")
    assert accepted(intake) == sorted([*ids(25), "last"])


async def test_what_was_given_back_comes_in_by_its_copy_and_is_only_acknowledged_then(amqp_url):
    intake = Intake()
    intake.trouble, intake.away = lambda _: intake.away, AWAY
    async with (
        filled(amqp_url, *ids(4), limit=1) as channel,
        connected(amqp_url) as broker,
        consuming(broker, intake, patience=0.1),
    ):
        await until(lambda: intake.tried)
        async with asyncio.timeout(20):
            while await depth(channel, "in") != 4:
                await asyncio.sleep(0.01)
        intake.away = None
        await intake.has(*ids(4))
        intake.trouble = lambda _: AWAY  # it is not asked about what it has
        async with asyncio.timeout(20):
            while await depth(channel, "in"):
                await asyncio.sleep(0.01)
    await settled(amqp_url, "in")
    assert accepted(intake) == ids(4)


def publish_without_id(server, url, payload):
    """By the management API: the client library gives an id to what has none."""
    message = {"properties": {}, "routing_key": "in", "payload": payload, "payload_encoding": "string"}
    server.call("POST", f"/exchanges/{url.rpartition('/')[2]}/amq.default/publish", json.dumps(message).encode())


async def test_without_ids_nothing_is_lost_either(amqp_url, rabbitmq_server):
    intake = Intake()
    intake.trouble, intake.away = lambda _: intake.away, AWAY
    async with filled(amqp_url, limit=1) as channel:
        for number in range(5):
            publish_without_id(rabbitmq_server, amqp_url, f"[{number}]")
        async with connected(amqp_url) as broker, consuming(broker, intake, patience=0.1):
            await until(lambda: intake.tried)
            async with asyncio.timeout(20):
                while await depth(channel, "in") != 5:
                    await asyncio.sleep(0.01)
            intake.away = None
            await settled(amqp_url, "in")
    assert {event.external_id for event in intake.events} == {None}
    assert [event.data for event in intake.events] == [[number] for number in range(5)]
    assert len({(event.session, event.delivery) for event in intake.events}) == 5, "each is known as what came first"


async def test_past_the_high_water_mark_each_place_takes_one_and_costs_nothing_more(amqp_url):
    full = Overloaded("full", retry_after=0.01)
    intake = Intake()
    intake.trouble = lambda _: None if len(intake.events) < intake.places else full
    async with (
        filled(amqp_url, *ids(12), limit=1),
        connected(amqp_url) as broker,
        consuming(broker, intake, Input("bus", "in", prefetch=5), patience=0.05),
    ):
        for intake.places in range(1, 13):
            intake.away = None
            await until(lambda: len(intake.events) == intake.places)
            intake.away, intake.asked = full, 0
            # With the last one there is nothing left for which it would ask.
            await until(lambda: intake.asked >= 3 or intake.places == 12)
    assert accepted(intake) == sorted(ids(12))


async def test_a_lost_channel_while_held_costs_its_one_delivery(amqp_url):
    intake, told = Intake(), Told()
    intake.trouble, intake.away = lambda _: intake.away, AWAY
    async with (
        filled(amqp_url, *ids(5), limit=1),
        connected(amqp_url) as broker,
        consuming(broker, intake, report=told) as consumer,
    ):
        await told.of(PartState.DEGRADED, "disk full")
        await until(lambda: len(consumer._session.held) == 5)
        await consumer._session._channel.close()
        asked = intake.asked
        await until(lambda: intake.asked >= asked + 3)
        intake.away = None
        await settled(amqp_url, "in")
    assert accepted(intake) == ids(5)


async def test_pauses_while_it_holds_cost_nothing(amqp_url):
    intake, told = Intake(), Told()
    intake.trouble, intake.away = lambda _: intake.away, AWAY
    async with (
        filled(amqp_url, *ids(8), limit=0),
        connected(amqp_url) as broker,
        consuming(broker, intake, Input("bus", "in", prefetch=3), report=told) as consumer,
    ):
        await told.of(PartState.DEGRADED, "disk full")
        for _ in range(5):
            consumer.set_paused(True)
            intake.asked = 0
            await until(lambda: intake.asked)
            consumer.set_paused(False)
        consumer.set_paused(True)
        intake.away = None
        await told.of(PartState.DEGRADED, "paused")
        assert len(intake.events) == 3
        consumer.set_paused(False)
        await intake.has(*ids(8))
    await settled(amqp_url, "in")


async def test_the_end_gives_back_at_once_what_is_held(amqp_url):
    intake, told = Intake(), Told()
    intake.trouble, intake.away = lambda _: intake.away, AWAY
    async with (
        filled(amqp_url, *ids(8), limit=1),
        connected(amqp_url) as broker,
        consuming(broker, intake, Input("bus", "in", prefetch=3), report=told),
    ):
        await told.of(PartState.DEGRADED, "disk full")
    await settled(amqp_url, "in", ready=8)


@asynccontextmanager
async def deaf(channel):
    """RabbitMQ refuses every dead letter."""
    await channel.declare_exchange("relay.dead", "topic", durable=True, internal=True)
    yield
    await channel.exchange_delete("relay.dead")


async def test_a_dead_letter_that_is_refused_waits_and_the_good_ones_go_on(amqp_url):
    intake, told = Intake(), Told()
    async with filled(amqp_url, *ids(5), limit=0) as channel, connected(amqp_url) as broker:
        await put(channel, "bad", body=b"no json")
        await put(channel, "good")
        async with consuming(broker, intake, report=told):
            async with deaf(channel):
                await told.of(PartState.DEGRADED, "a dead letter cannot be published")
                await intake.has("good")
                async with looking(amqp_url) as other:
                    await put(other, "later")
                    await intake.has("later")
            letter = await get(amqp_url, "relay.dead")
            await until(lambda: told.states[-1][0] is PartState.UP)
    assert letter.message_id == "bad"
    await settled(amqp_url, "in")


async def test_a_dead_letter_that_is_refused_for_long_is_kept_in_the_ledger(amqp_url):
    intake = Intake()
    async with filled(amqp_url, limit=0) as channel, connected(amqp_url) as broker, deaf(channel):
        await put(channel, "bad", body=b"no json")
        await put(channel, "worse", body=b"\xff\xfe\x00")
        async with consuming(broker, intake, patience=0.2):
            await until(lambda: len(intake.events) == 2)
    await settled(amqp_url, "in")
    assert {(event.raw, event.external_id) for event in intake.events} == {(b"no json", None), (b"\xff\xfe\x00", None)}
    assert all(event.unreadable for event in intake.events)


async def test_a_refused_dead_letter_while_the_ledger_is_away_comes_through_in_the_end(amqp_url):
    intake = Intake()
    intake.trouble, intake.away = lambda _: intake.away, AWAY
    async with filled(amqp_url, *ids(2), limit=1) as channel, connected(amqp_url) as broker:
        await put(channel, "bad", body=b"no json")
        async with consuming(broker, intake, patience=0.1), deaf(channel):
            await until(lambda: intake.asked > 10)
            intake.away = None
            await intake.has(*ids(2), None)
            await settled(amqp_url, "in")
    assert [event.unreadable is None for event in sorted(intake.events, key=lambda event: event.id)].count(False) == 1


async def test_the_end_does_not_wait_for_a_dead_letter(amqp_url):
    told = Told()
    async with filled(amqp_url, "bad", limit=1, body=b"no json") as channel, connected(amqp_url) as broker:
        async with deaf(channel), consuming(broker, Intake(), report=told):
            await told.of(PartState.DEGRADED, "a dead letter cannot be published")
        await settled(amqp_url, "in", ready=1)
