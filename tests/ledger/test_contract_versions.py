"""The versions of rules: each is stored once, for as long as it is in force or a dispatch names it."""

from dataclasses import replace

import pytest
from sqlalchemy import select

from relay.intake import Intake, retry
from relay.ledger.schema import rule_versions
from relay.life import Signals
from relay.model import ParkReason, RuleVersion, Settled, State, Verdict, new_id, set_hash
from relay.rules import RuleSpec, compile_rules, make_version, rule_text
from relay.telemetry import Metrics
from tests.ledger.build import created, made_at, make_entry, make_event, move

HOUR, DAY = 3_600_000, 86_400_000
FIRST, SECOND = RuleVersion("a" * 16, "urgent", '{"name":"urgent"}'), RuleVersion("b" * 16, "urgent", '{"stop":true}')


def stored(conn, _now):
    return dict(conn.execute(select(rule_versions.c.hash, rule_versions.c.seen_at)).all())


async def keep(ledger, version):
    await ledger.keep_versions([version])
    entry = make_entry(dispatch={"rule_version": version.hash})
    await ledger.accept([entry])
    return entry


async def test_an_event_is_shown_with_the_version_that_decided_it_and_not_with_the_one_in_force(ledger):
    entry = await keep(ledger, FIRST)
    await ledger.keep_versions([SECOND])
    detail = await ledger.event(entry.event.id)
    assert detail.dispatches[0].rule_version == FIRST.hash
    assert detail.versions == {FIRST.hash: FIRST}


async def test_a_dispatch_without_a_version_is_shown_without_one(ledger):
    entry = make_entry()
    await ledger.accept([entry])
    detail = await ledger.event(entry.event.id)
    assert (detail.dispatches[0].rule_version, detail.versions) == (None, {})


async def test_dispatches_that_may_be_made_of_several_events(ledger):
    texts = [
        '{"name":"urgent","source":"crm","debounce":{"key":"1","wait":"1s","keep":"all"}}',
        '{"name":"urgent","source":["crm","shop-*"],"debounce":{"key":"1","wait":"1s","keep":"all"}}',
        '{"name":"urgent","debounce":{"key":"1","wait":"1s","keep":"all"}}',
        '{"name":"urgent","debounce":{"key":"1","wait":"1s"}}',
        '{"name":"urgent"}',
    ]
    entries = [await keep(ledger, RuleVersion(f"{n}" * 16, "urgent", text)) for n, text in enumerate(texts)]
    plain, gone = make_entry(), make_entry(dispatch={"rule_version": "c" * 16})
    await ledger.accept([plain, gone])
    ids = [entry.dispatches[0].id for entry in (*entries, plain, gone)]
    found = await ledger.gathering([*ids, "d-none"])
    assert {ids.index(each): tuple(sources) for each, sources in found.items()} == {
        0: ("crm",),
        1: ("crm", "shop-*"),
        2: ("*",),
        6: ("*",),
    }
    assert await ledger.gathering([]) == {}


@pytest.mark.parametrize("rules", [[], [FIRST], [FIRST, SECOND, FIRST]])
async def test_a_version_is_stored_once(ledger, store, clock, rules):
    await ledger.keep_versions(rules)
    await ledger.keep_versions(rules)
    assert await store.read(stored) == {version.hash: clock.now for version in rules}


async def test_that_a_version_is_in_force_is_noted_once_an_hour(ledger, store, clock):
    start = clock.now
    await ledger.keep_versions([FIRST, SECOND])
    clock.now += HOUR
    await ledger.keep_versions([FIRST])
    assert await store.read(stored) == {FIRST.hash: start, SECOND.hash: start}
    clock.now += 1
    await ledger.keep_versions([FIRST, SECOND])
    assert await store.read(stored) == dict.fromkeys((FIRST.hash, SECOND.hash), clock.now)


async def test_a_version_out_of_force_goes_with_the_last_event_that_it_may_have_decided(ledger, store, clock):
    await ledger.keep_versions([FIRST, SECOND])
    start, longest = clock.now, ledger.terms.retain
    clock.now = start + longest + DAY
    await ledger.prune()
    assert set(await store.read(stored)) == {FIRST.hash, SECOND.hash}
    await ledger.keep_versions([SECOND])
    clock.now += 1
    await ledger.prune()
    assert set(await store.read(stored)) == {SECOND.hash}


async def test_a_version_that_a_parked_dispatch_names_stays_for_as_long_as_that(ledger, store, clock):
    entry = await keep(ledger, FIRST)
    [claim] = await ledger.claim(1)
    await ledger.record(move(claim, State.PARKED, verdict=Verdict.UNKNOWN, park=ParkReason.UNKNOWN))
    await ledger.keep_versions([SECOND])
    clock.now += 2 * (ledger.terms.retain + DAY)
    await ledger.prune()
    assert set(await store.read(stored)) == {FIRST.hash}
    assert (await ledger.event(entry.event.id)).versions == {FIRST.hash: FIRST}


async def test_a_version_whose_dispatches_are_pruned_goes(ledger, store, clock):
    await keep(ledger, FIRST)
    [claim] = await ledger.claim(1)
    await ledger.record(created(claim))
    await ledger.settle(Settled(f"{claim.dispatch.id}.1", "", confirmed=True))
    clock.now += 2 * (ledger.terms.retain + DAY)
    await ledger.prune()
    assert await store.read(stored) == {}


async def test_a_retry_with_the_rule_as_it_is_names_the_version_in_force(ledger, clock):
    event = make_event(body={"id": 7})
    former, present = _rules("Deal {{ data.missing }}"), _rules("Deal {{ data.id }}")
    for rules in (former, present):
        await ledger.keep_versions(rules.versions)
    quiet = {"metrics": Metrics(), "signals": Signals(), "boottime": clock}
    intake = Intake(ledger, former, high_water=100, ids=new_id, clock=clock, **quiet)
    [receipt] = await intake.accept([event])
    [(dispatch_id, _)] = receipt.dispatches
    before = await ledger.event(event.id)
    assert before.dispatches[0].rule_version == former.version("deal")
    await retry(ledger, present, dispatch_id, render=True)
    after = await ledger.event(event.id)
    assert after.dispatches[0].rule_version == present.version("deal")
    assert list(after.versions) == [present.version("deal")]


async def test_an_event_names_all_rules_that_decided_it_in_their_order(ledger):
    other = RuleVersion("0" * 16, "other", '{"name":"other"}')
    decided, present = [FIRST, other], [other, SECOND]
    for versions in (decided, present):
        await ledger.keep_versions(versions)
    entry = replace(make_entry(rules=()), rule_set=set_hash(decided))
    await ledger.accept([entry])
    assert await ledger.rules_then(entry.event.id) == tuple(decided)
    assert await ledger.rules_then("gone") == ()
    again = replace(entry, rule_set=set_hash(present))
    await ledger.extend(entry.event.id, again, again=False)
    assert await ledger.rules_then(entry.event.id) == tuple(present)


async def test_what_decided_an_event_is_kept_for_as_long_as_events(ledger, clock):
    await ledger.keep_versions([FIRST])
    clock.now += ledger.terms.retain + DAY
    entry = replace(made_at(clock.now, make_entry(rules=())), rule_set=set_hash([FIRST]))
    await ledger.accept([entry])
    await ledger.prune()
    assert await ledger.rules_then(entry.event.id) == (FIRST,)
    clock.now += 1
    await ledger.prune()
    assert await ledger.rules_then(entry.event.id) == ()


async def test_an_event_that_comes_in_names_the_rules_in_force(ledger, clock):
    rules, event = _rules("Deal {{ data.id }}"), make_event(body={"id": 7})
    await ledger.keep_versions(rules.versions)
    quiet = {"metrics": Metrics(), "signals": Signals(), "boottime": clock}
    await Intake(ledger, rules, high_water=100, ids=new_id, clock=clock, **quiet).accept([event])
    assert await ledger.rules_then(event.id) == rules.versions


def _rules(name):
    chat = {"name": name, "trigger": {"type": "draft"}}
    return compile_rules(
        [RuleSpec("deal", chat=chat)], {}, [make_version("deal", rule_text({"name": "deal", "chat": chat}), {})]
    )
