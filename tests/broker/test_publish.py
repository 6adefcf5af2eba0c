"""Results and dead letters out, on a real RabbitMQ."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress

import aio_pika
import pytest

from relay.broker import Address, BrokerFault, DeadLetters, Delivery, Link, ResultPublisher
from relay.broker.faults import Unwritable
from relay.model import Due, Result, ResultType
from relay.outbox import encode
from relay.ports import Publishing
from relay.secret import Secret

EVENT = "01939c2e-0000-7000-8000-000000000001"


def make_result(number=1, **changes):
    values = {
        "id": f"d{number}.1",
        "type": ResultType.CREATED,
        "source": "bus",
        "event_id": EVENT,
        "time": 1_764_000_000_000,
        "routing_key": "chat.created.bus.rule",
        "data": {"chatUuid": "c", "receivedAt": "2026-11-23T09:00:00.000Z"},
        "chat_uuid": "c",
        "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-00",
    }
    return Result(**(values | changes))


def make_due(number=1, destination="", **changes):
    return Due(make_result(number, **changes), destination, 0, 0)


async def test_an_error_that_nobody_foresaw_ends_the_link_and_is_raised(amqp_url):
    """Swallowed, the connection would count as prepared while what it needs is not there."""
    link = Link(Address(Secret(amqp_url)), "test", report=lambda *_: None)

    async def fail():
        raise KeyError("queue")

    link.want(fail)
    async with asyncio.timeout(20):
        with pytest.raises(KeyError, match="queue"):
            await link.run()
    assert not link.up


@asynccontextmanager
async def linked(url, **changes):
    link = Link(Address(Secret(url)), "test", report=lambda *_: None, **changes)
    task = asyncio.create_task(link.run())
    try:
        async with asyncio.timeout(20):
            await link.ready()
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def looking(url):
    connection = await aio_pika.connect(url)
    try:
        yield await connection.channel()
    finally:
        await connection.close()


async def take(channel, name):
    queue = await channel.get_queue(name)
    message = await queue.get(timeout=10)
    await message.ack()
    return message


async def send(publisher, due):
    await publisher.publish(due, encode(due.result))


async def test_a_result_arrives_as_the_contract_says(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await send(ResultPublisher(link, exchange="relay.results", queue="relay.results"), make_due())
        message = await take(channel, "relay.results")
    assert message.content_type == "application/cloudevents+json"
    assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert (message.message_id, message.correlation_id) == ("d1.1", EVENT)
    assert (message.type, message.routing_key) == ("relay.chat.created", "chat.created.bus.rule")
    assert message.timestamp.timestamp() == 1_764_000_000
    ours = {name: value for name, value in message.headers.items() if name != "x-delivery-count"}
    assert ours == {"chat-uuid": "c", "traceparent": make_result().traceparent}
    assert json.loads(message.body)["data"]["chatUuid"] == "c"


async def test_a_reply_goes_to_its_queue_with_the_callers_correlation_id(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await channel.declare_queue("answers", durable=True)
        due = make_due(destination="answers", type=ResultType.FAILED, correlation_id="theirs", chat_uuid=None)
        await send(ResultPublisher(link, exchange="x", queue=None), due)
        message = await take(channel, "answers")
    assert message.correlation_id == "theirs"
    assert "chat-uuid" not in message.headers


async def test_a_correlation_id_that_has_grown_is_cut_where_it_is_sent(amqp_url):
    """A NUL, which no database holds, is kept as a character of three bytes."""
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        due = make_due(correlation_id="\ufffd" * 100)
        await send(ResultPublisher(link, exchange="relay.results", queue="relay.results"), due)
        message = await take(channel, "relay.results")
    assert message.correlation_id == "\ufffd" * 85


async def test_a_reply_to_a_queue_that_is_gone_counts_as_told(amqp_url):
    async with linked(amqp_url) as link:
        await send(ResultPublisher(link, exchange="x", queue=None), make_due(destination="gone"))


async def test_unroutable_is_raised_and_ends_when_a_queue_is_bound(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        publisher = ResultPublisher(link, exchange="results", queue=None)
        with pytest.raises(Publishing, match="no queue takes") as caught:
            await send(publisher, make_due())
        assert caught.value.unroutable
        queue = await channel.declare_queue("late", durable=True)
        await queue.bind("results", "#")
        await send(publisher, make_due())
        assert (await take(channel, "late")).message_id == "d1.1"


async def test_a_deleted_queue_is_declared_again(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        publisher = ResultPublisher(link, exchange="results", queue="results")
        await send(publisher, make_due(1))
        await channel.queue_delete("results")
        with pytest.raises(Publishing):
            await send(publisher, make_due(2))
        await send(publisher, make_due(2))
        assert (await take(channel, "results")).message_id == "d2.1"


async def insist(publisher, due):
    """As the outbox does; the client library may lose the whole connection over a channel that RabbitMQ closed."""
    async with asyncio.timeout(20):
        while True:
            with suppress(Publishing):
                return await send(publisher, due)
            await asyncio.sleep(0.05)


async def test_a_deleted_exchange_is_declared_again(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        publisher = ResultPublisher(link, exchange="results", queue="results")
        await channel.declare_queue("answers", durable=True)
        await send(publisher, make_due(1))
        await channel.exchange_delete("results")
        dues = [make_due(number) for number in range(2, 12)]
        outcomes = await asyncio.gather(*(send(publisher, due) for due in dues), return_exceptions=True)
        assert all(isinstance(outcome, Publishing) and not outcome.unroutable for outcome in outcomes)
        await asyncio.gather(*(insist(publisher, due) for due in [*dues, make_due(99, destination="answers")]))
        assert (await take(channel, "answers")).message_id == "d99.1"


async def test_entities_that_exist_are_used_as_they_are(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await channel.declare_exchange("results", "fanout", durable=True)
        await channel.declare_queue("results", durable=False, arguments={"x-max-length": 5})
        await send(ResultPublisher(link, exchange="results", queue="results"), make_due())
        assert (await take(channel, "results")).message_id == "d1.1"


async def test_results_of_a_rule_go_to_its_exchange_which_is_declared_as_the_main_one_is(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        publisher = ResultPublisher(link, exchange="results", queue="results", others=("crm",))
        await publisher.ensure()
        await channel.declare_exchange("crm", "topic", durable=True)  # as it is there, or RabbitMQ would refuse
        queue = await channel.declare_queue("mine", durable=True)
        await queue.bind("crm", "deal.*")
        await send(publisher, make_due(1, exchange="crm", routing_key="deal.7"))
        await send(publisher, make_due(2))
        message = await take(channel, "mine")
        assert (message.message_id, message.routing_key, message.exchange) == ("d1.1", "deal.7", "crm")
        assert message.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
        assert (await take(channel, "results")).message_id == "d2.1"
        assert await (await channel.get_queue("results")).get(fail=False) is None


async def test_an_exchange_that_nobody_named_at_the_start_is_declared_with_its_first_result(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        publisher = ResultPublisher(link, exchange="results", queue=None)
        with pytest.raises(Publishing, match="bind one to exchange 'later' with '#'") as caught:
            await send(publisher, make_due(exchange="later"))
        assert caught.value.unroutable
        queue = await channel.declare_queue("late", durable=True)
        await queue.bind("later", "#")
        await send(publisher, make_due(exchange="later"))
        assert (await take(channel, "late")).message_id == "d1.1"


async def test_the_exchange_of_a_rule_that_is_deleted_is_declared_again(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        publisher = ResultPublisher(link, exchange="results", queue="results", others=("crm",))
        await publisher.ensure()
        await channel.exchange_delete("crm")
        dues = [make_due(number, exchange="crm") for number in range(30)]
        outcomes = await asyncio.gather(*(send(publisher, due) for due in dues), return_exceptions=True)
        assert all(isinstance(outcome, Publishing) for outcome in outcomes)
        assert link.up, "the connection and its other channels stay"
        await send(publisher, make_due(99))
        with pytest.raises(Publishing) as caught:
            await send(publisher, dues[0])
        assert caught.value.unroutable, "the exchange is there again, though without a queue"


async def internal(channel, name):
    """An exchange to which nobody may publish: RabbitMQ closes the channel of whoever does."""
    return await channel.declare_exchange(name, "topic", durable=True, internal=True)


async def test_an_exchange_that_refuses_holds_up_only_its_own_results(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await internal(channel, "walled")
        queue = await channel.declare_queue("mine", durable=True)
        await channel.declare_exchange("crm", "topic", durable=True)
        await queue.bind("crm", "#")
        publisher = ResultPublisher(link, exchange="results", queue="results", others=("walled", "crm"))
        await publisher.ensure()
        for _ in range(3):
            walled = [send(publisher, make_due(number, exchange="walled")) for number in range(20)]
            good = [send(publisher, make_due(number, exchange=name)) for number in range(20) for name in (None, "crm")]
            outcomes = await asyncio.gather(*walled, *good, return_exceptions=True)
            assert all(isinstance(outcome, Publishing) and outcome.denied for outcome in outcomes[:20])
            assert outcomes[20:] == [None] * 40
            assert link.up
        assert "ACCESS_REFUSED" in str(outcomes[0])


async def test_an_exchange_of_another_type_is_used_as_it_is(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await channel.declare_exchange("crm", "direct", durable=False)
        queue = await channel.declare_queue("mine", durable=True)
        await queue.bind("crm", "deal.7")
        publisher = ResultPublisher(link, exchange="results", queue="results", others=("crm",))
        await publisher.ensure()
        await send(publisher, make_due(1, exchange="crm", routing_key="deal.7"))
        assert (await take(channel, "mine")).message_id == "d1.1"
        with pytest.raises(Publishing) as caught:
            await send(publisher, make_due(2, exchange="crm", routing_key="deal.8"))
        assert caught.value.unroutable


async def test_an_exchange_that_may_not_be_declared_is_logged_and_keeps_nothing_from_starting(amqp_url, capsys):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        publisher = ResultPublisher(link, exchange="results", queue="results", others=("amq.mine", "crm"))
        await publisher.ensure()
        assert await channel.get_exchange("crm", ensure=True)
        assert await channel.get_queue("results", ensure=True)
        said = "".join(capsys.readouterr())
        assert said.count("broker.unprepared") == 1
        assert "exchange 'amq.mine' of rules' results" in said
        with pytest.raises(Publishing, match=r"amq\.mine") as caught:
            await send(publisher, make_due(exchange="amq.mine"))
        assert caught.value.denied
        await send(publisher, make_due(1))


async def test_one_unroutable_result_of_many_does_not_keep_the_others(amqp_url):
    """The first to come is the one that tries the exchange."""
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await channel.declare_exchange("crm", "topic", durable=True)
        queue = await channel.declare_queue("mine", durable=True)
        await queue.bind("crm", "good")
        publisher = ResultPublisher(link, exchange="results", queue=None)
        keys = ["bad", *["good"] * 5, "bad"]
        sent = [send(publisher, make_due(n, exchange="crm", routing_key=key)) for n, key in enumerate(keys)]
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
        assert [outcome is None for outcome in outcomes] == [key == "good" for key in keys]


async def test_without_a_connection_publishing_says_so_at_once():
    link = Link(Address(Secret("amqp://guest:hunter2@127.0.0.1:1/")), "test", report=lambda *_: None)
    with pytest.raises(Publishing, match="not connected") as caught:
        await send(ResultPublisher(link, exchange="x", queue=None), make_due())
    assert caught.value.away
    assert "hunter2" not in str(caught.value)


async def test_a_wrong_password_is_named_and_not_shown(amqp_url):
    told = []
    address = Address(Secret(amqp_url), password=Secret("hunter2"))
    link = Link(address, "test", report=lambda state, reason: told.append(reason))
    task = asyncio.create_task(link.run())
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "refused the user name or password" in told[0]
    assert "hunter2" not in repr(told) + repr(link) + repr(address) + str(address)


async def test_a_ca_file_that_is_missing_is_named():
    told = []
    address = Address(Secret("amqps://127.0.0.1:1/"), ca_file="/nowhere/ca.pem")
    task = asyncio.create_task(Link(address, "test", report=lambda _, reason: told.append(reason)).run())
    async with asyncio.timeout(10):
        while not told:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert "broker.ca_file cannot be read" in told[0]


async def test_a_dead_letter_keeps_what_came_and_says_why(amqp_url):
    letter = Delivery(
        7,
        b"\xff\x00",
        content_type="application/json",
        message_id="m1",
        headers={"CC": ["elsewhere"], "x-n": 5, "x-t": {"deep": [None]}, "x-s": "text"},
    )
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await channel.declare_queue("elsewhere")
        await DeadLetters(link).publish(letter, source="bus", reason="not_json", error="line 1")
        message = await take(channel, "relay.dead")
        assert await (await channel.get_queue("elsewhere")).get(fail=False) is None
    assert (message.body, message.message_id, message.routing_key) == (b"\xff\x00", "m1", "bus")
    assert message.headers["relay-source"] == "bus"
    assert message.headers["relay-reason"] == "not_json"
    assert message.headers["relay-error"] == "line 1"
    assert message.headers["x-s"] == "text"


async def test_a_dead_letter_whose_properties_have_grown_keeps_255_bytes_of_each(amqp_url):
    """What is not UTF-8 is read as four characters a byte, and a property may have 255 bytes when it is written."""
    names = ("content_type", "content_encoding", "message_id", "correlation_id", "reply_to", "type", "app_id")
    letter = Delivery(1, b"{", **dict.fromkeys(names, "\\xc7" * 85), headers={"x": "1"})
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        await DeadLetters(link).publish(letter, source="bus", reason="json", error="e")
        await DeadLetters(link).publish(Delivery(1, b"", app_id="é" * 200), source="bus", reason="json", error="e")
        message, accented = await take(channel, "relay.dead"), await take(channel, "relay.dead")
    assert {getattr(message, name) for name in names} == {("\\xc7" * 85)[:255]}
    assert (message.headers["x"], accented.app_id) == ("1", "é" * 127)


async def test_headers_that_do_not_fit_into_a_frame_are_left_out_of_a_dead_letter(amqp_url):
    """RabbitMQ would close the connection, over which all results go, each time that it is tried again."""
    headers = {"small": 1, "huge": "x" * 130_850, "other": {"deep": "y" * 900}, "raw": b"\xff" * 40_000}
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        first = await link.channel()
        await DeadLetters(link).publish(
            Delivery(1, b"{", message_id="m", headers=headers), source="bus", reason="json", error="e" * 600
        )
        assert not first.is_closed
        message = await take(channel, "relay.dead")
    assert message.headers.keys() & headers.keys() == {"small", "other"}
    assert len(message.headers["relay-error"]) == 500
    assert message.headers["relay-error"].endswith("e (too large to be kept here: the headers huge, raw)")


async def test_a_message_that_the_client_library_cannot_write_is_a_fault_of_that_message_alone(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        dead = DeadLetters(link)
        with pytest.raises(Unwritable, match="cannot be written"):
            await dead.publish(Delivery(1, b"", message_id="m"), source="x" * 256, reason="r", error="e")
        await dead.publish(Delivery(1, b"", message_id="m"), source="s", reason="r", error="e")
        await channel.declare_queue("answers", durable=True)
        publisher = ResultPublisher(link, exchange="x", queue=None)
        tries = [send(publisher, make_due(number, "n" * 256 * (number == 1) or "answers")) for number in (1, 2)]
        [failed, told] = await asyncio.gather(*tries, return_exceptions=True)
        assert (await take(channel, "answers")).message_id == "d2.1"
    assert isinstance(failed, Publishing)
    assert (failed.away, failed.denied, failed.failed, told) == (False, False, True, None)


async def test_dead_letters_with_one_message_id_all_arrive(amqp_url):
    async with linked(amqp_url) as link, looking(amqp_url) as channel:
        dead = DeadLetters(link)
        letter = Delivery(1, b"x", message_id="same")
        await asyncio.gather(*(dead.publish(letter, source="s", reason="r", error="e") for _ in range(20)))
        queue = await channel.declare_queue("relay.dead", passive=True)
        assert queue.declaration_result.message_count == 20


async def test_a_dead_letter_without_a_connection_is_a_fault():
    link = Link(Address(Secret("amqp://127.0.0.1:1/")), "test", report=lambda *_: None)
    with pytest.raises(BrokerFault):
        await DeadLetters(link).publish(Delivery(1, b""), source="s", reason="r", error="e")
