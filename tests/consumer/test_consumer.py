"""Messages in, on a real RabbitMQ: none lost, none acknowledged too early, back by itself after every trouble."""

import asyncio
import gzip
import json
import threading

import aio_pika
import pytest
from aio_pika import Message
from pamqp import encode
from structlog.testing import capture_logs

from relay.broker import DeadLetters, Delivery, requeue
from relay.consumer import Input
from relay.errors import Refused, Unavailable
from relay.schemes import document
from relay.telemetry import Metrics, PartState
from tests.consumer.stage import Intake, Told, connected, consuming, depth, get, looking, put, settled


async def test_messages_are_accepted_and_acknowledged(amqp_url):
    intake, told = Intake(), Told()
    async with connected(amqp_url) as broker, consuming(broker, intake, report=told):
        await told.of(PartState.UP)
        async with looking(amqp_url) as channel:
            await put(channel, *(f"m{number}" for number in range(250)))
        await intake.has(*(f"m{number}" for number in range(250)))
    await settled(amqp_url, "in")
    assert len(intake.events) == 250


async def test_the_queue_it_declares_is_durable_quorum_and_patient(amqp_url):
    told = Told()
    async with connected(amqp_url) as broker, consuming(broker, Intake(), report=told):
        await told.of(PartState.UP)
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True, arguments=arguments)
        with pytest.raises(aio_pika.exceptions.ChannelPreconditionFailed):
            await channel.declare_queue("in", durable=True, arguments={"x-queue-type": "quorum"})


async def test_a_queue_that_exists_is_used_as_it_is_and_a_low_limit_is_warned_of(amqp_url):
    intake = Intake()
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True, arguments={"x-queue-type": "quorum", "x-delivery-limit": 5})
        await put(channel, "m")
    with capture_logs() as lines:
        async with connected(amqp_url) as broker, consuming(broker, intake):
            await intake.has("m")
    assert [line["limit"] for line in lines if line["event"] == "source.delivery_limit"] == [5]


async def test_a_classic_transient_queue_is_used_without_a_warning(amqp_url):
    intake = Intake()
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=False)
        await put(channel, "m")
        with capture_logs() as lines:
            async with connected(amqp_url) as broker, consuming(broker, intake):
                await intake.has("m")
    assert not any(line["event"] == "source.delivery_limit" for line in lines)


async def test_declare_false_waits_for_a_queue_that_somebody_else_makes(amqp_url):
    intake, told = Intake(), Told()
    source = Input("bus", "theirs", declare=False)
    async with connected(amqp_url) as broker, consuming(broker, intake, source, report=told):
        await told.of(PartState.DOWN, "queue 'theirs' does not exist")
        async with looking(amqp_url) as channel:
            await channel.declare_queue("theirs", durable=True)
            await put(channel, "m", queue="theirs")
        await intake.has("m")


async def test_it_binds_and_says_which_exchange_is_missing(amqp_url):
    intake, told = Intake(), Told()
    source = Input("bus", "in", bind=("crm", ("deal.#", "lead.*")))
    async with connected(amqp_url) as broker, consuming(broker, intake, source, report=told):
        await told.of(PartState.DOWN, "exchange 'crm' does not exist")
        async with looking(amqp_url) as channel:
            exchange = await channel.declare_exchange("crm", "topic", durable=True)
            await told.of(PartState.UP)
            await exchange.publish(Message(b"{}", message_id="m"), "deal.won.big")
        await intake.has("m")
    assert intake.events[0].type == "deal.won.big"


@pytest.mark.parametrize(
    ("body", "properties", "reason"),
    [
        (b"\xff\xfe\x00garbage", {}, "json"),
        (b"not json", {"content_type": "application/json"}, "json"),
        (b"<a/>", {"content_type": "application/xml"}, "content_type"),
        (b"{}", {"content_encoding": "br"}, "encoding"),
        (b"{}", {"content_type": "application/cloudevents+json"}, "cloudevent"),
    ],
)
async def test_what_cannot_be_read_goes_to_the_dead_letters_with_its_reason(amqp_url, body, properties, reason):
    intake, metrics = Intake(), Metrics()
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        await put(channel, "bad", body=body, **properties)
        await put(channel, "good")
    async with connected(amqp_url) as broker, consuming(broker, intake, metrics=metrics):
        await intake.has("good")
        letter = await get(amqp_url, "relay.dead")
    assert (letter.body, letter.message_id) == (body, "bad")
    assert (letter.headers["relay-source"], letter.headers["relay-reason"]) == ("bus", reason)
    assert letter.headers["relay-error"]
    assert metrics.registry.get_sample_value("relay_rejections_total", {"source": "bus", "reason": reason}) == 1
    await settled(amqp_url, "in")


async def test_a_message_larger_than_it_may_be_goes_to_the_dead_letters_whole(amqp_url):
    """Before inflating and after; and what has far more values than any sender's is not parsed."""
    intake, packed = Intake(), gzip.compress(b'{"a": "%s"}' % (b"x" * 3_000))
    most = 200_000
    dense = b"[" + b"[]," * 60_000 + b"1]"
    sent = {"long": b'"%s"' % (b"x" * most), "bomb": gzip.compress(b" " * (most + 1)), "dense": dense, "good": packed}
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        for name, body in sent.items():
            await put(channel, name, body=body, content_encoding="gzip" if body[:1] == b"\x1f" else None)
    letters = {}
    async with connected(amqp_url) as broker, consuming(broker, intake, Input("bus", "in", most=most)):
        await intake.has("good")
        for _ in range(3):
            letter = await get(amqp_url, "relay.dead")
            letters[letter.message_id] = (letter.headers["relay-reason"], letter.body)
    assert {name: reason for name, (reason, _) in letters.items()} == {
        "long": "too_large",
        "bomb": "too_large",
        "dense": "values",
    }
    assert all(letters[name][1] == sent[name] for name in letters)
    assert [event.external_id for event in intake.events] == ["good"]


@pytest.mark.parametrize("body", [b'{"a": "%s"}' % (b"x" * 100_000), b'{"a": [%s1]}' % (b"{}," * 4_000)])
@pytest.mark.parametrize("squeeze", [None, "gzip"])
async def test_a_large_message_is_read_beside_the_loop(amqp_url, body, squeeze, monkeypatch):
    intake, threads = Intake(), []
    real = document._decode
    monkeypatch.setattr(document, "_decode", lambda text: threads.append(threading.current_thread()) or real(text))
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        await put(channel, "large", body=gzip.compress(body) if squeeze else body, content_encoding=squeeze)
        await put(
            channel, "small", body=gzip.compress(b'{"a": 1}') if squeeze else b'{"a": 1}', content_encoding=squeeze
        )
    async with connected(amqp_url) as broker, consuming(broker, intake):
        await intake.has("large", "small")
    assert sorted(thread is threading.main_thread() for thread in threads) == [False, True]


async def test_only_a_message_that_comes_again_is_a_suspect(amqp_url):
    intake = Intake()
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        await put(channel, "first")
        taken = await (await channel.get_queue("in")).get()
        await taken.nack(requeue=True)
        await put(channel, "second")
    async with connected(amqp_url) as broker, consuming(broker, intake):
        await intake.has("first", "second")
    [(_, suspect)] = intake.suspects
    assert suspect.settled, "what is accepted is forgotten"


@pytest.mark.parametrize(("deaths", "dead"), [(3, False), (4, True)])
async def test_a_message_of_many_deaths_is_not_read_again(amqp_url, deaths, dead):
    intake = Intake()
    intake.deaths = deaths
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        await put(channel, "bad")
        taken = await (await channel.get_queue("in")).get()
        await taken.nack(requeue=True)
        await put(channel, "good")
    async with connected(amqp_url) as broker, consuming(broker, intake):
        await intake.has("good", *([] if dead else ["bad"]))
        if dead:
            letter = await get(amqp_url, "relay.dead")
            assert (letter.message_id, letter.headers["relay-reason"]) == ("bad", "deadly")
    [(key, suspect)] = intake.suspects
    assert suspect.settled is not dead
    assert intake.forgotten == ([key] if dead else [])


async def test_broken_properties_do_not_end_the_connection_again_and_again(amqp_url):
    from datetime import UTC, datetime

    intake = Intake()
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        raw = await channel.get_underlay_channel()
        frame = aio_pika.Message(b"{}", message_id="bad", timestamp=datetime(2026, 1, 1, tzinfo=UTC)).properties
        marshal = type(frame).marshal
        try:
            # What a sender that counts in nanoseconds puts there.
            type(frame).marshal = lambda self: marshal(self)[:-8] + (10**18).to_bytes(8, "big")
            await raw.basic_publish(b"{}", routing_key="in", properties=frame)
        finally:
            type(frame).marshal = marshal
        await put(channel, "good")
    with capture_logs() as lines:
        async with connected(amqp_url) as broker, consuming(broker, intake):
            await intake.has("bad", "good")
    [line] = [line for line in lines if line["event"] == "message.trimmed"]
    assert (line["source"], line["message_id"], line["log_level"]) == ("bus", "bad", "warning")
    assert line["what"].endswith("cannot be read: timestamp")


async def test_what_the_ledger_cannot_hold_goes_to_the_dead_letters_and_spares_the_rest(amqp_url):
    intake = Intake(lambda event: Refused("too odd") if event.external_id == "odd" else None)
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        await put(channel, "a", "odd", "b")
    async with connected(amqp_url) as broker, consuming(broker, intake):
        await intake.has("a", "b")
        letter = await get(amqp_url, "relay.dead")
    assert (letter.message_id, letter.headers["relay-reason"]) == ("odd", "refused")
    assert letter.headers["relay-error"] == "too odd"


async def test_pausing_finishes_what_was_prefetched_and_resuming_goes_on(amqp_url):
    intake, told = Intake(), Told()
    async with connected(amqp_url) as broker, consuming(broker, intake, report=told) as consumer:
        await told.of(PartState.UP)
        consumer.set_paused(True)
        await told.of(PartState.DEGRADED, "paused")
        async with looking(amqp_url) as channel:
            await put(channel, "m")
            assert await depth(channel, "in") == 1
        assert not intake.events
        consumer.set_paused(False)
        await intake.has("m")


async def test_the_end_waits_for_what_is_under_way_and_acknowledges_it(amqp_url):
    intake, told = Intake(), Told()
    intake.open.clear()
    async with connected(amqp_url) as broker:
        async with consuming(broker, intake, report=told) as consumer:
            await told.of(PartState.UP)
            async with looking(amqp_url) as channel:
                await put(channel, "m")
                async with asyncio.timeout(10):
                    while await depth(channel, "in"):
                        await asyncio.sleep(0.01)
            consumer.stop.begin(20)
            intake.open.set()
        assert [event.external_id for event in intake.events] == ["m"]
    await settled(amqp_url, "in")


async def test_a_message_is_not_acknowledged_before_it_is_accepted(amqp_url):
    intake, told = Intake(), Told()
    intake.open.clear()
    async with connected(amqp_url) as broker:
        async with looking(amqp_url) as channel:
            await channel.declare_queue("in", durable=True, arguments={"x-queue-type": "quorum"})
            await put(channel, "m")
        task = asyncio.create_task(_run_until_cancelled(broker, intake, told))
        await told.of(PartState.UP)
        async with looking(amqp_url) as channel, asyncio.timeout(10):
            while await depth(channel, "in"):
                await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await settled(amqp_url, "in", ready=1)


async def _run_until_cancelled(broker, intake, told):
    async with consuming(broker, intake, report=told):
        await asyncio.Event().wait()


async def test_a_deleted_queue_is_declared_again(amqp_url):
    intake, told = Intake(), Told()
    async with connected(amqp_url) as broker, consuming(broker, intake, report=told):
        await told.of(PartState.UP)
        async with looking(amqp_url) as channel:
            await channel.queue_delete("in")
            async with asyncio.timeout(20):
                while [state for state, _ in told.states].count(PartState.UP) < 2:
                    await asyncio.sleep(0.01)
            await put(channel, "m")
        await intake.has("m")


async def test_cloudevents_and_replies_come_through(amqp_url):
    intake = Intake()
    body = json.dumps({"specversion": "1.0", "id": "c1", "source": "/crm", "type": "deal.won", "data": 1}).encode()
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        more = {"reply_to": "answers", "correlation_id": "c", "content_type": "application/cloudevents+json"}
        await put(channel, "m", body=body, **more)
    async with connected(amqp_url) as broker, consuming(broker, intake, Input("bus", "in", reply=("answers",))):
        await intake.has("c1")
    event = intake.events[0]
    assert (event.origin, event.reply_to, event.correlation_id, event.data) == ("/crm", "answers", "c", 1)


async def test_a_message_that_the_relay_fails_at_is_buried_and_holds_up_no_other(amqp_url):
    """Raised, the error ended the consumer, which got the message again, and again."""
    intake, told = Intake(lambda event: KeyError("a bug") if event.external_id == "odd" else None), Told()
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        await put(channel, "odd", "a")
    with capture_logs() as lines:
        async with connected(amqp_url) as broker, consuming(broker, intake, report=told):
            await told.of(PartState.DEGRADED, "failed at this message: KeyError")
            letter = await get(amqp_url, "relay.dead")
            async with looking(amqp_url) as channel:
                await put(channel, "b")
            await intake.has("a", "b")
    assert (letter.message_id, letter.headers["relay-reason"], len(intake.letters)) == ("odd", "failed", 1)
    assert letter.headers["relay-error"].endswith("KeyError: 'a bug'")
    assert intake.tried.count("odd") == 5
    assert (len(intake.suspects), len(intake.forgotten)) == (4, 1)
    assert told.states[-1][0] is PartState.UP
    [line] = [line for line in lines if line["event"] == "message.broken"]
    assert (line["message_id"], line["exc_info"]) == ("odd", True)


async def test_a_message_that_the_relay_fails_at_once_is_accepted(amqp_url):
    errors = [KeyError("a bug")]
    intake = Intake(lambda _: errors.pop() if errors else None)
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        await put(channel, "m")
    async with connected(amqp_url) as broker, consuming(broker, intake):
        await intake.has("m")
    await settled(amqp_url, "in")
    assert intake.letters == {}


async def test_an_error_that_is_not_of_one_message_reaches_the_supervisor(amqp_url):
    """What cannot be recorded is not buried: it is still there when the ledger is well again."""
    tried = asyncio.Event()

    async def note_dead(letter):
        tried.set()
        raise KeyError("a bug")

    intake = Intake(lambda _: KeyError("a bug"))
    intake.note_dead = note_dead
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        await put(channel, "m")
    async with connected(amqp_url) as broker:
        with pytest.raises(KeyError, match="a bug"):
            async with consuming(broker, intake), asyncio.timeout(10):
                await tried.wait()
    await settled(amqp_url, "in", ready=1)


async def test_an_unreadable_message_whose_properties_grow_is_buried_and_holds_up_no_other(amqp_url, monkeypatch):
    """Text in cp1251 is read as four characters a byte, more than a property holds when it is written again."""
    intake, strict = Intake(), encode.METHODS["shortstr"]
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        with monkeypatch.context() as patched:
            patched.setitem(encode.METHODS, "shortstr", lambda text: strict(text).replace(b"c" * 85, b"\xc7" * 85))
            await put(channel, "bad", body=b"{broken", correlation_id="c" * 85)
        await put(channel, "good")
    async with connected(amqp_url) as broker, consuming(broker, intake):
        await intake.has("good")
        letter = await get(amqp_url, "relay.dead")
    assert (letter.message_id, letter.correlation_id) == ("bad", ("\\xc7" * 85)[:255])
    await settled(amqp_url, "in")


async def test_a_letter_that_cannot_be_written_is_kept_at_once(amqp_url):
    intake = Intake()
    async with looking(amqp_url) as channel:
        await channel.declare_queue("in", durable=True)
        await put(channel, "bad", body=b"{broken")
    async with connected(amqp_url) as broker, consuming(broker, intake, Input("b" * 256, "in")):
        await intake.has(None)
    assert (intake.events[0].raw, intake.letters) == (b"{broken", {})
    await settled(amqp_url, "in")


async def test_a_dead_letter_is_recorded_and_comes_in_when_it_was_sent_back(amqp_url):
    """With the routing key by which it came, and without an id where its sender gave none."""
    intake = Intake()
    async with looking(amqp_url) as channel:
        queue = await channel.declare_queue("in", durable=True)
        exchange = await channel.declare_exchange("crm", "topic", durable=True)
        await queue.bind(exchange, "#")
        for message_id in ("m1", None):
            await exchange.publish(Message(b'{"a": 1}', message_id=message_id, headers={"x-n": "5"}), "deal.won")
    async with connected(amqp_url) as broker:
        async with consuming(broker, intake, Input("bus", "in", most=4)):
            async with asyncio.timeout(20):
                while len(intake.letters) < 2:
                    await asyncio.sleep(0.01)
        letters = list(intake.letters.values())
        done = await requeue(broker.publishing, None, source=None, queues={})
        assert {letter.id for letter in done.sent} == {letter.id for letter in letters}
        async with consuming(broker, intake, Input("bus", "in")), asyncio.timeout(20), intake.changed:
            await intake.changed.wait_for(lambda: len(intake.events) == 2)
    assert {letter.message_id for letter in letters} >= {"m1"}
    for letter in letters:
        assert (letter.source, letter.queue, letter.routing_key, letter.reason) == (
            "bus",
            "in",
            "deal.won",
            "too_large",
        )
        assert (letter.size, letter.headers["x-n"]) == (8, "5")
    # The client library of this test makes up an id where none is given; the dead letter keeps that one.
    assert {event.external_id for event in intake.events} == {letter.message_id for letter in letters}
    assert all((event.type, event.headers) == ("deal.won", {"x-n": "5"}) for event in intake.events)


async def test_a_message_without_an_id_gets_none_by_way_of_the_dead_letters(amqp_url):
    intake = Intake()
    async with looking(amqp_url) as channel, connected(amqp_url) as broker:
        await channel.declare_queue("in", durable=True)
        dead = DeadLetters(broker.publishing)
        await dead.publish(Delivery(1, b"{}", "k"), source="bus", reason="r", error="e", queue="in", letter_id="l1")
        assert [letter.id for letter in (await requeue(broker.publishing, ["l1"], source=None, queues={})).sent] == [
            "l1"
        ]
        async with consuming(broker, intake), asyncio.timeout(20):
            await intake.has(None)
    assert [(event.external_id, event.type) for event in intake.events] == [(None, "k")]


async def test_a_record_goes_when_the_letter_was_not_taken(amqp_url):
    intake = Intake()
    async with looking(amqp_url) as channel, connected(amqp_url) as broker:
        await channel.declare_exchange("relay.dead", "topic", durable=True, internal=True)
        await channel.declare_queue("in", durable=True)
        await put(channel, "bad", body=b"no json")
        async with consuming(broker, intake, patience=0.2):
            await intake.has(None)
    assert intake.letters == {}


async def test_no_letter_goes_unrecorded_while_the_ledger_is_away(amqp_url):
    intake, told = Intake(), Told()
    intake.away = Unavailable("the ledger does not answer")
    async with looking(amqp_url) as channel, connected(amqp_url) as broker:
        await channel.declare_queue("in", durable=True)
        await put(channel, "bad", body=b"no json")
        async with consuming(broker, intake, report=told):
            await told.of(PartState.DEGRADED, "the ledger is away")
            assert intake.letters == {}
            intake.away = None
            letter = await get(amqp_url, "relay.dead")
    assert list(intake.letters) == [letter.headers["relay-id"]]
