"""Rules that matched an event and made nothing of it: kept with the event, counted, told to who asked."""

from dataclasses import replace
from functools import partial

import pytest

from relay.intake import Intake, replay
from relay.ledger.queries import hand
from relay.life import Signals
from relay.model import EventStatus, Skip, Why, new_id
from relay.rules import RuleSpec, compile_rules
from relay.telemetry import Metrics
from tests.ledger.build import make_dispatch, make_entry, make_event

CHAT = {"name": "Deal {{ data.id }}", "trigger": {"type": "draft"}}
IGNORED = Skip("own", Why.IGNORED, "data.by == 'agent'")
SHADOW = Skip("trial", Why.SHADOW, {"name": "Deal 7", "trigger": {"type": "draft"}})


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def intake(ledger, clock, metrics):
    rules = [
        RuleSpec("own", chat=CHAT, keys={"ignore": IGNORED.detail}),
        RuleSpec("trial", chat=CHAT, keys={"shadow": True}),
        RuleSpec("real", when="data.real", chat=CHAT),
    ]
    quiet = {"metrics": metrics, "signals": Signals(), "boottime": clock}
    return Intake(ledger, compile_rules(rules, {}), high_water=100, ids=new_id, clock=clock, **quiet)


def count(metrics, rule, why):
    return metrics.registry.get_sample_value("relay_skips_total", {"rule": rule, "why": why})


async def test_an_event_that_all_rules_skipped_is_unmatched_and_its_caller_is_told_why(intake, ledger, metrics):
    event = make_event("a", body={"id": 7, "by": "agent"}, reply_to="answers")
    [receipt] = await intake.accept([event])
    assert (receipt.status, receipt.dispatches) == (EventStatus.UNMATCHED, ())
    detail = await ledger.event(event.id)
    assert detail.skips == (IGNORED, SHADOW)
    [due] = await ledger.due(10)
    assert due.destination == "answers"
    assert due.result.data["skips"] == [
        {"rule": "own", "why": "ignored", "detail": IGNORED.detail},
        {"rule": "trial", "why": "shadow", "detail": SHADOW.detail},
    ]
    assert (count(metrics, "own", "ignored"), count(metrics, "trial", "shadow")) == (1, 1)


async def test_beside_a_dispatch_the_skips_are_kept_and_no_result_tells_them(intake, ledger):
    event = make_event("a", body={"id": 7, "by": "agent", "real": True}, reply_to="answers")
    [receipt] = await intake.accept([event])
    assert [rule for _, rule in receipt.dispatches] == ["real"]
    assert (await ledger.event(event.id)).skips == (IGNORED, SHADOW)
    assert await ledger.due(10) == []


async def test_a_duplicate_counts_no_skip_again(intake, ledger, metrics):
    events = [make_event("a", body={"id": 7}) for _ in range(2)]
    for event in events:
        await intake.accept([event])
    await ledger.event(events[0].id)  # the report of an acceptance comes a turn of the loop after it
    assert count(metrics, "trial", "shadow") == 1


async def test_a_shadow_rule_that_cannot_be_rendered_says_why(intake, ledger):
    event = make_event("a", body={"by": "kim"})
    [receipt] = await intake.accept([event])
    assert [rule for _, rule in receipt.dispatches] == ["own"]
    [skip] = (await ledger.event(event.id)).skips
    assert skip == Skip("trial", Why.SHADOW, "rule trial: chat.name: data.id is missing")


async def test_a_replay_replaces_the_skips_by_those_of_todays_rules(intake, ledger, clock):
    event = make_event("a", body={"id": 7, "by": "agent"})
    await intake.accept([event])
    today = compile_rules([RuleSpec("trial", chat=CHAT, keys={"shadow": True}), RuleSpec("own", chat=CHAT)], {})
    added = await replay(ledger, today, event.id, again=False, ids=new_id, clock=clock, metrics=Metrics())
    assert [rule for _, rule in added] == ["own"]
    detail = await ledger.event(event.id)
    assert (detail.status, detail.skips) == (EventStatus.ACCEPTED, (SHADOW,))


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_replay_of_one_rule_keeps_what_the_others_skipped(ledger, clock, bulk):
    """And a replay of many events makes no chat of one in which `changed` found nothing new."""
    rules = ("changed", "newest")
    first, again = [
        make_entry(rules=rules, dispatch={"plan": {"changed": {"key": "k", "hash": "a", "first": "match"}}})
        for _ in range(2)
    ]
    await ledger.accept([first])
    await ledger.accept([again])
    before = (await ledger.event(again.event.id)).skips
    assert [skip.why for skip in before] == [Why.UNCHANGED] * 2
    asked = replace(again, dispatches=tuple(make_dispatch(again.event, rule) for rule in ("changed", "other")))
    if bulk:
        asking = {"event_id": again.event.id, "entry": asked, "again": False, "bulk": True}
        added = await ledger.write(partial(hand.add, **asking, terms=ledger.terms))
        assert [dispatch.rule for dispatch in added] == ["other"]
        assert (await ledger.event(again.event.id)).skips == before
    else:
        added = await ledger.extend(again.event.id, asked, again=False)
        assert [dispatch.rule for dispatch in added] == ["changed", "other"]
        assert (await ledger.event(again.event.id)).skips == before[1:]
