"""Replicas that see different things, and that die: no problem opens and closes by turns, and none is lost."""

from dataclasses import replace

from relay.ledger.queries.draft import LAPSE
from relay.ledger.queries.looks import SOON
from relay.model import Failure, ProblemKey, ProblemKind, State, Verdict, Watched
from relay.telemetry import DETAIL
from tests.ledger.build import make_entry, move
from tests.ledger.test_contract_problems import FAILED, HOUR, MINUTE, WATCHED, listed, see, told, turn

RELOAD = ProblemKey(ProblemKind.RELOAD, detail="relay.yaml:3:5: no")
LASTS = 15_000


async def test_what_a_replica_tells_late_ends_nothing_that_another_one_has_seen_since(ledger, other, clock):
    await see(ledger, RELOAD, lasts=LASTS)
    clock.now += LASTS - 1
    await see(other, RELOAD, count=0, lasts=LASTS)
    late = await see(ledger, RELOAD, count=0, first_ago=LASTS, last_ago=LASTS, lasts=LASTS)
    assert late.changes == ()
    clock.now += LASTS - 1
    assert (await turn(ledger)).changes == ()
    clock.now += 1
    assert (await turn(ledger)).changes[0].resolved


async def test_a_replica_that_expects_less_ends_no_silence_and_an_event_ends_it_for_all(ledger, other, clock):
    """As in a rollout, or where one has refused a reload: else it would open and close every second."""
    strict, mild, none = (Watched(expect, None, 2 * HOUR) for expect in ({"crm": MINUTE}, {"crm": 3 * HOUR}, {}))
    await turn(ledger, strict)
    for _ in range(100):
        clock.now += 1_000
        changes = [change for watched in (strict, mild, none) for change in (await turn(other, watched)).changes]
        assert changes == []
    entry = make_entry(source="crm")
    await ledger.accept([replace(entry, event=replace(entry.event, received_at=clock.now))])
    assert (await turn(other, none)).changes[0].resolved


async def test_a_silence_goes_on_over_a_restart_and_a_pause_of_its_source(ledger, clock):
    watched = Watched({"crm": MINUTE}, None, running=HOUR)
    await turn(ledger, watched)
    await ledger.pause_source("crm", paused=True)
    for running in (*range(0, 2 * LAPSE, 1_000), *range(0, 2 * LAPSE, 1_000)):
        clock.now += 1_000
        assert (await turn(ledger, replace(watched, running=running))).changes == ()
    await ledger.pause_source("crm", paused=False)
    assert (await turn(ledger, replace(watched, running=0))).changes == ()


async def test_a_replica_that_bears_more_ends_no_backlog(ledger, other, clock):
    strict, mild, none = (Watched({}, most, running=0) for most in (MINUTE, HOUR, None))
    await ledger.accept([make_entry()])
    clock.now += MINUTE + 1
    await turn(ledger, strict)
    for _ in range(100):
        clock.now += 1_000
        changes = [change for watched in (strict, mild, none) for change in (await turn(other, watched)).changes]
        assert changes == []
    await ledger.pause("circuit")
    for _ in range(100):
        clock.now += 1_000
        await turn(ledger, strict)
    await ledger.resume("circuit")
    assert (await turn(other, mild)).changes == ()
    clock.now += LAPSE
    assert (await turn(other, mild)).changes[0].resolved, "no replica finds it too long any more"


async def fail(ledger, failure, rule="urgent"):
    await ledger.accept([make_entry(rules=(rule,))])
    [claim] = await ledger.claim(1)
    await ledger.record(move(claim, State.FAILED, verdict=Verdict.PERMANENT, failure=failure))
    return claim.dispatch


async def test_what_failed_at_a_replica_before_it_died_is_found(ledger, other, clock):
    missing = Failure("render", "rule urgent: chat.name: data.ticket.id is missing")
    first, second = await fail(ledger, missing), await fail(ledger, missing)
    await fail(ledger, Failure("agentNotFound", "there is no agent", status=404))
    look = replace(WATCHED, untold=True)
    assert (await turn(other, look)).changes == (), "it may live, and tell it itself"
    clock.now += SOON
    found = {change.problem.key: change.problem for change in (await turn(other, look)).changes}
    assert set(found) == {FAILED, ProblemKey(ProblemKind.FAILURES, rule="urgent", code="agentNotFound")}
    assert (found[FAILED].count, found[FAILED].dispatch_id) == (2, max(first.id, second.id))
    await ledger.resolve_problem(found[FAILED].id, "kim")
    assert (await turn(other, look)).changes == ()


async def test_a_loop_is_a_problem_by_the_commit_that_parks_its_first_dispatch(ledger, other, clock):
    """Its replica may die right after it, and the key is kept nowhere else."""
    plan = {"loop": {"key": "k" * 300, "trips": [1, MINUTE]}}
    for _ in range(3):
        await ledger.accept([make_entry(dispatch={"plan": plan})])
        await ledger.claim(1)
    counted = [withheld.counted for withheld in await ledger.withheld()]
    assert counted == [True, False], "of the later ones the replica tells"
    [problem] = await listed(other)
    assert problem.key == ProblemKey(ProblemKind.LOOP, rule="urgent", detail="k" * DETAIL)
    assert await told(other) == [("opened", "loop")]
    clock.now += MINUTE
    assert (await turn(other)).changes[0].resolved
