"""The status page: what it tells, and that nothing of a stranger's becomes markup."""

import re

from relay.model import Gauges, ParkReason, State
from relay.telemetry import PartState, Phase
from tests.ops.desk import NOW, make_dispatch, make_event


async def test_it_tells_version_parts_pauses_numbers_and_events(http, memory, status):
    event = make_event(1)
    memory.add(event, make_dispatch(event, state=State.PARKED, park=ParkReason.UNKNOWN))
    memory.numbers = Gauges(due=17, paused={"denied": NOW}, parked={"unknown": 1})
    status.set("broker", PartState.DOWN, "connection refused")
    text = await (await http.get("/")).text()
    for told in (
        "Relay 1.2.3",
        "<td>17</td>",
        "connection refused",
        "All sending is paused: denied",
        "unknown 1",
        "urgent: parked (unknown)",
        "crm.events",
        'href="/api/events/0190-1"',
    ):
        assert told in text


async def test_what_strangers_send_is_escaped(http, memory, status):
    memory.add(make_event(1, type="<script>alert(1)</script>", id='"><img src=x>'))
    status.set("x", PartState.DOWN, "<b>bold</b>")
    text = await (await http.get("/")).text()
    assert "<script" not in text
    assert "<img" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;" in text


async def test_a_browser_may_run_nothing(http):
    answer = await http.get("/")
    policy = answer.headers["Content-Security-Policy"]
    nonce = re.search(r"style-src 'nonce-([\w-]+)'", policy)[1]
    assert policy.startswith("default-src 'none'")
    assert f'<style nonce="{nonce}">' in await answer.text()
    again = await http.get("/")
    assert nonce not in again.headers["Content-Security-Policy"]


async def test_it_is_there_while_the_ledger_is_not(http, memory, status):
    memory.away = True
    status.phase = Phase.DRAINING
    answer = await http.get("/")
    assert answer.status == 200
    text = await answer.text()
    assert "The ledger is away: the database does not answer" in text
    assert "Not ready: the relay is draining" in text
    assert "has not told any yet" in text
