"""Windows close whatever call goes wrong, and each makes one chat."""

import asyncio

import pytest
from structlog.testing import capture_logs

from relay.intake import Closer, Intake
from relay.ledger import SqlLedger, Terms
from relay.ledger.engine.migrate import upgrade
from relay.life import Signals, Stop
from relay.model import Event, EventQuery, State, new_id
from relay.rules import RuleSpec, compile_rules
from relay.rules.keys.debounce import DebounceBlock
from relay.telemetry import Metrics
from tests.dispatch.relays import START, Inline
from tests.life import faults
from tests.virtual import VirtualLoop, milliseconds

CHAT = {"trigger": {"type": "connector", "connectorUuid": "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"}}


def debounce(keep):
    return {"debounce": DebounceBlock(key="{{ data.key }}", wait="10s", keep=keep)}


RULES = compile_rules(
    [
        RuleSpec("last", chat=CHAT, keys=debounce("last")),
        RuleSpec("all", chat=CHAT, keys=debounce("all"), message="{{ events | length }}"),
    ],
    {},
)


def clock(*_):
    return START + milliseconds()


async def live(at, kind):
    """Three events of two keys are gathered by two rules, and one call of the closer goes wrong."""
    store = Inline()
    store.clock = store._clock = clock
    await store.write(upgrade)
    sql = SqlLedger(store, Terms(owner="one"))
    troubles = faults.Faults(at, kind, armed=False)
    signals, stop, shared = Signals(), Stop(), {"boottime": milliseconds, "metrics": Metrics()}
    intake = Intake(sql, RULES, high_water=100, ids=new_id, signals=signals, clock=clock, **shared)
    closer = Closer(faults.Ledger(sql, troubles), lambda _: RULES, signals, **shared)
    running = asyncio.create_task(supervised(closer, stop))
    for number, key in enumerate("aba"):
        event = Event(new_id(), "crm", str(number), "edit", {"key": key}, b"{}", b"", clock(), content_type="x")
        await intake.accept([event])
    troubles.armed = True
    async with asyncio.timeout(300):
        while (await sql.next_close()) is not None:
            await asyncio.sleep(1)
    troubles.armed = False
    page = await sql.events(EventQuery())
    states = sorted((dispatch.rule, dispatch.state) for event in page.events for dispatch in event.dispatches)
    one_key = [State.READY, State.READY, State.SUPERSEDED]
    assert states == [(rule, state) for rule in ("all", "last") for state in one_key]
    assert sorted(claim.dispatch.message or "" for claim in await sql.claim(10)) == ["", "", "1", "2"]
    stop.begin(1)
    await running
    await sql.aclose()
    return troubles.hit


async def supervised(closer, stop):
    """Begun again after an error, as its supervisor would."""
    while not stop.asked:
        try:
            await closer.run(stop)
        except (faults.Bug, asyncio.CancelledError):
            if asyncio.current_task().cancelling():
                raise
            await asyncio.sleep(1)


@pytest.mark.parametrize("kind", faults.KINDS)
def test_whatever_call_goes_wrong_each_window_closes_once(kind):
    hit = set()
    for at in range(8):
        with capture_logs(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
            hit.add(runner.run(live(at, kind)))
    assert {"ledger.next_close", "ledger.gathered", "ledger.close_windows"} <= hit
