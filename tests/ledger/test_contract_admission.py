"""`loop` and `limit`: what is decided at the claim, against plain models of what RULES says."""

import asyncio
from bisect import bisect_right
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.life import Signal
from relay.model import ParkReason, State
from relay.rules import RuleSpec, compile_rules
from relay.rules.keys.limit import ChatLimitBlock
from relay.slots import Slots
from tests.ledger.build import created, make_chat, make_entry, make_event, waiting

MINUTE = 60_000


def loop(key="k", most=2, period=MINUTE):
    return {"loop": {"key": key, "trips": [most, period]}}


def limit(*items):
    """Items are (count, period, then), or with a key as a fourth."""
    return {
        "limit": [
            {"key": item[3] if len(item) > 3 else None, "rate": list(item[:2]), "then": item[2]} for item in items
        ]
    }


def entry(plan, **rest):
    return make_entry(dispatch={"plan": plan}, **rest)


class Taker:
    """Offers slots, and keeps the claims that were handed on."""

    def __init__(self):
        self.claims = []
        self.slots = Slots(Signal())
        self.slots.closed = False

    def offer(self, count=100):
        return self.slots.offer(count, self.claims.extend)


async def claim(ledger, most=100):
    """The ids of the dispatches that are claimed, and what the others became, by id."""
    claims = await ledger.claim(most)
    return [each.dispatch.id for each in claims], {each.dispatch.id: each for each in await ledger.withheld()}


async def view(ledger, dispatch_id):
    [found] = [each for each in (await ledger.event(dispatch_id)).dispatches if each.id == dispatch_id]
    return found


def first(stored):
    return stored.dispatches[0].id


async def test_the_loop_guard_parks_what_is_past_its_trips(ledger):
    entries = [entry(loop(), reply_to="answers") for _ in range(4)]
    await ledger.accept(entries)
    going, withheld = await claim(ledger)
    assert going == [first(each) for each in entries[:2]]
    assert [(each.to, each.failure.code) for each in withheld.values()] == [(State.PARKED, "loop")] * 2
    found = await view(ledger, first(entries[2]))
    assert (found.state, found.park, found.attempts, found.failure.code) == (State.PARKED, ParkReason.LOOP, 0, "loop")
    assert "more than 2 dispatches of its key came within 1m" in found.failure.message
    detail = await ledger.event(first(entries[2]))
    assert (detail.attempts, len(detail.results)) == ((), 1)
    assert detail.results[0].result.data["error"]["code"] == "loop"
    assert await claim(ledger) == ([], {})


async def test_the_key_is_open_again_when_it_was_quiet_for_that_time(ledger, clock):
    async def come():
        one = entry(loop())
        await ledger.accept([one])
        going, _ = await claim(ledger)
        return going == [first(one)]

    assert [await come() for _ in range(3)] == [True, True, False]
    clock.now += MINUTE - 1
    assert not await come(), "it was not quiet for long enough"
    clock.now += MINUTE - 1
    assert not await come(), "what is parked counts as noise, too"
    clock.now += MINUTE
    assert [await come() for _ in range(3)] == [True, True, False]


async def test_those_of_the_window_before_do_not_count(ledger, clock):
    for _ in range(6):
        await ledger.accept([entry(loop())])
        going, _ = await claim(ledger)
        assert len(going) == 1
        clock.now += MINUTE // 2


async def test_keys_and_rules_do_not_meet(ledger):
    await ledger.accept([entry(loop(key)) for key in "aabb"] + [entry(loop("a"), rules=("other",))])
    assert len((await claim(ledger))[0]) == 5


async def test_a_retry_by_hand_goes_and_leaves_the_key_closed(ledger):
    entries = [entry(loop()) for _ in range(4)]
    await ledger.accept(entries)
    await claim(ledger)
    parked = first(entries[2])
    assert (await ledger.retry(parked, None)).state is State.READY
    assert await claim(ledger) == ([parked], {})
    await ledger.accept([late := entry(loop())])
    going, withheld = await claim(ledger)
    assert (going, list(withheld)) == ([], [first(late)])


async def test_a_claim_that_is_given_back_counts_once_for_the_loop_guard(ledger):
    await ledger.accept([one := entry(loop())])
    for _ in range(5):
        assert (await claim(ledger))[0] == [first(one)]
        await ledger.give_back(())
    await ledger.accept([entry(loop())])
    assert len((await claim(ledger))[0]) == 2


async def test_further_calls_of_a_dispatch_are_not_judged(ledger, clock):
    await ledger.accept([one := entry(loop(most=1) | limit((1, MINUTE, "park")))])
    for _ in range(3):
        [made] = await ledger.claim(1)
        assert made.dispatch.id == first(one)
        await ledger.record(waiting(made))


async def test_a_dispatch_that_is_born_claimed_counts_and_one_too_many_is_not_born(ledger):
    calls = Taker()
    entries = [entry(loop()) for _ in range(3)]
    for each in entries:
        await ledger.accept([each], calls.offer())
    assert [each.dispatch.id for each in calls.claims] == [first(each) for each in entries[:2]]
    going, withheld = await claim(ledger)
    assert (going, list(withheld)) == ([], [first(entries[2])])


async def test_one_delivery_of_many_is_counted_one_by_one(ledger):
    calls = Taker()
    await ledger.accept([entry(loop()) for _ in range(5)], calls.offer())
    assert len(calls.claims) == 2
    going, withheld = await claim(ledger)
    assert (going, len(withheld)) == ([], 3)


async def test_what_is_not_offered_a_slot_does_not_count(ledger):
    calls = Taker()
    await ledger.accept([entry(loop()) for _ in range(2)], calls.offer(1))
    await ledger.accept([entry(loop(), external_id="same")])
    await ledger.accept([entry(loop(), external_id="same")], calls.offer())
    assert len(calls.claims) == 1
    going, withheld = await claim(ledger)
    assert (len(going), len(withheld)) == (1, 1)


async def test_a_limit_parks_or_drops_what_has_no_room(ledger, clock):
    for then, to in (("park", State.PARKED), ("drop", State.SUPPRESSED)):
        entries = [make_entry(rules=(then,), dispatch={"plan": limit((2, MINUTE, then))}) for _ in range(3)]
        await ledger.accept(entries)
        going, withheld = await claim(ledger)
        assert going == [first(each) for each in entries[:2]]
        [told] = withheld.values()
        found = await view(ledger, first(entries[2]))
        assert (told.to, found.state, found.park) == (to, to, ParkReason.LIMIT if to is State.PARKED else None)
        data = (await ledger.event(first(entries[2]))).results[0].result.data
        assert (data["error"]["code"], "by" in data) == ("limit" if then == "park" else "suppressed", False)
    clock.now += MINUTE
    await ledger.accept([entry(limit((2, MINUTE, "park")))])
    assert len((await claim(ledger))[0]) == 1


async def test_a_retry_of_what_a_limit_parked_counts(ledger, clock):
    plan = limit((1, MINUTE, "park"))
    entries = [entry(plan) for _ in range(2)]
    await ledger.accept(entries)
    await claim(ledger)
    parked = first(entries[1])
    await ledger.retry(parked, None)
    assert list((await claim(ledger))[1]) == [parked], "there is no room yet"
    clock.now += MINUTE
    await ledger.retry(parked, None)
    assert await claim(ledger) == ([parked], {})
    await ledger.accept([entry(plan)])
    assert (await claim(ledger))[0] == []


async def test_of_several_limits_all_count_or_none(ledger, clock):
    plan = limit((1, MINUTE, "park", "a"), (2, 10 * MINUTE, "drop"))
    first_one, second = entry(plan), entry(plan)
    await ledger.accept([first_one, second])
    assert (await claim(ledger))[0] == [first(first_one)]
    clock.now += MINUTE
    await ledger.accept([third := entry(plan)])
    assert (await claim(ledger))[0] == [first(third)], "what was parked took no place of the other limit"
    clock.now += MINUTE
    await ledger.accept([fourth := entry(plan)])
    _, withheld = await claim(ledger)
    assert withheld[first(fourth)].to is State.SUPPRESSED


async def test_a_limit_has_counted_what_started_before_the_rule_was_changed(ledger, clock):
    """Whatever a person has put before it, and whatever its count was."""

    def plan(limits):
        keys = {"limit": [ChatLimitBlock.model_validate({"then": "park", **each}) for each in limits]}
        rules = compile_rules([RuleSpec("urgent", chat={"trigger": {"type": "draft"}}, keys=keys)], {})
        [rendered] = rules.match(make_event()).rendered
        return {"limit": rendered.plan["limit"]}

    hourly, keyed = {"rate": "1/h"}, {"rate": "9/h", "key": "{{ data.ticket }}"}
    ways = [[hourly], [keyed, hourly], [hourly, keyed], [{"rate": "5/m"}, hourly]]
    await ledger.accept([began := entry(plan(ways[0])), *(later := [entry(plan(way)) for way in ways])])
    going, withheld = await claim(ledger)
    assert going == [first(began)]
    assert {withheld[first(each)].to for each in later} == {State.PARKED}
    alike = [keyed, {"rate": "2/h"}, {**keyed, "rate": "3/h"}]
    await ledger.accept([more := entry(plan(alike)), none := entry(plan(alike))])
    going, withheld = await claim(ledger)
    assert (going, withheld[first(none)].to) == ([first(more)], State.PARKED), "the one of before, and one more"


async def test_what_waits_for_a_limit_is_due_when_there_is_room_and_keeps_its_turn(ledger, clock):
    plan = limit((2, MINUTE, "hold", "contact"), (1_000, MINUTE, "hold"))
    entries = [entry(plan) for _ in range(5)]
    await ledger.accept(entries)
    going, withheld = await claim(ledger)
    assert going == [first(each) for each in entries[:2]]
    assert [each.until for each in withheld.values()] == [clock.now + MINUTE] * 2 + [clock.now + 2 * MINUTE]
    assert await ledger.wake() == MINUTE
    held = (await view(ledger, first(entries[2]))).held
    assert (held.by, held.key, held.until, held.cause) == ("limit", "contact", clock.now + MINUTE, None)
    clock.now += MINUTE - 1
    assert await claim(ledger) == ([], {})
    clock.now += 1
    assert await claim(ledger) == ([first(entries[2]), first(entries[3])], {})
    clock.now += MINUTE
    assert await claim(ledger) == ([first(entries[4])], {})


async def test_a_higher_priority_takes_the_last_place(ledger):
    plan = limit((1, MINUTE, "park"))
    low, high = entry(plan | {"priority": 1}), entry(plan | {"priority": 9})
    await ledger.accept([low, high])
    assert (await claim(ledger))[0] == [first(high)]


async def test_a_high_rate_is_kept_in_few_numbers(ledger, clock):
    plan = limit((1_000, 1_000 * MINUTE, "park"))
    made = 0
    for _ in range(11):
        await ledger.accept([entry(plan) for _ in range(100)])
        made += len((await claim(ledger, 200))[0])
        clock.now += MINUTE
    assert made == 1_000
    sizes = await ledger.read(
        lambda conn, _: [row[0] for row in conn.exec_driver_sql("SELECT length(value) FROM rule_keys")]
    )
    assert max(sizes) < 4_000


DAY = 86_400_000


def budget(chats=None, credits_=None, then="hold", warn=0.8):
    return {"key": None, "chats": chats, "credits": credits_, "then": then, "warn": warn, "zone": "UTC"}


async def test_chats_past_the_budget_wait_until_the_window_turns(ledger, clock):
    clock.now = (clock.now // DAY) * DAY + 10 * MINUTE
    plan = {"budget": budget(chats=[2, "d"])}
    entries = [entry(plan) for _ in range(5)]
    await ledger.accept(entries)
    going, withheld = await claim(ledger)
    assert going == [first(each) for each in entries[:2]]
    tomorrow = clock.now - 10 * MINUTE + DAY
    assert {(each.to, each.failure.code, each.until) for each in withheld.values()} == {
        (State.HELD, "budget", tomorrow)
    }
    held = (await view(ledger, first(entries[2]))).held
    assert (held.by, held.key, held.until) == ("budget", None, tomorrow)
    clock.now = tomorrow
    assert (await claim(ledger))[0] == [first(each) for each in entries[2:4]]


async def test_a_budget_may_park(ledger):
    calls = Taker()
    entries = [entry({"budget": budget(chats=[1, "mo"], then="park")}) for _ in range(2)]
    await ledger.accept(entries, calls.offer())
    assert [each.dispatch.id for each in calls.claims] == [first(entries[0])]
    going, withheld = await claim(ledger)
    assert (going, list(withheld)) == ([], [first(entries[1])])
    found = await view(ledger, first(entries[1]))
    assert (found.park, found.failure.message) == (
        ParkReason.BUDGET,
        "its rule has used up its budget of 1/mo chats (UTC): retry it when the window has turned, or cancel it",
    )


async def test_credits_bound_what_starts_and_each_level_is_told_once(ledger, other, clock):
    clock.now = (clock.now // DAY) * DAY + 10 * MINUTE
    plan = budget(credits_=[100, "d"])

    async def measure(replica, used=None):
        return await replica.measure("urgent", plan, used)

    async def goes():
        await ledger.accept([one := entry({"budget": plan})])
        return first(one) in (await claim(ledger))[0]

    nothing = await measure(ledger)
    assert (dict(nothing.shares), nothing.asked_ago, nothing.raised) == ({"credits": 0}, None, None)
    assert nothing.since == clock.now - 10 * MINUTE
    assert await goes()
    assert (await measure(ledger, 79.0)).raised is None
    assert (await measure(other, 80.5)).raised == "warned"
    assert (await measure(ledger, 81.0)).raised is None
    assert await goes()
    clock.now += 30_000
    assert (await measure(other)).asked_ago == 30_000
    assert (await measure(ledger, 250.0)).raised == "spent"
    assert (await measure(other, 0.0)).shares == {"credits": 2.5}, "what is used does not come back"
    assert not await goes()
    clock.now += DAY
    assert (await measure(ledger)).shares == {"credits": 0}
    assert await goes()
    assert (await measure(ledger, 100.0)).raised == "spent", "past both levels at once"


async def test_a_budget_keeps_its_chats_when_credits_are_noted(ledger):
    plan = budget(chats=[2, "d"], credits_=[100, "d"])
    await ledger.accept([entry({"budget": plan}) for _ in range(2)])
    assert len((await claim(ledger))[0]) == 2
    assert (await ledger.measure("urgent", plan, 50.0)).shares == {"chats": 1, "credits": 0.5}
    await ledger.accept([entry({"budget": plan})])
    assert (await claim(ledger))[0] == []


async def test_what_a_budget_holds_takes_no_place_of_a_limit(ledger, clock):
    clock.now = (clock.now // DAY) * DAY
    plan = limit((3, DAY * 10, "park")) | {"budget": budget(chats=[1, "h"])}
    await ledger.accept([entry(plan) for _ in range(3)])
    made = 0
    for _ in range(3):
        made += len((await claim(ledger))[0])
        clock.now += 3_600_000
    assert made == 3


async def test_the_chats_of_a_rule_since_a_time(ledger, clock):
    clock.now = 20_000 * DAY  # before the ids of the tests, which begin with the time of the machine
    for rule, later in (("urgent", 0), ("other", 0), ("urgent", DAY)):
        clock.now += later
        await ledger.accept([make_entry(rules=(rule,))])
        [made] = await ledger.claim(1)
        await ledger.record(created(made, make_chat(f"chat-{rule}-{later}")))
    assert await ledger.chats_since("urgent", clock.now) == {f"chat-urgent-{DAY}": "connector"}
    assert len(await ledger.chats_since("urgent", clock.now - DAY)) == 2


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    most=st.integers(1, 3),
    steps=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5_000_000), st.booleans(), st.booleans()), max_size=12),
)
async def test_in_no_hour_of_the_calendar_are_more_chats_begun_than_the_budget(ledger, other, clock, most, steps):
    rule, calls, starts, made = f"budget-{clock.now}", Taker(), [], 0
    claims = []
    for count, later, offered, second in steps:
        clock.now += later
        replica = other if second else ledger
        plan = {"budget": budget(chats=[most, "h"])}
        entries = [make_entry(rules=(rule,), dispatch={"plan": plan}) for _ in range(count)]
        made += count
        await replica.accept(entries, calls.offer() if offered else None)
        claims += [*calls.claims, *await replica.claim(100)]
        calls.claims.clear()
        starts += [clock.now // 3_600_000] * (len(claims) - len(starts))
    for _ in range(60):
        if (due_in := await ledger.wake()) is None:
            break
        clock.now += due_in
        claims += await ledger.claim(100)
        starts += [clock.now // 3_600_000] * (len(claims) - len(starts))
    for each in claims:
        await ledger.record(created(each))
    assert len(starts) == made
    assert not starts or max(Counter(starts).values()) <= most
    clock.now += 3_600_000


class Guard:
    """RULES in plain words: the loop guard of one rule, with 2 within 1 s."""

    def __init__(self):
        self.starts, self.last, self.closed = {}, {}, set()

    def go(self, key, now):
        starts = [at for at in self.starts.get(key, []) if now - at < 1_000]
        if key in self.closed and now - self.last[key] >= 1_000:
            self.closed.discard(key)
            starts = []
        if key not in self.closed and len(starts) >= 2:
            self.closed.add(key)
        self.last[key] = now
        if key in self.closed:
            return False
        self.starts[key] = [*starts, now]
        return True


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 1_100), st.booleans(), st.booleans()), max_size=30)
)
async def test_the_loop_guard_is_as_the_model_says(ledger, other, clock, steps):
    """Events that are born claimed or claimed later, at two replicas, with claims that are given back."""
    model, rule, calls = Guard(), f"rule-{clock.now}", Taker()
    clock.now += 10 * MINUTE
    for key, later, offered, second in steps:
        clock.now += later
        replica = other if second else ledger
        one = make_entry(rules=(rule,), dispatch={"plan": loop(key, 2, 1_000)})
        await replica.accept([one], calls.offer() if offered else None)
        born = [each.dispatch.id for each in calls.claims]
        going, withheld = await claim(replica)
        assert (first(one) in {*born, *going}) is model.go(key, clock.now)
        assert (first(one) in withheld) is (first(one) not in {*born, *going})
        if later % 2:
            await replica.give_back(())
            await claim(replica)
    await asyncio.gather(*(replica.give_back(()) for replica in (ledger, other)))
    for each in await ledger.claim(100):
        await ledger.record(created(each))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rate=st.tuples(st.integers(1, 3), st.sampled_from([1_000, 5_000])),
    steps=st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 1_500), st.booleans(), st.booleans(), st.booleans()), max_size=20
    ),
)
async def test_in_no_window_do_more_start_and_all_start_in_the_end(ledger, other, clock, rate, steps):
    most, period = rate
    rule, calls, starts, open_claims, made = f"limited-{clock.now}", Taker(), [], {}, 0
    clock.now += 10 * MINUTE

    def start(replica, claims):
        starts.extend([clock.now] * len(claims))
        open_claims.update({each.dispatch.id: (replica, each) for each in claims})

    for count, later, offered, second, returned in steps:
        clock.now += later
        replica = other if second else ledger
        entries = [make_entry(rules=(rule,), dispatch={"plan": limit((most, period, "hold"))}) for _ in range(count)]
        made += count
        await replica.accept(entries, calls.offer() if offered else None)
        start(replica, calls.claims)
        calls.claims.clear()
        start(replica, await replica.claim(100))
        if returned:
            made += await replica.give_back(())  # they start again, and count again
    for _ in range(200):
        if (due_in := await ledger.wake()) is None:
            break
        clock.now += due_in
        start(ledger, await ledger.claim(100))
    for replica, each in open_claims.values():
        await replica.record(created(each))
    assert len(starts) == made
    for place, at in enumerate(starts):
        assert place + 1 - bisect_right(starts, at - period) <= most


async def test_two_replicas_at_once_neither_deadlock_nor_exceed(replicas):
    """New keys and known ones, born and claimed, in opposite orders."""
    keys = [f"k{number}" for number in range(8)]
    taken = [Taker(), Taker()]

    async def work(number):
        order = keys if number else keys[::-1]
        for _ in range(6):
            for key in order:
                plan = limit((5, 100 * MINUTE, "park", key), (30, 100 * MINUTE, "park")) | loop(key, 1_000)
                await replicas[number].accept([entry(plan), entry(plan)], taken[number].offer(1))
            taken[number].claims += await replicas[number].claim(10)

    await asyncio.gather(work(0), work(1))
    for _ in range(20):
        for number in (0, 1):
            taken[number].claims += await replicas[number].claim(100)
    by_key = [each.dispatch.id for each in (*taken[0].claims, *taken[1].claims)]
    assert (len(by_key), len(set(by_key))) == (30, 30)


@pytest.mark.parametrize("store", ["sealed"], indirect=True)
async def test_an_encrypted_ledger_has_a_rendered_key_nowhere_in_clear(ledger, tmp_path):
    await ledger.accept([entry(loop("someone@example.com") | limit((1, MINUTE, "hold", "someone@example.com")))])
    await claim(ledger)
    await ledger.aclose()
    assert not [path for path in tmp_path.iterdir() if b"someone@example.com" in path.read_bytes()]
