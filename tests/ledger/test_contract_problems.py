"""What every ledger promises of problems: grouped, counted, resolved by their rules, and told once each."""

import asyncio
from dataclasses import replace

import pytest

from relay.errors import Conflict, NotFound
from relay.ledger import SqlLedger, Terms
from relay.ledger.queries.draft import LAPSE
from relay.ledger.queries.looks import CALM, SOON
from relay.ledger.queries.problems import APART
from relay.model import (
    Failure,
    Move,
    ParkReason,
    ProblemKey,
    ProblemKind,
    ProblemQuery,
    ProblemState,
    Settled,
    Sighting,
    Sightings,
    State,
    Verdict,
    Watched,
)
from tests.ledger.build import make_entry, move

REFUSED = ProblemKey(ProblemKind.REJECTIONS, source="helpdesk", code="signature_wrong")
FAILED = ProblemKey(ProblemKind.FAILURES, rule="urgent", code="render", detail="data.ticket.id")
NOTHING = Sightings()
WATCHED = Watched({}, 300_000, running=0)
MINUTE, HOUR = 60_000, 3_600_000


async def see(ledger, key=REFUSED, watched=WATCHED, **rest):
    return await ledger.watch(Sightings((Sighting(key, **rest),)), watched)


async def turn(ledger, watched=WATCHED, **rest):
    return await ledger.watch(Sightings(**rest), watched)


async def listed(ledger, **query):
    return list((await ledger.problems(ProblemQuery(**query))).problems)


async def begin(ledger):
    """Begin a cause that lasts."""
    await ledger.pause("circuit")
    return await turn(ledger)


async def end(ledger):
    await ledger.resume("circuit")
    return await turn(ledger, made=("urgent",))


async def told(ledger):
    """The ids of the messages in the stream, without the id of their problem, and the problem's kind."""
    return [
        (result.id.rpartition(".")[2], result.data["kind"])
        for _, result in await ledger.follow(0, 1_000)
        if result.type.startswith("relay.problem.")
    ]


async def test_causes_of_one_problem_are_counted_together_on_all_replicas(ledger, other, clock):
    first = await see(ledger, count=3, first_ago=500, last_ago=200)
    assert [(change.problem.key, change.resolved) for change in first.changes] == [(REFUSED, False)]
    clock.now += 1_000
    assert (await see(other, count=2, first_ago=10, event_id="e-1", dispatch_id="d-1")).changes == ()
    await see(other, FAILED)
    [failed, refused] = await listed(ledger)
    assert failed.key == FAILED
    assert (refused.count, refused.state) == (5, ProblemState.OPEN)
    assert (refused.first_at, refused.last_at) == (clock.now - 1_500, clock.now)
    assert (refused.event_id, refused.dispatch_id) == ("e-1", "d-1")
    await see(ledger, count=1)
    assert (await listed(ledger))[1].event_id == "e-1"


async def test_a_problem_is_told_at_once_with_what_the_api_gives(ledger, clock):
    await see(ledger, count=2)
    [(_, result)] = await ledger.follow(0, 10)
    [problem] = await listed(ledger)
    assert result.data == problem.document()
    assert (result.id, result.routing_key) == (f"{problem.id}.opened", "problem.opened.rejections")
    [due] = await ledger.due(10)
    assert (due.result.id, due.destination) == (result.id, "")


async def test_a_problem_that_is_over_soon_is_told_when_the_messages_are_far_enough_apart(ledger, clock):
    await begin(ledger)
    clock.now += MINUTE
    assert [change.resolved for change in (await end(ledger)).changes] == [True]
    clock.now += APART - MINUTE - 1
    assert (await turn(ledger)).told == 0
    clock.now += 1
    assert (await turn(ledger)).told == 1
    assert await told(ledger) == [("opened", "cargo"), ("resolved", "cargo")]
    clock.now += 10 * APART
    assert (await turn(ledger)).told == 0


async def test_what_is_open_again_meanwhile_is_the_same_problem_and_not_told_anew(ledger, clock):
    await begin(ledger)
    await end(ledger)
    clock.now += MINUTE
    again = await begin(ledger)
    assert [change.resolved for change in again.changes] == [False]
    clock.now += APART
    await turn(ledger)
    [problem] = await listed(ledger)
    assert (problem.count, problem.state) == (2, ProblemState.OPEN)
    assert await told(ledger) == [("opened", "cargo")]
    await end(ledger)
    assert await told(ledger) == [("opened", "cargo"), ("resolved", "cargo")]


async def test_what_opens_soon_after_it_was_told_to_be_over_is_a_new_problem_told_later(ledger, clock):
    await begin(ledger)
    clock.now += APART
    await end(ledger)
    clock.now += MINUTE
    await begin(ledger)
    assert len(await listed(ledger)) == 2
    assert len(await told(ledger)) == 2
    await end(ledger)
    clock.now += APART
    await turn(ledger)
    assert len(await told(ledger)) == 2  # it was over before it could be told
    await begin(ledger)
    assert await told(ledger) == [("opened", "cargo"), ("resolved", "cargo"), ("opened", "cargo")]
    assert len(await listed(ledger)) == 2


async def test_a_budget_is_told_at_once_when_it_is_used_up_and_when_its_window_ends(ledger, other, clock):
    """Nobody but the measuring transaction knows that a level is reached, so the replica may die right after it."""
    plan = {"key": None, "credits": [100, "h"], "chats": None, "warn": 0.8, "then": "hold", "zone": "UTC"}
    clock.now -= clock.now % HOUR

    async def measure(used, level):
        assert (await ledger.measure("urgent", plan, used)).raised == level
        await turn(other)

    await measure(79.0, None)
    assert await told(ledger) == []
    await measure(80.0, "warned")
    [problem] = await listed(ledger)
    assert (problem.key, problem.state) == (ProblemKey(ProblemKind.BUDGET, rule="urgent", code="warned"), "open")
    clock.now += 5_000
    await measure(100.0, "spent")
    await measure(120.0, None)
    [problem] = await listed(ledger)
    assert (problem.key.code, problem.count) == ("spent", 2)
    assert await told(ledger) == [("opened", "budget"), ("spent", "budget")]
    stream = [result for _, result in await ledger.follow(0, 10)]
    assert [(each.type, each.routing_key, each.data["code"]) for each in stream] == [
        ("relay.problem.opened", "problem.opened.budget", code) for code in ("warned", "spent")
    ]
    # The next window's budget is used up before anybody noticed that the window before it has ended.
    clock.now += HOUR - 5_000
    assert (await ledger.measure("urgent", plan, 100.0)).raised == "spent"
    assert await told(ledger) == [
        ("opened", "budget"),
        ("spent", "budget"),
        ("resolved", "budget"),
        ("opened", "budget"),
    ]
    assert [(each.key.code, each.state) for each in await listed(ledger)] == [("spent", "open"), ("spent", "resolved")]
    clock.now += HOUR
    assert (await turn(other)).told == 1
    assert [word for word, _ in await told(ledger)][-1] == "resolved"


async def test_what_is_over_when_it_is_written_is_told_in_turn_with_its_times(ledger, clock):
    key = ProblemKey(ProblemKind.LEDGER, code="away")
    changed = await see(ledger, key, first_ago=HOUR, lasts=0)
    assert [change.resolved for change in changed.changes] == [False, True]
    [problem] = await listed(ledger)
    assert (problem.first_at, problem.last_at) == (clock.now - HOUR, clock.now)
    [(_, opened)] = await ledger.follow(0, 10)
    assert (opened.data["state"], opened.data["firstAt"]) == ("open", problem.document()["firstAt"])
    clock.now += APART
    await turn(ledger)
    assert await told(ledger) == [("opened", "ledger"), ("resolved", "ledger")]


@pytest.mark.parametrize(
    ("key", "good", "others"),
    [
        (REFUSED, {"accepted": ("helpdesk",)}, {"accepted": ("shop",), "made": ("urgent",)}),
        (FAILED, {"made": ("urgent",)}, {"made": ("other",), "accepted": ("helpdesk",)}),
    ],
)
async def test_failures_are_over_after_a_success_and_an_hour_without_one(ledger, clock, key, good, others):
    await see(ledger, key)
    clock.now += 1
    await turn(ledger, **others)
    clock.now += HOUR
    assert (await turn(ledger)).changes == ()
    assert (await turn(ledger, **good)).changes[0].resolved
    assert await listed(ledger, state=ProblemState.OPEN) == []


async def test_a_success_before_the_last_failure_does_not_count(ledger, clock):
    await see(ledger)
    clock.now += 1
    await turn(ledger, accepted=("helpdesk",))
    clock.now += 1
    await see(ledger)
    clock.now += HOUR + 1
    assert (await turn(ledger)).changes == ()


async def test_misaddressed_requests_are_over_after_an_hour(ledger, clock):
    await see(ledger, ProblemKey(ProblemKind.REJECTIONS, source="_unknown", code="unknown_source"))
    clock.now += HOUR + 1
    assert (await turn(ledger)).changes[0].resolved


@pytest.mark.parametrize(("key", "known"), [(REFUSED, "sources"), (FAILED, "rules")])
async def test_failures_of_what_was_removed_are_over_after_an_hour(ledger, clock, key, known):
    """Nothing will be accepted or made there; what is configured waits for that."""
    await see(ledger, key)
    clock.now += HOUR
    gone = replace(WATCHED, **{known: {"other"}})
    assert (await turn(ledger, gone)).changes == ()
    clock.now += 1
    assert (await turn(ledger, replace(WATCHED, sources={"helpdesk"}, rules={"urgent"}))).changes == ()
    assert (await turn(ledger, gone)).changes[0].resolved


async def test_a_pause_of_all_sending_is_a_problem_for_as_long_as_it_lasts(ledger, clock):
    await ledger.pause("unauthorized")
    clock.now += 2_000
    [change] = (await turn(ledger)).changes
    assert change.problem.key == ProblemKey(ProblemKind.CARGO, code="unauthorized")
    assert change.problem.first_at == clock.now - 2_000
    clock.now += 2 * MINUTE
    await turn(ledger)
    assert (await listed(ledger))[0].last_at == clock.now
    await ledger.resume("unauthorized")
    assert (await turn(ledger)).changes == (), "whether sending goes on is not known yet"
    assert (await turn(ledger, made=("urgent",))).changes[0].resolved


async def test_an_outage_of_cargo_is_one_problem_however_often_it_is_tried(ledger, other, clock):
    for _ in range(100):
        await ledger.pause("circuit")
        clock.now += 5 * MINUTE
        await turn(ledger, made=("urgent",))  # it was under way
        await turn(other)
        await other.resume("circuit")
        clock.now += 30_000
        await turn(other)
    assert await told(ledger) == [("opened", "cargo")]
    [problem] = await listed(ledger)
    assert (problem.count, problem.state) == (1, ProblemState.OPEN)
    clock.now += CALM
    assert (await turn(other)).changes[0].resolved, "there was nothing to send"


async def test_a_backlog_is_a_problem_until_nothing_waits_so_long(ledger, clock):
    await ledger.accept([make_entry()])
    clock.now += WATCHED.backlog
    assert (await turn(ledger)).changes == ()
    clock.now += 1
    assert (await turn(ledger)).changes[0].problem.key.kind is ProblemKind.BACKLOG
    await ledger.pause("circuit")
    assert [change.problem.key.kind for change in (await turn(ledger)).changes] == [ProblemKind.CARGO]
    await ledger.resume("circuit")
    await ledger.claim(10)
    assert all(change.resolved for change in (await turn(ledger, made=("urgent",))).changes)
    assert await listed(ledger, state=ProblemState.OPEN) == []
    clock.now += 100 * HOUR
    await ledger.sweep()
    assert (await turn(ledger, replace(WATCHED, backlog=None))).changes == ()


async def test_silence_counts_from_the_last_event_and_from_the_start_at_the_earliest(ledger, clock):
    watched = Watched({"helpdesk": HOUR}, None, running=HOUR)
    assert (await turn(ledger, watched)).changes == ()
    watched = replace(watched, running=HOUR + 1)
    [change] = (await turn(ledger, watched)).changes
    assert (change.problem.key.source, change.problem.first_at) == ("helpdesk", clock.now - HOUR - 1)
    entry = make_entry()
    await ledger.accept([replace(entry, event=replace(entry.event, received_at=clock.now))])
    assert (await turn(ledger, watched)).changes[0].resolved
    clock.now += HOUR + 1
    assert (await turn(ledger, replace(watched, running=MINUTE))).changes == ()
    assert not (await turn(ledger, replace(watched, running=2 * HOUR))).changes[0].resolved
    assert (await turn(ledger, replace(watched, expect={}))).changes == (), "another replica may expect it still"
    clock.now += LAPSE
    assert (await turn(ledger, replace(watched, expect={}))).changes[0].resolved


async def test_a_paused_source_is_not_silent(ledger, clock):
    await ledger.pause_source("helpdesk", paused=True)
    assert (await turn(ledger, Watched({"helpdesk": HOUR}, None, running=2 * HOUR))).changes == ()


async def park(ledger, rule="urgent"):
    await ledger.accept([make_entry(rules=(rule,))])
    [claim] = await ledger.claim(1)
    failure = Failure("timeout", "no answer")
    parked = move(claim, State.CHECKING, verdict=Verdict.UNKNOWN, due_in=0, failure=failure)
    await ledger.record(parked)
    gone = Move(claim.dispatch.id, 1, State.CHECKING, State.PARKED, claim.fence, park=ParkReason.UNKNOWN)
    await ledger.record(replace(gone, failure=failure))
    return claim.dispatch


async def test_parked_dispatches_are_a_problem_until_none_is_parked(ledger, clock):
    dispatch = await park(ledger)
    key = ProblemKey(ProblemKind.PARKED, rule="urgent", code="unknown")
    await see(ledger, key, event_id=dispatch.event_id, dispatch_id=dispatch.id)
    look = replace(WATCHED, untold=True)
    assert (await turn(ledger, look)).changes == ()
    await ledger.cancel(dispatch.id)
    assert (await turn(ledger)).changes == ()
    assert (await turn(ledger, look)).changes[0].resolved


async def test_what_a_replica_parked_before_it_died_is_found(ledger, clock):
    first, second = await park(ledger), await park(ledger)
    look = replace(WATCHED, untold=True)
    assert (await turn(ledger, look)).changes == ()
    clock.now += SOON
    [change] = (await turn(ledger, look)).changes
    assert (change.problem.count, change.problem.dispatch_id) == (2, max(first.id, second.id))
    assert change.problem.key == ProblemKey(ProblemKind.PARKED, rule="urgent", code="unknown")
    await ledger.resolve_problem(change.problem.id, "kim")
    assert (await turn(ledger, look)).changes == ()


async def test_a_person_acknowledges_and_resolves(ledger, clock):
    await see(ledger)
    [problem] = await listed(ledger)
    assert await ledger.problem(problem.id) == problem
    seen = await ledger.acknowledge_problem(problem.id, "kim")
    assert (seen.state, seen.acknowledged_by) == (ProblemState.ACKNOWLEDGED, "kim")
    await see(ledger)
    assert [each.state for each in await listed(ledger)] == [ProblemState.ACKNOWLEDGED]
    clock.now += APART
    over = await ledger.resolve_problem(problem.id, "kim")
    assert over.state is ProblemState.RESOLVED
    await turn(ledger)
    assert await told(ledger) == [("opened", "rejections"), ("resolved", "rejections")]
    for act in (ledger.resolve_problem(problem.id, "kim"), ledger.acknowledge_problem(problem.id, "kim")):
        with pytest.raises(Conflict, match="is resolved"):
            await act
    for act in (ledger.resolve_problem("none", "kim"), ledger.problem("none")):
        with pytest.raises(NotFound):
            await act


async def test_what_lasts_is_not_resolved_by_hand(ledger, clock):
    await ledger.pause("unauthorized")
    await turn(ledger)
    [problem] = await listed(ledger)
    with pytest.raises(Conflict, match="acknowledge it"):
        await ledger.resolve_problem(problem.id, "kim")


async def test_problems_are_listed_in_pages_by_filters(ledger, clock):
    keys = [replace(REFUSED, code=f"reason-{number}") for number in range(3)]
    for key in keys:
        clock.now += 1
        await see(ledger, key)
    await see(ledger, FAILED)
    page = await ledger.problems(ProblemQuery(kind=ProblemKind.REJECTIONS, limit=2))
    assert [problem.key for problem in page.problems] == [keys[2], keys[1]]
    rest = await ledger.problems(ProblemQuery(kind=ProblemKind.REJECTIONS, limit=2, cursor=page.cursor))
    assert ([problem.key for problem in rest.problems], rest.cursor) == ([keys[0]], None)
    assert [problem.key for problem in await listed(ledger, rule="urgent")] == [FAILED]
    assert len(await listed(ledger, source="helpdesk", state=ProblemState.OPEN)) == 3
    assert await listed(ledger, state=ProblemState.RESOLVED) == []


async def test_two_replicas_open_tell_and_resolve_each_problem_once(replicas, clock):
    for number in range(5):
        key = replace(REFUSED, code=f"reason-{number}")
        turns = await asyncio.gather(*(see(ledger, key) for ledger in replicas for _ in range(4)))
        assert sum(len(each.changes) for each in turns) == 1
    await replicas[0].pause("circuit")
    turns = await asyncio.gather(*(turn(ledger) for ledger in replicas for _ in range(4)))
    assert sum(len(each.changes) for each in turns) == 1
    await replicas[0].resume("circuit")
    turns = await asyncio.gather(*(turn(ledger, made=("urgent",)) for ledger in replicas for _ in range(4)))
    assert sum(len(each.changes) for each in turns) == 1
    clock.now += APART
    await asyncio.gather(*(turn(ledger) for ledger in replicas for _ in range(4)))
    messages = await told(replicas[1])
    assert sorted(messages) == [("opened", "cargo"), *[("opened", "rejections")] * 5, ("resolved", "cargo")]
    assert [problem.count for problem in await listed(replicas[0], kind=ProblemKind.REJECTIONS)] == [8] * 5


async def test_every_receiver_gets_an_alert_until_it_took_it(store, clock):
    ledger = SqlLedger(store, Terms(owner="one", receivers=("b", "a")))
    await see(ledger)
    alerts = await ledger.due_alerts(10)
    assert [(alert.receiver, alert.tries, alert.age) for alert in alerts] == [("a", 0, 0), ("b", 0, 0)]
    assert {alert.id for alert in alerts} == {f"{(await listed(ledger))[0].id}.opened"}
    assert '"type":"relay.problem.opened"' in alerts[0].body
    assert await ledger.due_alerts(10) == []
    await ledger.settle_alert(alerts[0], None)
    await ledger.settle_alert(alerts[1], 5_000)
    clock.now += 5_000
    [alert] = await ledger.due_alerts(10)
    assert (alert.receiver, alert.tries, alert.age) == ("b", 1, 5_000)
    clock.now += MINUTE  # its replica died
    assert len(await ledger.due_alerts(10)) == 1


async def test_a_turn_that_changes_nothing_writes_nothing(ledger, clock, loud):
    await ledger.pause("circuit")
    await turn(ledger)
    await ledger.due(10)
    loud.clear()
    for _ in range(3):
        clock.now += 1_000
        await turn(ledger, replace(WATCHED, expect={"helpdesk": HOUR}, untold=True))
    words = {record.getMessage().split()[0] for record in loud.records}
    assert not words & {"INSERT", "UPDATE", "DELETE"}


async def test_problems_are_pruned_some_time_after_they_were_resolved(ledger, clock):
    key = ProblemKey(ProblemKind.BUDGET, rule="urgent")
    await see(ledger, key, lasts=0)
    await see(ledger)
    clock.now += ledger.terms.retain + 1
    assert await ledger.prune() == 0  # its messages are not published
    for due in await ledger.due(10):
        await ledger.settle(settled(due))
    await turn(ledger)
    for due in await ledger.due(10):
        await ledger.settle(settled(due))
    assert await ledger.prune() == 1
    assert [problem.key for problem in await listed(ledger)] == [REFUSED]
    assert [kind for _, kind in await told(ledger)] == ["rejections"]


def settled(due):
    return Settled(due.result.id, due.destination, confirmed=True)
