"""What every ledger promises of what is counted: rates per minute, usage per day, what rules hold."""

from hypothesis import given
from hypothesis import strategies as st

from relay.ledger.queries import rates as rate_queries
from relay.model import Load, Measured, RateQuery, State, Usage
from relay.model.rate import quantile
from relay.telemetry import BOUNDS, TOOK, class_of
from tests.ledger.build import make_entry, move

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


def query(clock, step=MINUTE, *, hours=1, **of):
    return RateQuery(clock.now - hours * HOUR, clock.now + MINUTE, step, **of)


def minute(clock):
    return clock.now - clock.now % MINUTE


async def test_counts_of_all_replicas_add_up_by_step(ledger, other, clock):
    clock.now -= clock.now % HOUR
    await ledger.count({("all", ""): {"accepted": 2, "refused": 1}, ("source", "crm"): {"accepted": 2}})
    await other.count({("all", ""): {"accepted": 3, "chats": 4}})
    await ledger.count({("all", ""): {"accepted": 1}})
    first = minute(clock)
    clock.now += MINUTE
    await ledger.count({("all", ""): {"chats": 5}})
    assert await ledger.rates(query(clock)) == [
        Measured(first, {"accepted": 6, "refused": 1, "chats": 4}),
        Measured(first + MINUTE, {"chats": 5}),
    ]
    [hour] = await other.rates(query(clock, HOUR))
    assert hour == Measured(first, {"accepted": 6, "refused": 1, "chats": 9})
    assert [rate.counts for rate in await ledger.rates(query(clock, kind="source", name="crm"))] == [{"accepted": 2}]
    assert {name: rate.counts for name, rate in (await ledger.totals("source", 0)).items()} == {"crm": {"accepted": 2}}
    assert await ledger.rates(query(clock, kind="rule", name="crm")) == []


async def test_minutes_are_deleted_after_thirty_days_and_days_later(ledger, clock):
    await ledger.count({("rule", "urgent"): {"chats": 1}, ("all", ""): {"chats": 1}})
    clock.now += rate_queries.KEPT + 2 * MINUTE
    await ledger.count({("all", ""): {"chats": 2}})
    assert await ledger.prune() == 2
    assert await ledger.prune() == 0
    assert [rate.counts for rate in await ledger.rates(query(clock, hours=1_000))] == [{"chats": 2}]
    assert [usage.chats for usage in await ledger.used(0, clock.now)] == [1]
    clock.now += rate_queries.USAGE_KEPT
    await ledger.prune()
    assert await ledger.used(0, clock.now) == []


async def test_usage_has_the_chats_and_credits_of_each_day_and_rule(ledger, other, clock):
    clock.now -= clock.now % DAY
    today = clock.now
    await ledger.count({("rule", "a"): {"chats": 2, "failed": 1}, ("rule", "b"): {"failed": 1}})
    await other.count({("rule", "a"): {"chats": 3}})
    assert await ledger.credits_asked_ago() is None
    await ledger.keep_credits(today, {"a": 1.5, "c": 0.0})
    await other.keep_credits(today, {"a": 1.0})
    clock.now += DAY
    await ledger.count({("rule", "a"): {"chats": 1}})
    assert await ledger.credits_asked_ago() == DAY
    assert await ledger.used(0, clock.now + DAY) == [
        Usage(today + DAY, "a", 1, None, None),
        Usage(today, "a", 5, 1.5, today),
        Usage(today, "c", 0, 0.0, today),
    ]
    assert [usage.day for usage in await ledger.used(today + DAY, clock.now + DAY)] == [today + DAY]


async def test_loads_tell_what_rules_hold_and_what_is_parked(ledger):
    held = make_entry(rules=("slow",), dispatch={"plan": {"delay": {"for": MINUTE}}})
    await ledger.accept([held, make_entry(rules=("odd",)), make_entry(rules=("fine",))])
    for claim in await ledger.claim(10):
        if claim.dispatch.rule == "odd":
            await ledger.record(move(claim, State.PARKED, park="unknown"))
    found = await ledger.loads()
    assert (dict(found.by_rule), found.complete) == ({"slow": Load(held=1), "odd": Load(parked=1)}, True)


async def test_the_rules_of_dispatches_are_found_by_their_ids(ledger):
    entry = make_entry(rules=("a", "b"))
    await ledger.accept([entry])
    wanted = {dispatch.id: dispatch.rule for dispatch in entry.dispatches}
    assert await ledger.rules_of([*wanted, "gone"]) == wanted
    assert await ledger.rules_of([]) == {}


@given(st.lists(st.integers(0, BOUNDS[-1]), min_size=1, max_size=50), st.sampled_from([0.5, 0.99, 1.0]))
def test_a_quantile_lies_in_the_class_of_the_time_that_it_stands_for(times, share):
    took = [0] * len(TOOK)
    for time in times:
        took[TOOK.index(class_of(time))] += 1
    exact = sorted(times)[max(0, -int(-share * len(times) // 1) - 1)]
    found = quantile(took, share)
    number = TOOK.index(class_of(exact))
    assert (BOUNDS[number - 1] if number else 0) <= found <= BOUNDS[number]


def test_without_results_there_is_no_quantile():
    assert quantile([0] * len(TOOK), 0.5) is None
