"""What rules make of an event is found out beside the event loop: with hundreds of rules it takes long."""

import threading
from types import SimpleNamespace

import pytest

from relay.ops.routes import dumps
from relay.ops.trial import Explained, Trial
from relay.rules import RuleSet
from tests.app.reloading import CHAT, configure, living


@pytest.fixture
def threads(monkeypatch):
    """The threads in which rules are explained to people, and in which that is made ready for them."""
    seen = []

    def watch(work):
        def watched(*given):
            seen.append(threading.current_thread())
            return work(*given)

        return watched

    monkeypatch.setattr(RuleSet, "explain", watch(RuleSet.explain))
    monkeypatch.setattr("relay.ops.routes.dumps", watch(dumps))
    for place, shown in (("api.Explained", Explained), ("api.Trial", Trial), ("console.sample.Trial", Trial)):
        reader = SimpleNamespace(model_validate=watch(shown.model_validate))
        monkeypatch.setattr(f"relay.ops.{place}", reader)
    return seen


@pytest.mark.parametrize("rule", [None, "name: other\nwhen: data.id == 1\nchat: {trigger: {type: draft}}\n"])
async def test_the_event_loop_explains_nothing(tmp_path, threads, rule):
    text = {} if rule is None else {"rule": rule}
    rules = [{"name": "first", "chat": CHAT, "when": "data.id == 1", "delay": "1h"}]
    async with living(tmp_path / "relay.yaml", configure(tmp_path, rules=rules)) as live:
        await live.post(id=1)
        _, listed = await live.ask("GET", "/api/events")
        event_id = listed["events"][0]["id"]
        threads.clear()  # a list is short, and written at once
        for path in (f"/events/{event_id}", f"/api/events/{event_id}/explain", "/sources/crm/sample"):
            async with live.http.get(live.service.addresses.ops + path) as answer:
                assert answer.status == 200, path
        for asked in ({"event": event_id}, {"source": "crm", "body": {"id": 1}}):
            async with live.http.post(f"{live.service.addresses.ops}/api/try", json=asked | text) as answer:
                assert answer.status == 200, await answer.text()
    assert len(threads) == 13
    assert threading.main_thread() not in threads
