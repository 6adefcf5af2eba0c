"""What every ledger promises of windows, in which rules gather events (`debounce`)."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from relay.ledger.schema import windows
from relay.model import Chat, EventStatus, Failure, HeldBy, State, Verdict, WindowChat
from tests.ledger.build import created, make_entry, move

WAIT, LONGEST = 60_000, 600_000
KEEPS = ("last", "first", "all")


def burst(key="contact-1", *, keep="last", size=100, **plan):
    window = {"key": key, "wait": WAIT, "max": LONGEST, "keep": keep, "size": size}
    entry = make_entry(dispatch={"plan": {"debounce": window, **plan}})
    if keep != "all":
        return entry
    return replace(entry, dispatches=(replace(entry.dispatches[0], body=None),))


def ids(*entries):
    return [entry.dispatches[0].id for entry in entries]


async def view_of(ledger, entry):
    [view] = (await ledger.event(entry.event.id)).dispatches
    return view


async def states(ledger, *entries):
    return [str((await view_of(ledger, entry)).state) for entry in entries]


async def close(ledger, rendered=None):
    return await ledger.close_windows(rendered or {})


async def render(ledger):
    """Close what is due, with a body for each window that gathers all of its events."""
    found = {
        each.window: WindowChat(
            each.count, replace(each.members[-1][0], body=f'{{"events":{len(each.members)}}}') if each.members else None
        )
        for each in await ledger.gathered()
    }
    return await close(ledger, found)


async def window_count(ledger):
    return await ledger.read(lambda conn, _: conn.execute(select(func.count()).select_from(windows)).scalar())


async def test_the_newest_event_of_a_burst_makes_the_chat_once_the_key_was_quiet(ledger, clock):
    entries = []
    for _ in range(3):
        entries.append(burst())
        await ledger.accept([entries[-1]])
        clock.now += WAIT - 1
        assert await close(ledger) == await close(ledger)
    assert await ledger.claim(10) == []
    view = await view_of(ledger, entries[0])
    assert (view.held.by, view.held.key, view.held.until, view.held.cause) == (
        HeldBy.DEBOUNCE,
        "contact-1",
        clock.now + 1,
        None,
    )
    assert await ledger.next_close() == 1
    clock.now += 1
    closed = await close(ledger)
    assert [dispatch.id for dispatch in closed.going] == ids(entries[2])
    assert [dispatch.id for dispatch in closed.superseded] == ids(*entries[:2])
    assert [claim.dispatch.id for claim in await ledger.claim(10)] == ids(entries[2])
    assert await states(ledger, *entries) == ["superseded", "superseded", "sending"]
    told = [due.result for due in await ledger.due(10)]
    assert {result.data["error"]["code"] for result in told} == {"superseded"}
    assert {result.data["by"]["dispatchId"] for result in told} == set(ids(entries[2]))
    assert await window_count(ledger) == 0
    assert await ledger.next_close() is None


async def test_a_key_that_is_never_quiet_waits_no_longer_than_max(ledger, clock):
    began, entries = clock.now, []
    while clock.now < began + LONGEST:
        entries.append(burst())
        await ledger.accept([entries[-1]])
        clock.now += WAIT // 2
    closed = await close(ledger)
    assert [dispatch.id for dispatch in closed.going] == ids(entries[-1])
    assert len(closed.superseded) == len(entries) - 1


async def test_the_first_event_makes_the_chat_and_later_ones_are_superseded_at_once(ledger, clock):
    first, second = burst(keep="first"), burst(keep="first")
    await ledger.accept([first])
    clock.now += WAIT - 1
    [receipt] = await ledger.accept([second])
    [ended] = receipt.entry.dispatches
    assert (ended.state, ended.cause) == (State.SUPERSEDED, ids(first)[0])
    [due] = await ledger.due(10)
    assert due.result.data["by"] == {"dispatchId": ids(first)[0]}
    clock.now += WAIT - 1
    assert (await close(ledger)).going == ()
    clock.now += 1
    assert [dispatch.id for dispatch in (await close(ledger)).going] == ids(first)


async def test_one_chat_sees_all_events_in_order_of_arrival(ledger, clock):
    entries = [burst(keep="all") for _ in range(3)]
    await ledger.accept(entries[:2])
    await ledger.accept(entries[2:])
    clock.now += WAIT
    [gathered] = await ledger.gathered()
    assert [event.id for _, event in gathered.members] == [entry.event.id for entry in entries]
    assert await close(ledger) == await close(ledger), "nothing is closed that was not rendered"
    assert await ledger.claim(10) == []
    closed = await render(ledger)
    assert [dispatch.id for dispatch in closed.going] == ids(entries[2])
    [claim] = await ledger.claim(10)
    assert claim.dispatch.body == '{"events":3}'


async def test_a_window_that_changed_since_it_was_rendered_is_read_again(ledger, clock):
    entries = [burst(keep="all"), burst(keep="all")]
    await ledger.accept(entries)
    clock.now += WAIT
    [gathered] = await ledger.gathered()
    await ledger.cancel(ids(entries[1])[0])
    stale = {gathered.window: WindowChat(gathered.count, replace(gathered.members[-1][0], body="{}"))}
    assert (await close(ledger, stale)).going == ()
    assert [dispatch.id for dispatch in (await render(ledger)).going] == ids(entries[0])


async def test_a_chat_that_cannot_be_rendered_fails_and_the_others_are_superseded(ledger, clock):
    entries = [burst(keep="all"), burst(keep="all")]
    await ledger.accept(entries)
    clock.now += WAIT
    [gathered] = await ledger.gathered()
    failed = replace(gathered.members[-1][0], failure=Failure("render", "message: data.x is missing"))
    closed = await close(ledger, {gathered.window: WindowChat(gathered.count, failed)})
    assert [dispatch.id for dispatch in closed.failed] == ids(entries[1])
    assert await states(ledger, *entries) == ["superseded", "failed"]


@pytest.mark.parametrize("keep", ["last", "all"])
async def test_what_a_window_of_all_had_gathered_is_there_again(ledger, clock, keep):
    await ledger.accept(entries := [burst(keep=keep) for _ in range(4)])
    clock.now += WAIT
    await render(ledger)
    await ledger.retry(ids(entries[1])[0], None)
    found = [[event.id for event in await ledger.regather(each)] for each in ids(*entries)]
    gathered = [entries[0].event.id, entries[2].event.id] if keep == "all" else []
    assert found == [[], [], [], gathered], "the second was sent by itself"


@pytest.mark.parametrize("keep", ["last", "all"])
async def test_a_window_closes_at_a_hundred_events_and_the_next_one_opens_another(ledger, keep):
    entries = [burst(keep=keep) for _ in range(101)]
    await ledger.accept(entries)
    closed = await (render(ledger) if keep == "all" else close(ledger))
    assert [dispatch.id for dispatch in closed.going] == ids(entries[99])
    assert len(closed.superseded) == 99
    assert (await view_of(ledger, entries[100])).held.by is HeldBy.DEBOUNCE


async def test_a_window_that_sees_all_closes_before_it_would_pass_a_mib(ledger):
    entries = [burst(keep="all", size=400_000) for _ in range(3)]
    await ledger.accept(entries)
    assert [dispatch.id for dispatch in (await render(ledger)).going] == ids(entries[1])
    assert (await view_of(ledger, entries[2])).state is State.HELD


@pytest.mark.parametrize(("before", "after"), [(a, b) for a in KEEPS for b in KEEPS if a != b])
async def test_another_keep_begins_another_window(ledger, clock, before, after):
    """By the other one it could not go: of `all` it has no body, of `first` only the first one stays."""
    entries = [burst(keep=keep) for keep in (before, before, after, after)]
    for entry in entries:
        await ledger.accept([entry])
    assert await states(ledger, *entries[:2]) == ["held", "superseded" if before == "first" else "held"]
    going = (await render(ledger)).going
    assert [each.id for each in going] == ids(entries[0 if before == "first" else 1])
    clock.now += WAIT
    closed = await render(ledger)
    assert [each.id for each in closed.going] == ids(entries[2 if after == "first" else 3])
    assert closed.failed == ()
    bodies = [claim.dispatch.body for claim in await ledger.claim(10)]
    assert [body == '{"events":2}' for body in bodies] == [before == "all", after == "all"]


async def test_keys_do_not_meet(ledger, clock):
    entries = [burst("a"), burst("b"), burst("a", keep="last")]
    await ledger.accept(entries)
    clock.now += WAIT
    assert {dispatch.id for dispatch in (await close(ledger)).going} == set(ids(*entries[1:]))


async def test_what_a_person_cancels_is_no_part_of_the_window(ledger, clock):
    entries = [burst(), burst()]
    await ledger.accept(entries)
    await ledger.cancel(ids(entries[1])[0])
    clock.now += WAIT
    assert [dispatch.id for dispatch in (await close(ledger)).going] == ids(entries[0])


async def test_an_event_after_all_of_a_window_was_cancelled_opens_one_of_its_own(ledger, clock):
    first = burst(keep="first")
    await ledger.accept([first])
    await ledger.cancel(ids(first)[0])
    second = burst(keep="first")
    await ledger.accept([second])
    assert (await view_of(ledger, second)).state is State.HELD
    clock.now += WAIT
    assert [dispatch.id for dispatch in (await close(ledger)).going] == ids(second)
    assert await window_count(ledger) == 0


async def test_the_later_keys_of_the_rule_follow_when_it_closes(ledger, clock):
    plan = {"order": {"key": "k", "skip": None}, "delay": {"for": 1_000, "key": "d"}, "expires": 5_000}
    first, second = burst("a", **plan), burst("b", **plan)
    await ledger.accept([first, second])
    assert await ledger.expire() == []
    clock.now += WAIT
    assert len((await close(ledger)).going) == 2
    assert (await view_of(ledger, first)).held.by is HeldBy.DELAY
    assert (await view_of(ledger, second)).held.cause == ids(first)[0]
    clock.now += 1_000
    [claim] = await ledger.claim(10)
    await ledger.record(created(claim))
    assert [claim.dispatch.id for claim in await ledger.claim(10)] == ids(second)


@pytest.mark.parametrize("keep", ["last", "all"])
async def test_a_window_goes_on_in_the_chat_of_its_thread(ledger, clock, keep):
    plan = {"thread": {"key": "t", "idle": 10 * LONGEST}}
    first, second = [
        replace(entry, dispatches=(replace(entry.dispatches[0], message="first", follow="later"),))
        for entry in (burst(keep=keep, **plan), burst(keep=keep, **plan))
    ]

    async def gather(entry):
        await ledger.accept([entry])
        clock.now += WAIT
        for each in await ledger.gathered():
            chat = replace(each.members[-1][0], body="{}", message="first", follow="later")
            await close(ledger, {each.window: WindowChat(each.count, chat)})
        await close(ledger)

    await gather(first)
    [claim] = await ledger.claim(10)
    assert (claim.state, claim.follows) == (State.SENDING, False)
    await ledger.record(created(claim, Chat("chat-1", created_at=0, agent_uuid="agent-1")))
    while (await view_of(ledger, first)).state is not State.DONE:
        [message] = await ledger.claim(10)
        await ledger.record(move(message, State.DONE, verdict=Verdict.SENT, message_uuid="m-1"))
    await gather(second)
    [claim] = await ledger.claim(10)
    assert (claim.dispatch.id, claim.state, claim.follows) == (ids(second)[0], State.MESSAGING, True)
    assert (claim.chat_uuid, claim.agent_uuid) == ("chat-1", "agent-1")
    assert claim.dispatch.message == "later"


async def test_what_is_gathered_can_be_cancelled_by_an_event_too(ledger):
    entry = burst(delay={"for": 1_000, "key": "d"})
    await ledger.accept([entry])
    solved = replace(make_entry(rules=()), cancels=(("urgent", "d"),))
    [receipt] = await ledger.accept([solved])
    assert receipt.status is EventStatus.UNMATCHED
    assert [dispatch.id for dispatch in receipt.cancelled] == ids(entry)


async def test_a_replay_waits_for_no_window(ledger):
    entry = burst()
    await ledger.accept([entry])
    [dispatch] = burst().dispatches
    again = replace(entry, dispatches=(replace(dispatch, event_id=entry.event.id),))
    await ledger.extend(entry.event.id, again, again=True)
    assert [claim.dispatch.id for claim in await ledger.claim(10)] == ids(again)


async def test_two_replicas_close_a_window_once(replicas, clock):
    one, two = replicas
    entries = [burst(f"k-{number % 10}") for number in range(40)]
    await asyncio.gather(*((one, two)[number % 2].accept([entry]) for number, entry in enumerate(entries)))
    clock.now += WAIT
    closed = await asyncio.gather(*(ledger.close_windows({}) for _ in range(3) for ledger in replicas))
    going = [dispatch.id for each in closed for dispatch in each.going]
    superseded = [dispatch.id for each in closed for dispatch in each.superseded]
    assert (len(going), len(set(going)), len(superseded), len(set(superseded))) == (10, 10, 30, 30)


class Model:
    """RULES in plain words: one window at a time and key, quiet for `WAIT`, `LONGEST` at most."""

    def __init__(self):
        self.open = {}
        self.going = []
        self.superseded = {}

    def arrive(self, key, dispatch, now):
        self.close(now)
        opened, _, members = self.open.get(key, (now, now, []))
        self.open[key] = (opened, min(now + WAIT, opened + LONGEST), [*members, dispatch])

    def close(self, now):
        for key, (_, closes, members) in list(self.open.items()):
            if closes <= now:
                del self.open[key]
                self.going.append(members[-1])
                self.superseded |= dict.fromkeys(members[:-1], members[-1])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.sampled_from("xy"), st.integers(0, 2 * WAIT), st.booleans()), max_size=25))
async def test_any_arrivals_and_closings_are_as_the_model_says(ledger, clock, steps):
    model = Model()
    clock.now += 10 * LONGEST
    going, superseded, prefix = [], {}, clock.now

    async def close_all():
        closed = await ledger.close_windows({})
        going.extend(dispatch.id for dispatch in closed.going)
        superseded.update({dispatch.id: dispatch.cause for dispatch in closed.superseded})

    for key, later, looks in steps:
        clock.now += later
        if looks:
            await close_all()
        entry = burst(f"{key}-{prefix}")
        await ledger.accept([entry])
        model.arrive(key, ids(entry)[0], clock.now)
    clock.now += LONGEST
    await close_all()
    model.close(clock.now)
    assert (sorted(going), superseded) == (sorted(model.going), model.superseded)
    for claim in await ledger.claim(100):
        await ledger.record(created(claim))


async def test_a_chat_of_all_events_names_the_version_of_the_rule_that_rendered_it(ledger, clock):
    entry = burst(keep="all")
    former = replace(entry.dispatches[0], rule_version="a" * 16)
    await ledger.accept([replace(entry, dispatches=(former,))])
    clock.now += WAIT
    [gathered] = await ledger.gathered()
    present = replace(gathered.members[-1][0], body="{}", rule_version="b" * 16)
    await close(ledger, {gathered.window: WindowChat(gathered.count, present)})
    assert (await view_of(ledger, entry)).rule_version == "b" * 16
