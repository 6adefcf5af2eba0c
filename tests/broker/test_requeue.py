"""Dead letters back to their queues, on a real RabbitMQ."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

from aio_pika import Message
from pamqp import encode

from relay.broker import DeadLetters, Delivery, Letter, requeue
from tests.broker.test_publish import linked, looking, take

NOW = 1_764_000_000_000
SENT = {
    "content_type": "application/json",
    "correlation_id": "c",
    "reply_to": "answers",
    "type": "deal",
    "app_id": "crm",
    "timestamp": NOW,
}
HEADERS = {
    "text": "Zürich",
    "number": 5,
    "half": 0.5,
    "exact": Decimal("1.25"),
    "nothing": None,
    "deep": {"list": [1, {"a": "b"}]},
    "at": datetime.fromtimestamp(NOW // 1_000, UTC),
}


async def bury(dead, *numbers, source="bus", queue="in", **changes):
    for number in numbers:
        letter = Delivery(1, b"body %d" % number, "deal.won", message_id=f"m{number}", **changes)
        await dead.publish(letter, source=source, reason="json", error="e", queue=queue, letter_id=f"l{number}")


async def drain(channel, queue):
    """The messages of a queue, in order."""
    found, target = [], await channel.get_queue(queue)
    while (message := await target.get(fail=False)) is not None:
        await message.ack()
        found.append(message)
    return found


async def bodies(channel, queue):
    return [message.body for message in await drain(channel, queue)]


async def kept(channel):
    """The letters that were given back. A quorum queue may deliver those in another order than they came in."""
    return sorted(await bodies(channel, "relay.dead"))


async def test_a_letter_goes_back_as_it_came(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        await bury(DeadLetters(link), 1, headers=HEADERS | {"CC": ["elsewhere"]}, **SENT)
        done = await requeue(link, None, source=None, queues={})
        assert (done.sent, done.kept, done.fault) == ([Letter("l1", "bus", "in")], [], None)
        message = await take(channel, "in")
        assert await bodies(channel, "relay.dead") == []
    assert (message.body, message.message_id, message.delivery_mode) == (b"body 1", "m1", 2)
    for name, value in SENT.items():
        expected = datetime.fromtimestamp(NOW // 1_000, UTC) if name == "timestamp" else value
        assert getattr(message, name) == expected, name
    assert dict(message.headers) == HEADERS | {"relay-routing-key": "deal.won", "relay-id": "l1"}


async def test_only_the_letters_that_are_asked_for_and_the_others_keep_their_order(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        await bury(DeadLetters(link), *range(6))
        done = await requeue(link, ["l3", "l1", "gone"], source=None, queues={})
        assert [letter.id for letter in done.sent] == ["l1", "l3"]
        assert await bodies(channel, "in") == [b"body 1", b"body 3"]
        assert await kept(channel) == [b"body 0", b"body 2", b"body 4", b"body 5"]


async def test_letters_of_one_source_go_to_the_queue_that_it_has_today(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        for queue in ("in", "renamed"):
            await channel.declare_queue(queue, durable=True)
        dead = DeadLetters(link)
        await bury(dead, 1)
        await bury(dead, 2, source="other")
        await requeue(link, None, source="bus", queues={"bus": "renamed"})
        assert await bodies(channel, "renamed") == [b"body 1"]
        await requeue(link, None, source=None, queues={"bus": "renamed"})
        assert await bodies(channel, "in") == [b"body 2"]


async def test_a_letter_without_a_queue_stays_with_its_reason_and_holds_up_no_other(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        full = {"x-max-length": 0, "x-overflow": "reject-publish"}
        await channel.declare_queue("full", durable=True, arguments=full)
        dead = DeadLetters(link)
        await bury(dead, 1, queue="gone")
        await bury(dead, 2, queue="full")
        await bury(dead, 3, queue="")
        await bury(dead, 4)
        done = await requeue(link, None, source=None, queues={})
        assert [letter.id for letter in done.sent] == ["l4"]
        reasons = {letter.id: reason for letter, reason in done.kept}
        assert reasons["l1"] == "queue 'gone' does not exist"
        assert "could not take" in reasons["l2"]
        assert reasons["l3"] == "its headers name no queue"
        assert await kept(channel) == [b"body 1", b"body 2", b"body 3"]


async def test_a_letter_of_another_program_that_cannot_be_written_as_it_came_holds_up_no_other(amqp_url, monkeypatch):
    """Text that is not UTF-8 grows when it is read, and a header of bytes becomes text."""
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        await bury(DeadLetters(link), 1)
        odd = Message(b"odd", message_id="o", correlation_id="c" * 85, headers={"relay-queue": "in", "h": bytearray(9)})
        strict = encode.METHODS["shortstr"]
        latin = lambda text: strict(text).replace(b"c" * 85, b"\xc7" * 85)  # noqa: E731 - a double of one line
        with monkeypatch.context() as patched:
            patched.setitem(encode.METHODS, "shortstr", latin)
            await channel.default_exchange.publish(odd, "relay.dead")
        for wide in ({"h": "x" * 130_000}, {"relay-queue": "q" * 300}):
            message = Message(b"wide", headers={"relay-queue": "in"} | wide)
            await channel.default_exchange.publish(message, "relay.dead")
        await bury(DeadLetters(link), 2)
        done = await requeue(link, None, source=None, queues={})
        assert done.fault is None
        assert sorted(await bodies(channel, "in")) == [b"body 1", b"body 2", b"odd"]
        assert await kept(channel) == [b"wide", b"wide"]
    reasons = sorted(reason for _, reason in done.kept)
    assert ["its headers h" in reasons[1], "cannot be written" in reasons[0]] == [True, True]


async def test_a_letter_that_was_published_twice_goes_back_once(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        await bury(DeadLetters(link), 1, 2, 1, 3)
        done = await requeue(link, None, source=None, queues={})
        assert [letter.id for letter in done.sent] == ["l1", "l2", "l3"]
        assert await bodies(channel, "in") == [b"body 1", b"body 2", b"body 3"]
        assert await bodies(channel, "relay.dead") == []


async def test_looking_for_a_letter_often_loses_none(amqp_url):
    """RabbitMQ 4 drops a message of a quorum queue after 20 deliveries unless the queue says otherwise."""
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await bury(DeadLetters(link), 1, 2)
        for _ in range(25):
            assert (await requeue(link, ["gone"], source=None, queues={})).sent == []
        assert await kept(channel) == [b"body 1", b"body 2"]


async def test_without_a_queue_of_dead_letters_there_is_nothing(amqp_url):
    async with linked(amqp_url) as link:
        done = await requeue(link, None, source=None, queues={})
    assert (done.sent, done.kept, done.fault) == ([], [], None)


async def test_a_connection_that_is_lost_is_a_fault_and_the_letters_are_still_there(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        await bury(DeadLetters(link), 1)
        await link._connection.close()
        done = await requeue(link, None, source=None, queues={})
        assert done.fault is not None
        async with asyncio.timeout(10):
            assert await bodies(channel, "relay.dead") == [b"body 1"]
