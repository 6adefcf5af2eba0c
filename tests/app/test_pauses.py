"""`RulePauses` and the counters of minutes, as a running relay uses them."""

from unittest.mock import sentinel

import pytest

from relay.app.pauses import RulePauses
from relay.app.upkeep import Upkeep
from relay.errors import NotFound, Unavailable
from relay.life import Signals, Stop
from relay.model import RateQuery, State
from relay.rules import RuleSpec, compile_rules
from relay.telemetry import Metrics
from tests.ledger.build import make_entry

RULES = compile_rules([RuleSpec("urgent", chat={"trigger": {"type": "draft"}})], {})


@pytest.fixture
def signals():
    return Signals()


@pytest.fixture
def pauses(ledger, signals):
    return RulePauses(ledger, lambda: RULES, signals)


async def test_a_resume_lets_go_what_was_held_and_wakes_the_worker(pauses, ledger, signals):
    await pauses.set_paused("urgent", paused=True, by="kim")
    assert pauses.paused == {"urgent"}
    entry = make_entry()
    await ledger.accept([entry])
    signals.work.clear()
    await pauses.refresh()
    assert not signals.work.is_set
    await pauses.set_paused("urgent", paused=False, by="kim")
    assert signals.work.is_set
    [view] = (await ledger.event(entry.event.id)).dispatches
    assert view.state is State.READY
    acts = [(act.actor, act.act, act.target) for act in (await ledger.acts(None, 9)).acts]
    assert acts == [("kim", "rule.resumed", "urgent"), ("kim", "rule.paused", "urgent")]


async def test_only_a_rule_that_exists_is_paused_but_one_that_is_gone_can_be_resumed(pauses, ledger):
    with pytest.raises(NotFound, match="there is no rule 'none'; there are: urgent"):
        await pauses.set_paused("none", paused=True)
    with pytest.raises(NotFound):
        await pauses.set_paused("none", paused=False)
    await ledger.pause_rule("removed", paused=True)
    await pauses.set_paused("removed", paused=False)
    assert await ledger.paused_rules() == frozenset()


async def test_counts_survive_an_outage_of_the_ledger_and_are_written_at_the_end(ledger, monkeypatch):
    metrics = Metrics()
    upkeep = Upkeep(ledger, sentinel.report, "1.2.3")
    stop = Stop()
    stop.begin(1.0)
    count = ledger.count

    async def away(_tally):
        raise Unavailable("away")

    metrics.events("crm", "accepted", 2, 0)
    metrics.rejected("crm", "signature")
    metrics.chat("urgent", "created")
    metrics.chat("urgent", "suppressed")
    metrics.chat("urgent", "duplicated")
    metrics.skip("urgent", "stale")
    metrics.published("crm", 0.2)
    monkeypatch.setattr(ledger, "count", away)
    await upkeep.count(metrics.minutes, stop)
    metrics.events("crm", "accepted", 1, 0)
    monkeypatch.setattr(ledger, "count", count)
    await upkeep.count(metrics.minutes, stop)
    await upkeep.count(metrics.minutes, stop)

    assert [replica.version for replica in await ledger.replicas()] == ["1.2.3"]

    async def counts(kind, name):
        [rate] = await ledger.rates(RateQuery(0, 1 << 60, 86_400_000, kind, name))
        return dict(rate.counts)

    assert await counts("source", "crm") == {"accepted": 3, "refused": 1, "took_1": 1}
    assert await counts("rule", "urgent") == {"chats": 1, "ended": 1, "stale": 1}
    assert await counts("all", "") == {
        "accepted": 3,
        "refused": 1,
        "took_1": 1,
        "chats": 1,
        "ended": 1,
        "stale": 1,
    }
