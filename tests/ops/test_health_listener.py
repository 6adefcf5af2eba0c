"""The health listener over real HTTP."""

import asyncio

import pytest

from relay.model import Gauges
from relay.ops import make_health_app
from relay.telemetry import Metrics, PartState, Phase, Status
from tests.ops.desk import NOW, Memory


class Clock:
    def __init__(self):
        self.seconds = 1000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def status(clock):
    return Status(lambda: NOW, clock)


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
async def http(aiohttp_client, status, metrics, memory, clock):
    return await aiohttp_client(make_health_app(status, metrics, memory.gauges, monotonic=clock))


async def test_live_as_long_as_the_loop_turns(http, status, clock):
    status.set("broker", PartState.DOWN, "refused", vital=True)
    clock.seconds += 29
    answer = await http.get("/livez")
    assert (answer.status, await answer.text()) == (200, "live\n")


async def test_a_stuck_loop_is_told(http, status, clock):
    clock.seconds += 31
    answer = await http.get("/livez")
    assert answer.status == 503
    assert "has not turned for 31 s" in await answer.text()
    status.beat()
    assert (await http.get("/livez")).status == 200


@pytest.mark.parametrize(("phase", "code"), [("starting", 503), ("serving", 200), ("draining", 503)])
async def test_ready_only_while_serving(http, status, phase, code):
    status.phase = Phase(phase)
    answer = await http.get("/readyz")
    assert answer.status == code
    assert (f"the relay is {phase}" in await answer.text()) == (code == 503)


async def test_only_a_vital_part_makes_unready(http, status):
    status.phase = Phase.SERVING
    status.set("broker", PartState.DOWN, "connection refused")
    assert (await http.get("/readyz")).status == 200
    status.set("ledger", PartState.DOWN, "the disk is full", vital=True)
    answer = await http.get("/readyz")
    assert answer.status == 503
    assert "ledger is down: the disk is full" in await answer.text()


async def test_verbose_lists_parts_with_reasons(http, status):
    status.phase = Phase.SERVING
    status.set("hooks", PartState.UP)
    status.set("broker", PartState.DEGRADED, "unroutable")
    text = await (await http.get("/readyz?verbose")).text()
    assert "hooks: up since 20" in text
    assert text.rstrip().endswith(": unroutable")
    document = await (await http.get("/readyz?verbose", headers={"Accept": "application/json"})).json()
    assert document["status"] == "ready"
    assert [(part["name"], part["state"], part["reason"]) for part in document["parts"]] == [
        ("hooks", "up", ""),
        ("broker", "degraded", "unroutable"),
    ]


async def test_since_is_the_change_of_state_not_of_reason():
    times = iter([1, 2, 3])
    status = Status(lambda: next(times), lambda: 0.0)
    status.set("broker", PartState.DOWN, "a")
    status.set("broker", PartState.DOWN, "b")
    assert [(part.since, part.reason) for part in status.parts()] == [(1, "b")]
    status.set("broker", PartState.UP)
    assert status.parts()[0].since == 2
    status.drop("broker")
    assert status.parts() == ()


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


async def test_metrics_carry_the_ledgers_gauges(http, memory, metrics):
    memory.numbers = Gauges(
        due=3,
        oldest_due=1500,
        held=5,
        unfinished=994,
        high_water=1_000,
        unpublished=2,
        parked={"unknown": 4},
        paused={"denied": NOW},
        oldest_transaction=12_000,
    )
    text = await (await http.get("/metrics")).text()
    assert "relay_due_dispatches 3.0" in text
    assert "relay_oldest_due_seconds 1.5" in text
    assert "relay_ledger_oldest_transaction_seconds 12.0" in text
    assert "relay_paused_dispatches 5.0" in text
    assert "relay_unfinished_dispatches 994.0" in text
    assert "relay_high_water_ratio 0.994" in text
    assert 'relay_parked{reason="unknown"} 4.0' in text
    assert 'relay_parked{reason="gave_up"} 0.0' in text
    assert 'relay_cargo_paused{reason="denied"} 1.0' in text


async def test_a_pause_that_ended_reads_zero(http, memory, metrics, clock):
    memory.numbers = Gauges(paused={"denied": NOW})
    await http.get("/metrics")
    memory.numbers = Gauges()
    clock.seconds += 6
    await http.get("/metrics")
    assert value(metrics, "relay_cargo_paused", reason="denied") == 0


async def test_gauges_are_asked_for_once_in_five_seconds(http, memory, clock):
    await asyncio.gather(*(http.get("/metrics") for _ in range(5)))
    clock.seconds += 4.9
    await http.get("/metrics")
    assert memory.asked == 1
    clock.seconds += 0.2
    await http.get("/metrics")
    assert memory.asked == 2


async def test_the_last_gauges_stand_while_the_ledger_is_away(http, memory, clock):
    memory.numbers = Gauges(due=7)
    await http.get("/metrics")
    memory.away = True
    clock.seconds += 10
    answer = await http.get("/metrics")
    assert answer.status == 200
    assert "relay_due_dispatches 7.0" in await answer.text()


async def test_a_ledger_that_hangs_does_not_hang_the_metrics(aiohttp_client, status, metrics, clock, monkeypatch):
    monkeypatch.setattr("relay.ops.gauges._WAIT", 0.01)
    asked = 0

    async def hang():
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()

    http = await aiohttp_client(make_health_app(status, metrics, hang, monotonic=clock))
    assert (await http.get("/metrics")).status == 200
    assert (await http.get("/metrics")).status == 200
    assert asked == 1


async def test_openmetrics_for_who_asks(http):
    answer = await http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
    assert (await answer.text()).endswith("# EOF\n")


async def test_nothing_else_is_served(http):
    assert (await http.get("/api/events")).status == 404
    assert (await http.get("/")).status == 404
