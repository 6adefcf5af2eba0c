"""`changed`, `newest` and `once` in the ledger, against plain models of what RULES says."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from relay.intake import Intake
from relay.ledger import SqlLedger, Terms
from relay.ledger.schema import rule_keys
from relay.life import Signals
from relay.model import EventStatus, Failure, ParkReason, Settled, State, Verdict, new_id
from relay.rules import RuleSpec, compile_rules
from relay.rules.keys.once import OnceBlock
from relay.telemetry import Metrics
from tests.ledger.build import created, made_at, make_entry, make_event, move

DAY = 86_400_000
REMEMBER = 90 * DAY


def entry(plan, **rest):
    return make_entry(dispatch={"plan": plan}, **rest)


def changed(value, key="k", first="match"):
    return {"changed": {"key": key, "hash": value, "first": first}}


def newest(by, key="k"):
    return {"newest": {"key": key, "by": by}}


def once(key="k", within=None):
    return {"once": {"key": key, "within": within}}


async def accept(ledger, *entries):
    """The stored entries: their statuses, the states of their dispatches and why rules skipped them."""
    receipts = await ledger.accept(entries)
    return [receipt.entry for receipt in receipts]


def outcome(stored):
    return [str(dispatch.state) for dispatch in stored.dispatches] or [str(skip.why) for skip in stored.skips]


async def test_what_did_not_change_is_skipped_and_the_event_unmatched(ledger):
    first, again, other = await accept(ledger, entry(changed("a")), entry(changed("a")), entry(changed("b")))
    assert [outcome(each) for each in (first, again, other)] == [["ready"], ["unchanged"], ["ready"]]
    assert (again.status, (await ledger.event(again.event.id)).status) == (EventStatus.UNMATCHED,) * 2
    assert [str(skip.why) for skip in (await ledger.event(again.event.id)).skips] == ["unchanged"]
    assert len(await ledger.claim(10)) == 2


async def test_a_first_sight_that_is_skipped_is_remembered(ledger):
    """Else every sight would be the first one, and no chat would ever be made."""
    stored = [(await accept(ledger, entry(changed(value, first="skip"))))[0] for value in "aabbc"]
    assert [outcome(each) for each in stored] == [["unchanged"], ["unchanged"], ["ready"], ["unchanged"], ["ready"]]


async def test_values_are_kept_from_the_last_event_of_the_key_on(ledger, clock):
    for _ in range(4):
        [stored] = await accept(ledger, entry(changed("a")))
        clock.now += ledger.terms.remember - 1
    assert outcome(stored) == ["unchanged"]


async def test_a_caller_hears_why_nothing_was_made(ledger):
    await accept(ledger, entry(changed("a", first="skip"), reply_to="answers"))
    [due] = await ledger.due(10)
    assert (due.destination, [skip["why"] for skip in due.result.data["skips"]]) == ("answers", ["unchanged"])


async def test_a_stale_event_is_skipped_and_not_seen(ledger):
    plans = [newest(5) | changed("a"), newest(4) | changed("b"), newest(5) | changed("a"), newest(6) | changed("b")]
    stored = await accept(ledger, *[entry(plan) for plan in plans])
    assert [outcome(each) for each in stored] == [["ready"], ["stale"], ["unchanged"], ["ready"]]


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        (2**53 + 1, 2**53),
        (10**307 + 1, 10**307),
        ("1768542982123.457", "1768542982123.456"),
        ("1768542982123.000001", 1768542982123),
        (0.2, "0.1"),
        (5, 4.5),
    ],
    ids=lambda by: str(by)[:20],
)
async def test_numbers_are_told_apart_that_a_float_would_take_for_one(ledger, later, earlier):
    stored = [(await accept(ledger, entry(newest(by))))[0] for by in (later, earlier, later)]
    assert [outcome(each) for each in stored] == [["ready"], ["stale"], ["ready"]]
    assert stored[1].skips[0].detail == f"{earlier} is older than {later}, the newest of its key"


async def test_later_ones_of_a_key_are_suppressed_by_the_first(ledger, clock):
    [first] = await accept(ledger, entry(once()))
    [later] = await accept(ledger, entry(once(), reply_to="answers"))
    [dispatch] = later.dispatches
    assert (dispatch.state, dispatch.cause) == (State.SUPPRESSED, first.dispatches[0].id)
    [due, reply] = sorted(await ledger.due(10), key=lambda due: due.destination)
    assert reply.destination == "answers"
    assert (due.result.data["error"]["code"], due.result.data["by"]) == ("suppressed", {"dispatchId": dispatch.cause})
    [view] = (await ledger.event(later.event.id)).dispatches
    assert (view.state, view.failure.code) == (State.SUPPRESSED, "suppressed")
    assert [claim.dispatch.id for claim in await ledger.claim(10)] == [dispatch.cause]


async def test_the_time_counts_from_the_first(ledger, clock):
    await accept(ledger, entry(once(within=1_000)))
    clock.now += 999
    assert [outcome(each) for each in await accept(ledger, entry(once(within=1_000)))] == [["suppressed"]]
    clock.now += 1
    assert [outcome(each) for each in await accept(ledger, entry(once(within=1_000)))] == [["ready"]]


@pytest.mark.parametrize("to", [State.FAILED, State.PARKED, State.DONE])
async def test_a_key_is_free_again_when_its_dispatch_ended_without_a_chat(ledger, to):
    await accept(ledger, entry(once()))
    [claim] = await ledger.claim(1)
    if to is State.DONE:
        await ledger.record(created(claim))
    else:
        failure = Failure("permanent", "no", 400)
        await ledger.record(move(claim, to, verdict=Verdict.PERMANENT, failure=failure, park=None))
    [stored] = await accept(ledger, entry(once()))
    assert outcome(stored) == (["ready"] if to is State.FAILED else ["suppressed"])


@pytest.mark.parametrize(("to", "after"), [(State.FAILED, "ready"), (State.DONE, "suppressed")])
async def test_a_key_is_as_free_after_its_dispatch_was_pruned_as_before(ledger, clock, to, after):
    await accept(ledger, made_at(clock.now, entry(once())), made_at(clock.now, entry(once("other"))))
    for claim in await ledger.claim(10):
        failure = Failure("permanent", "no", 400)
        failed = move(claim, to, verdict=Verdict.PERMANENT, failure=failure)
        await ledger.record(created(claim) if to is State.DONE else failed)
    for due in await ledger.due(10):
        await ledger.settle(Settled(due.result.id, "", confirmed=True))
    clock.now += 31 * DAY
    assert await ledger.prune() == 2
    assert [outcome(each) for each in await accept(ledger, entry(once()), entry(once()))] == [[after], ["suppressed"]]


async def test_a_retry_of_a_suppressed_one_makes_its_chat(ledger):
    await accept(ledger, entry(once()))
    [later] = await accept(ledger, entry(once()))
    await ledger.claim(10)
    await ledger.retry(later.dispatches[0].id, None)
    assert [claim.dispatch.id for claim in await ledger.claim(10)] == [later.dispatches[0].id]


async def test_a_retry_of_what_could_not_be_rendered_takes_its_key(ledger):
    failed = {"state": State.FAILED, "failure": Failure("render", "no"), "plan": None}
    [stored] = await accept(ledger, make_entry(dispatch=failed))
    [dispatch] = stored.dispatches
    await ledger.retry(dispatch.id, replace(dispatch, plan=once()))
    [later] = await accept(ledger, entry(once()))
    assert (outcome(later), later.dispatches[0].cause) == (["suppressed"], dispatch.id)


async def test_a_retry_takes_a_key_that_became_free_meanwhile(ledger):
    failed = []
    for _ in range(2):
        await accept(ledger, entry(once()))
        [claim] = await ledger.claim(10)
        failure = Failure("permanent", "no", 400)
        await ledger.record(move(claim, State.FAILED, verdict=Verdict.PERMANENT, failure=failure))
        failed.append(claim.dispatch.id)
    await ledger.retry(failed[0], None)
    [later] = await accept(ledger, entry(once()))
    assert (outcome(later), later.dispatches[0].cause) == (["suppressed"], failed[0])


@pytest.mark.parametrize(("to", "former"), [(State.FAILED, "ready"), (State.PARKED, "suppressed")])
async def test_a_retry_under_another_key_gives_the_former_back_if_it_made_no_chat(ledger, to, former):
    [stored] = await accept(ledger, entry(once("former")))
    [claim] = await ledger.claim(10)
    parked = {"verdict": Verdict.UNKNOWN, "park": ParkReason.UNKNOWN}
    failed = {"verdict": Verdict.PERMANENT, "failure": Failure("permanent", "no", 400)}
    await ledger.record(move(claim, to, **(failed if to is State.FAILED else parked)))
    [dispatch] = stored.dispatches
    await ledger.retry(dispatch.id, replace(dispatch, plan=once("mended")))
    later = await accept(ledger, entry(once("former")), entry(once("mended")))
    assert [outcome(each) for each in later] == [[former], ["suppressed"]]


async def test_keys_are_the_rules_own(ledger):
    [stored] = await accept(ledger, make_entry(rules=("one", "two"), dispatch={"plan": once()}))
    assert outcome(stored) == ["ready", "ready"]


async def test_duplicates_and_failed_dispatches_touch_no_key(ledger):
    failed = Failure("render", "no")
    await accept(ledger, make_entry(dispatch={"plan": once(), "state": State.FAILED, "failure": failed}))
    await accept(ledger, entry(once(), external_id="a"))
    [receipt] = await ledger.accept([entry(once(), external_id="a")])
    assert receipt.status is EventStatus.DUPLICATE
    assert len(await ledger.claim(10)) == 1


async def test_two_replicas_and_batches_of_one_key_make_one_chat(replicas):
    """The keys of a batch are locked in sorted order, whatever their order in it."""
    one, two = replicas
    keys = [f"k-{number}" for number in range(20)]
    batches = [
        ledger.accept([entry(once(key) | changed("v", key)) for key in order])
        for _ in range(5)
        for ledger, order in ((one, keys), (two, keys[::-1]))
    ]
    receipts = [receipt for batch in await asyncio.gather(*batches) for receipt in batch]
    made = [receipt for receipt in receipts if receipt.entry.dispatches]
    assert len(receipts) == 200
    assert len(made) == len(keys), "the others did not change"
    assert len(await one.claim(100)) == len(keys)


async def test_expired_keys_are_pruned(store, clock):
    ledger = SqlLedger(store, Terms(owner="one", remember=1_000))
    await accept(ledger, *[entry(once(f"k-{number}", within=500)) for number in range(3)], entry(newest(1)))
    clock.now += 600
    await ledger.prune()
    assert await ledger.read(lambda conn, _: conn.execute(select(func.count()).select_from(rule_keys)).scalar()) == 1


async def test_intake_has_a_suppressed_dispatch_told_at_once(ledger, clock):
    """The rules render the key, the ledger ends the dispatch, and the publisher is woken for its result."""
    chat = {"trigger": {"type": "connector", "connectorUuid": "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"}}
    rules = compile_rules([RuleSpec("deal", chat=chat, keys={"once": OnceBlock(key="{{ data.ticket }}")})], {})
    signals = Signals()
    quiet = {"metrics": Metrics(), "boottime": clock, "clock": clock}
    intake = Intake(ledger, rules, high_water=100, ids=new_id, signals=signals, **quiet)
    await intake.accept([make_event()])
    assert not signals.results.is_set
    await intake.accept([make_event()])
    assert signals.results.is_set
    assert len(await ledger.due(10)) == 1


STEPS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(0, 5), st.integers(0, 400)), max_size=30
)


class Model:
    """RULES in plain words: `newest`, `changed` and `once` (within 1 s) of one rule."""

    def __init__(self):
        self.values, self.tops, self.taken = {}, {}, {}

    def see(self, key, value, by, now):
        if self.values.get(key) == value:
            return "unchanged"
        if by < self.tops.get(key, by):
            return "stale"
        self.values[key], self.tops[key] = value, by
        if now - self.taken.get(key, -1_000) < 1_000:
            return "suppressed"
        self.taken[key] = now
        return "ready"


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, batched=st.booleans())
async def test_any_order_of_events_is_as_the_model_says(ledger, clock, steps, batched):
    model, rule = Model(), f"rule-{clock.now}"
    clock.now += 10 * REMEMBER  # nothing of the examples before
    entries, said = [], []
    for key, value, by, later in steps:
        clock.now += 0 if batched else later
        said.append(model.see(key, value, by, clock.now))
        plan = changed(value, key) | newest(by, key) | once(key, 1_000)
        one = make_entry(rules=(rule,), dispatch={"plan": plan})
        if batched:
            entries.append(one)
        else:
            entries += await accept(ledger, one)
    if batched and entries:
        entries = await accept(ledger, *entries)
    assert [outcome(each)[0] for each in entries] == said


async def test_what_the_keys_changed_is_what_is_claimed_and_reported(ledger):
    """A receipt has what was stored; the entry that came keeps what the rules said."""
    came = entry(once())
    await ledger.accept([came])
    [receipt] = await ledger.accept([replace(entry(once()), skips=())])
    assert receipt.dispatches == ((receipt.entry.dispatches[0].id, "urgent"),)
    assert receipt.entry.results[0].data["by"] == {"dispatchId": came.dispatches[0].id}
