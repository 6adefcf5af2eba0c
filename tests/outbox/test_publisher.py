"""What is due is told, through an absent broker, an absent ledger, and a destination that does not exist."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace

from relay.errors import Unavailable
from relay.life import Signals, Stop
from relay.model import Due, Result, ResultType
from relay.outbox import Publisher
from relay.ports import Publishing
from relay.telemetry import Metrics, PartState
from tests.virtual import milliseconds, virtually


class Rows:
    """An outbox in memory: a row is due again when `retry_in` has passed."""

    def __init__(self, count=0, destination="", age=0):
        self.rows = {}
        self.settled = []
        self.taken = []
        self.away = False
        self.changed = asyncio.Condition()
        self.add(count, destination, age)

    def add(self, count, destination="", age=0):
        for number in range(len(self.rows), len(self.rows) + count):
            self.rows[(f"d{number}.1", destination)] = [make_result(number), 0, 0, age]

    async def due(self, limit):
        if self.away:
            raise Unavailable("disk full")
        found = [key for key, row in self.rows.items() if row[1] <= milliseconds()][:limit]
        for key in found:
            self.rows[key][1] = milliseconds() + 60_000
        self.taken.append(len(found))
        return [Due(self.rows[key][0], key[1], self.rows[key][2], self.rows[key][3]) for key in found]

    async def return_deliveries(self, keep):
        if self.away:
            raise Unavailable("disk full")
        for key, row in self.rows.items():
            if key not in keep and row[2] == 0:
                row[1] = min(row[1], milliseconds())

    async def settle(self, settled):
        if self.away:
            raise Unavailable("disk full")
        key = (settled.result_id, settled.destination)
        if settled.confirmed or settled.undeliverable:
            del self.rows[key]
        else:
            self.rows[key][1] = milliseconds() + settled.retry_in
            self.rows[key][2] += 1
        async with self.changed:
            self.settled.append(settled)
            self.changed.notify_all()

    async def until(self, condition):
        async with asyncio.timeout(3_600), self.changed:
            await self.changed.wait_for(condition)


class Broker:
    """Takes results, or raises what `trouble` gives for one."""

    def __init__(self, trouble=lambda due: None):
        self.trouble = trouble
        self.bodies = []
        self.at_once = self.most = 0
        self.open = asyncio.Event()
        self.open.set()

    async def publish(self, due, body):
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.open.wait()
            await asyncio.sleep(0)
            error = self.trouble(due)
            if error is not None:
                raise error
            self.bodies.append((due.result.id, due.destination))
        finally:
            self.at_once -= 1


def make_result(number=0):
    data = {"receivedAt": "2026-11-23T09:00:00.000Z"}
    return Result(f"d{number}.1", ResultType.FAILED, "bus", "e", 1, "chat.failed.bus.rule", data)


@asynccontextmanager
async def publishing(rows, broker, *, window=8, told=None, metrics=None):
    publisher, signals, stop = make(rows, broker, window=window, told=told, metrics=metrics)
    task = asyncio.create_task(publisher.run(stop))

    async def finish(grace=10):
        stop.begin(grace)
        await task

    publishing.signal, publishing.finish = signals.results, finish
    try:
        yield publishing
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def make(rows, broker, *, window=8, told=None, metrics=None):
    signals = Signals()
    publisher = Publisher(
        rows,
        broker,
        signals,
        window=window,
        clock=lambda: 1_795_424_401_000,
        boottime=milliseconds,
        metrics=metrics or Metrics(),
        report=lambda *state: (told if told is not None else []).append(state),
    )
    return publisher, signals, Stop()


@virtually
async def test_everything_due_is_published_once_a_window_at_a_time():
    rows, broker, metrics = Rows(100), Broker(), Metrics()
    async with publishing(rows, broker, metrics=metrics) as publisher:
        await publisher.finish()
    assert sorted(broker.bodies) == sorted((f"d{number}.1", "") for number in range(100))
    assert 6 <= broker.most <= 8, "a quarter of the window may wait for the next look"
    count = metrics.registry.get_sample_value("relay_event_to_result_seconds_count", {"source": "bus"})
    assert count == 100
    assert metrics.registry.get_sample_value("relay_event_to_result_seconds_sum", {"source": "bus"}) == 100


@virtually
async def test_a_notice_wakes_it_without_waiting_for_the_next_look():
    rows, broker = Rows(), Broker()
    async with publishing(rows, broker) as publisher:
        await asyncio.sleep(0.1)
        began = milliseconds()
        rows.add(1)
        publisher.signal.set()
        await rows.until(lambda: rows.settled)
        assert milliseconds() == began


@virtually
async def test_what_another_replica_left_is_found_without_a_notice():
    rows, broker = Rows(), Broker()
    async with publishing(rows, broker):
        await asyncio.sleep(0.1)
        rows.add(1)
        await rows.until(lambda: rows.settled)


@virtually
async def test_while_the_broker_is_away_one_row_at_a_time_is_tried():
    away = [True]
    rows, told = Rows(50), []
    broker = Broker(lambda due: Publishing("refused", away=True) if away[0] else None)
    async with publishing(rows, broker, told=told):
        await rows.until(lambda: len(rows.settled) >= 12)
        assert rows.taken[:8] == [4, 2, 1, 1, 1, 1, 1, 1]
        away[0] = False
        await rows.until(lambda: not rows.rows)
    assert told[0] == (PartState.DEGRADED, "refused", "RabbitMQ is away")
    assert told[-1] == (PartState.UP, "")


@virtually
async def test_what_is_unroutable_stays_due_and_is_shown_while_replies_go_on(capsys):
    bound = [False]
    rows, told = Rows(20), []
    rows.add(5, "answers")
    stray = Publishing("no queue for 'zoe@hidden.org'", unroutable=True)
    broker = Broker(lambda due: None if bound[0] or due.destination else stray)
    async with publishing(rows, broker, told=told):
        await rows.until(lambda: len(rows.settled) >= 25)
        assert len(broker.bodies) == 5
        assert told[-1] == (PartState.DEGRADED, str(stray), "no queue takes some of the results"), "no word of an event"
        bound[0] = True
        await rows.until(lambda: not rows.rows)
        assert told[-1] == (PartState.UP, "")
    assert "".join(capsys.readouterr()).count("result.unroutable") == 1


async def test_a_reply_that_is_refused_does_not_hide_the_result_exchange(capsys):
    rows = Rows(1)
    rows.add(1, "answers")
    broker = Broker(lambda due: Publishing(f"refused for {due.destination or 'results'}", denied=True))
    async with publishing(rows, broker):
        await rows.until(lambda: len(rows.settled) >= 2)
    told = "".join(capsys.readouterr())
    assert (told.count("refused for results"), told.count("refused for answers")) == (1, 1)


def add_to(rows, exchange, count):
    """Results of a rule that has an exchange of its own."""
    for number in range(count):
        result = replace(make_result(), id=f"{exchange}-{number}", exchange=exchange)
        rows.rows[(result.id, "")] = [result, 0, 0, 0]


@virtually
async def test_each_exchange_is_in_trouble_and_well_again_by_itself(capsys):
    troubled, rows, told = {"walled", "lost"}, Rows(10), []
    for exchange in ("walled", "lost", "crm"):
        add_to(rows, exchange, 5)
    broker = Broker(
        lambda due: (
            Publishing(f"{due.result.exchange} refuses", denied=True) if due.result.exchange in troubled else None
        )
    )
    async with publishing(rows, broker, told=told):
        await rows.until(lambda: len(rows.settled) >= 25)
        assert len(broker.bodies) == 15, "those of other exchanges are published"
        assert told[-1][:2] == (PartState.DOWN, "lost refuses")
        troubled.remove("walled")
        await rows.until(lambda: len(rows.rows) == 5)
        assert told[-1][0] is PartState.DOWN, "one is still in trouble"
        troubled.clear()
        await rows.until(lambda: not rows.rows)
        assert told[-1] == (PartState.UP, "")
    said = [line for line in "".join(capsys.readouterr()).splitlines() if "result.retried" in line]
    assert len([line for line in said if "walled refuses" in line]) == 1
    assert any("exchange=walled" in line or '"exchange": "walled"' in line for line in said)


@virtually
async def test_what_an_exchange_does_not_take_is_counted_for_that_exchange_alone():
    bound, rows, metrics = {"made"}, Rows(), Metrics()
    for exchange in ("crm", "billing", None):
        for key in ("made", "failed"):
            result = replace(make_result(), id=f"{exchange}-{key}", exchange=exchange, routing_key=key)
            rows.rows[(result.id, "")] = [result, 0, 0, 0]

    def trouble(due):
        if due.result.exchange == "crm" and due.result.routing_key not in bound:
            return Publishing("no queue", unroutable=True)
        return None

    async with publishing(rows, Broker(trouble), metrics=metrics):
        await rows.until(lambda: len(rows.rows) == 1)
        assert list(metrics.problems.take().seen) == [("broker", None, None, "unroutable", "crm")]
        bound.add("failed")
        await rows.until(lambda: not rows.rows)


@virtually
async def test_an_exchange_whose_results_another_replica_has_published_is_no_trouble_any_more():
    rows, told = Rows(), []
    add_to(rows, "crm", 1)
    broker = Broker(lambda due: Publishing("no", unroutable=True) if due.result.exchange else None)
    async with publishing(rows, broker, told=told) as publisher:
        await rows.until(lambda: rows.settled)
        rows.rows.clear()
        await asyncio.sleep(200)
        rows.add(1)
        publisher.signal.set()
        await rows.until(lambda: not rows.rows)
        assert told[-1] == (PartState.UP, "")


@virtually
async def test_retries_are_ever_later():
    rows = Rows(1)
    broker = Broker(lambda due: Publishing("no", unroutable=True))
    async with publishing(rows, broker):
        for tries in range(1, 12):
            await rows.until(lambda tries=tries: len(rows.settled) == tries)
    waits = [settled.retry_in for settled in rows.settled]
    assert all(250 <= wait <= 60_000 for wait in waits)
    assert waits[0] <= 1_000 < max(waits)


@virtually
async def test_a_reply_that_waited_out_a_long_stop_is_tried_before_it_is_given_up():
    rows = Rows(1, "answers", age=360_000)
    rows.add(1, "gone", age=360_000)
    rows.add(1, age=360_000)
    broker = Broker(lambda due: Publishing("refused", away=True) if due.destination == "gone" else None)
    async with publishing(rows, broker) as publisher:
        await rows.until(lambda: len(rows.settled) == 3)
        await publisher.finish()
    by = {settled.destination: settled for settled in rows.settled}
    assert by["answers"].confirmed
    assert by[""].confirmed
    assert (by["gone"].undeliverable, by["gone"].confirmed) == (True, False)
    assert "refused" in by["gone"].error


@virtually
async def test_a_ledger_that_is_away_is_waited_for():
    rows, broker = Rows(3), Broker()
    rows.away = True
    async with publishing(rows, broker):
        await asyncio.sleep(0)
        rows.away = False
        await rows.until(lambda: not rows.rows)


@virtually
async def test_a_stop_tells_what_is_due_and_waits_for_its_confirms():
    rows, broker = Rows(30), Broker()
    broker.open.clear()
    async with publishing(rows, broker) as publisher:
        await asyncio.sleep(0.1)
        finishing = asyncio.create_task(publisher.finish(10))
        await asyncio.sleep(5)
        assert not finishing.done()
        broker.open.set()
        await finishing
        assert milliseconds() == 5_100
    assert not rows.rows


@virtually
async def test_a_stop_gives_up_when_the_broker_does_not_answer():
    rows, broker = Rows(3), Broker()
    broker.open.clear()
    async with publishing(rows, broker) as publisher:
        await asyncio.sleep(0.1)
        await publisher.finish(3)
        assert milliseconds() == 3_100
    assert len(rows.rows) == 3


@virtually
async def test_a_stop_does_not_wait_for_a_broker_or_a_ledger_that_is_away():
    for away in ("broker", "ledger"):
        rows = Rows(50)
        broker = Broker(lambda due: Publishing("refused", away=True))
        rows.away = away == "ledger"
        async with publishing(rows, broker) as publisher:
            await asyncio.sleep(0.1)
            began = milliseconds()
            await publisher.finish(20)
            assert milliseconds() == began, away
        assert len(rows.rows) == 50


@virtually
async def test_a_result_that_the_relay_fails_at_holds_up_no_other(capsys):
    rows = Rows(10)
    broker = Broker(lambda due: KeyError("a bug") if due.result.id == "d3.1" else None)
    async with publishing(rows, broker):
        await rows.until(lambda: len(broker.bodies) == 9)
        await rows.until(lambda: next(row for row in rows.rows.values())[2] == 2)
    assert [key for key, _ in rows.rows] == ["d3.1"]
    assert "KeyError" in rows.settled[-1].error


@virtually
async def test_a_result_that_the_relay_fails_at_is_shown_and_a_reply_of_that_kind_given_up(capsys):
    rows, told, metrics = Rows(1), [], Metrics()
    rows.add(1, "answers", age=360_000)
    broker = Broker(lambda due: KeyError("zoe@hidden.org"))
    async with publishing(rows, broker, told=told, metrics=metrics):
        await rows.until(lambda: len(rows.settled) == 5)
    assert told[-1][::2] == (PartState.DEGRADED, "Relay fails at some of the results; the log says more")
    by = {settled.destination: settled for settled in rows.settled}
    assert (by["answers"].undeliverable, by[""].undeliverable) == (True, False)
    assert "KeyError" in by["answers"].error
    assert [key[0] for key in metrics.problems.take().seen] == ["broker"]
    lines = "".join(capsys.readouterr())
    assert (lines.count("result.failed"), lines.count("Traceback")) == (1, 1), "a line a minute"
