"""What rules make of an event is found out beside the event loop: with hundreds of rules it takes long."""

import threading

import pytest

from relay.rules import RuleSet
from tests.app.reloading import CHAT, configure, living


@pytest.fixture
def threads(monkeypatch):
    """The threads in which rules are explained and matched for people."""
    seen = []
    explain = RuleSet.explain

    def watched(self, event):
        seen.append(threading.current_thread())
        return explain(self, event)

    monkeypatch.setattr(RuleSet, "explain", watched)
    return seen


@pytest.mark.parametrize("rule", [None, "name: other\nwhen: data.id == 1\nchat: {trigger: {type: draft}}\n"])
async def test_the_event_loop_explains_nothing(tmp_path, threads, rule):
    text = {} if rule is None else {"rule": rule}
    rules = [{"name": "first", "chat": CHAT, "when": "data.id == 1", "delay": "1h"}]
    async with living(tmp_path / "relay.yaml", configure(tmp_path, rules=rules)) as live:
        await live.post(id=1)
        _, listed = await live.ask("GET", "/api/events")
        event_id = listed["events"][0]["id"]
        for path in (f"/events/{event_id}", f"/api/events/{event_id}/explain", "/sources/crm/sample"):
            async with live.http.get(live.service.addresses.ops + path) as answer:
                assert answer.status == 200, path
        for asked in ({"event": event_id}, {"source": "crm", "body": {"id": 1}}):
            async with live.http.post(f"{live.service.addresses.ops}/api/try", json=asked | text) as answer:
                assert answer.status == 200, await answer.text()
    assert len(threads) == 5
    assert threading.main_thread() not in threads
