"""What every ledger promises of jobs: each event is done once, whatever dies, and what is noted is what was done."""

import asyncio
from dataclasses import replace

import pytest

from relay.errors import Conflict, NotFound
from relay.ledger.queries import jobs
from relay.model import Failure, JobState, Labels, ReplayAim, State, Verdict, cut_label, new_id
from tests.ledger.build import created, made_at, make_dispatch, make_entry, move

SINCE = 1_700_000_000_000
AIM = ReplayAim(SINCE, SINCE + 1_000)


async def accept(ledger, number, **rest):
    """An event that matched no rule, accepted `number` ms after the start of the span."""
    entry = made_at(SINCE + number, make_entry(rules=(), **rest))
    await ledger.accept([entry])
    return entry


async def start(ledger, aim=AIM, kind="replay"):
    return await ledger.start_job(new_id(), kind, aim, "kim")


def today(entry, *rules, **rest):
    """What the rules of today make of the event."""
    return replace(entry, dispatches=tuple(make_dispatch(entry.event, rule, **rest) for rule in rules))


async def rules_of(ledger, entry):
    return [dispatch.rule for dispatch in (await ledger.event(entry.event.id)).dispatches]


async def test_a_job_counts_its_events_and_takes_them_oldest_first(ledger):
    entries = [await accept(ledger, number) for number in (5, 0, 999)]
    for outside in (-1, 1_000):
        await accept(ledger, outside)
    job = await start(ledger)
    assert (job.total, job.state, job.actor, job.done) == (3, JobState.RUNNING, "kim", 0)
    taken = []
    while (event_id := await ledger.next_event(job)) is not None:
        taken.append(event_id)
        assert await ledger.advance(job, event_id, today(entries[0])) == []
        [job] = await ledger.running_jobs()
    assert taken == sorted(entry.event.id for entry in entries)
    assert (job.done, job.skipped, job.made) == (3, 3, 0)


async def test_only_events_of_the_source_and_with_the_label_are_taken(ledger):
    value = "Acme " * 60
    await accept(ledger, 1)
    shop = await accept(ledger, 2, source="shop")
    job = await start(ledger, replace(AIM, source="shop"))
    assert (job.total, await ledger.next_event(job)) == (1, shop.event.id)
    await ledger.end_job(job.id, JobState.DONE)
    marked = made_at(SINCE + 3, make_entry(dispatch={"labels": Labels({"customer": cut_label(value)}, {})}))
    await ledger.accept([marked])
    job = await start(ledger, replace(AIM, label=("customer", value)))
    assert (job.total, await ledger.next_event(job)) == (1, marked.event.id)
    assert (await start(ledger, replace(AIM, source="shop", label=("customer", value)))).total == 0


async def test_an_event_is_done_once_though_two_replicas_do_it(ledger, other):
    entry = await accept(ledger, 1)
    job = await start(ledger)
    steps = [each.advance(job, entry.event.id, today(entry, "urgent")) for each in (ledger, other)]
    done = [made for made in await asyncio.gather(*steps) if made is not None]
    assert [[dispatch.rule for dispatch in made] for made in done] == [["urgent"]]
    assert await rules_of(ledger, entry) == ["urgent"]
    [job] = await ledger.running_jobs()
    assert (job.done, job.made, dict(job.rules)) == (1, 1, {"urgent": 1})


async def test_rules_that_made_a_chat_are_left_out_and_those_that_failed_are_not(ledger):
    entry = made_at(SINCE, make_entry(rules=("done", "failed")))
    await ledger.accept([entry])
    by_rule = {claim.dispatch.rule: claim for claim in await ledger.claim(10)}
    await ledger.record(created(by_rule["done"]))
    no = Failure("agentNotFound", "no such agent", 404)
    await ledger.record(move(by_rule["failed"], State.FAILED, verdict=Verdict.PERMANENT, failure=no))
    job = await start(ledger)
    await ledger.advance(job, entry.event.id, today(entry, "done", "failed", "new"))
    assert sorted(await rules_of(ledger, entry)) == ["done", "failed", "failed", "new"]
    assert (await ledger.job(job.id)).rules == {"failed": 1, "new": 1}


async def test_what_a_person_cancelled_stays_cancelled(ledger):
    entry = made_at(SINCE, make_entry(rules=("urgent",)))
    await ledger.accept([entry])
    await ledger.cancel(entry.dispatches[0].id)
    job = await start(ledger)
    await ledger.advance(job, entry.event.id, today(entry, "urgent"))
    assert await rules_of(ledger, entry) == ["urgent"]
    assert (await ledger.job(job.id)).skipped == 1


async def test_a_dry_run_counts_and_makes_nothing(ledger):
    entry = await accept(ledger, 1)
    job = await start(ledger, replace(AIM, dry=True))
    assert await ledger.advance(job, entry.event.id, today(entry, "urgent", "big")) == ()
    job = await ledger.job(job.id)
    assert (job.made, job.rules, job.aim.dry) == (2, {"urgent": 1, "big": 1}, True)
    assert await rules_of(ledger, entry) == []


async def test_what_could_not_be_made_is_counted_with_the_last_reason(ledger):
    entries = [await accept(ledger, number) for number in range(3)]
    job = await start(ledger)
    gone = Failure("render", "rule urgent: chat.name: data.gone is missing")
    failing = today(entries[0], "urgent", state=State.FAILED, failure=gone)
    await ledger.advance(job, entries[0].event.id, failing)
    [job] = await ledger.running_jobs()
    assert (job.failed, job.fault_event, job.fault) == (1, entries[0].event.id, gone.message)
    await ledger.advance(job, entries[1].event.id, None, "it could not be read")
    [job] = await ledger.running_jobs()
    await ledger.advance(job, entries[2].event.id, None)
    [job] = await ledger.running_jobs()
    assert (job.done, job.failed, job.skipped) == (3, 2, 1)
    assert (job.fault_event, job.fault) == (entries[1].event.id, "it could not be read")


async def test_a_cancelled_job_does_nothing_more(ledger):
    entry = await accept(ledger, 1)
    job = await start(ledger)
    ended = await ledger.end_job(job.id, JobState.CANCELLED)
    assert (ended.state, ended.ended_at is not None) == (JobState.CANCELLED, True)
    assert await ledger.advance(job, entry.event.id, today(entry, "urgent")) is None
    assert await rules_of(ledger, entry) == []
    assert await ledger.running_jobs() == []
    with pytest.raises(Conflict, match="has ended as cancelled"):
        await ledger.end_job(job.id, JobState.DONE)


async def test_jobs_are_listed_newest_first_in_pages(ledger):
    made = [await start(ledger) for _ in range(3)]
    first = await ledger.jobs(None, 2)
    assert [job.id for job in first.jobs] == [made[2].id, made[1].id]
    last = await ledger.jobs(first.cursor, 2)
    assert ([job.id for job in last.jobs], last.cursor) == ([made[0].id], None)
    assert await ledger.whole_id(made[0].id[-8:], "job") == made[0].id
    with pytest.raises(NotFound, match="there is no job"):
        await ledger.job("gone")


async def test_jobs_wait_for_what_is_due_for_a_pause_and_for_room(ledger, monkeypatch):
    monkeypatch.setattr(jobs, "MANY", 2)
    assert not await ledger.is_busy()
    await ledger.accept([make_entry()])
    assert not await ledger.is_busy()
    await ledger.accept([make_entry()])
    assert await ledger.is_busy()
    await ledger.claim(10)
    assert not await ledger.is_busy()
    ledger.terms = replace(ledger.terms, high_water=4)
    assert await ledger.is_busy()
    ledger.terms = replace(ledger.terms, high_water=100)
    await ledger.pause("circuit")
    assert await ledger.is_busy()
    await ledger.resume("circuit")
    assert not await ledger.is_busy()


async def test_ended_jobs_are_pruned_and_running_ones_kept(ledger, clock):
    ended, running = await start(ledger), await start(ledger)
    await ledger.end_job(ended.id, JobState.DONE)
    clock.now += ledger.terms.retain + 1
    await ledger.prune()
    assert [job.id for job in (await ledger.jobs(None, 10)).jobs] == [running.id]
