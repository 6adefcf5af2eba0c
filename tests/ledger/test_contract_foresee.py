"""What a ledger says would become of an event is what becomes of it."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from relay.ledger.schema import events, rule_keys
from relay.model import State, held_key
from tests.ledger.build import make_entry

WAIT = 60_000
PLANS = {
    "once": lambda key: {"once": {"key": key, "within": None}},
    "changed": lambda key: {"changed": {"key": "k", "hash": key, "first": "match"}},
    "newest": lambda key: {"newest": {"key": "k", "by": ord(key)}},
    "debounce": lambda key: {"debounce": {"key": key, "wait": WAIT, "max": 10 * WAIT, "keep": "last", "size": 1}},
    "first": lambda key: {"debounce": {"key": key, "wait": WAIT, "max": 10 * WAIT, "keep": "first", "size": 1}},
    "order": lambda key: {"order": {"key": key}},
    "thread": lambda key: {"thread": {"key": key, "idle": WAIT}},
    "delay": lambda key: {"delay": {"for": WAIT, "key": key}},
}
comings = st.tuples(st.sampled_from(sorted(PLANS)), st.sampled_from("xyz"), st.integers(0, WAIT))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(comings, min_size=1, max_size=12))
async def test_what_is_foreseen_is_what_comes(ledger, clock, steps):
    for name, key, later in steps:
        clock.now += later
        entry = make_entry(rules=(name,), dispatch={"plan": PLANS[name](key)})
        before = await rows(ledger)
        [standing] = await ledger.foresee(entry)
        assert await rows(ledger) == before
        [receipt] = await ledger.accept([entry])
        stored = receipt.entry
        assert stored.skips == (() if standing.skip is None else (standing.skip,))
        if standing.dispatch is None:
            assert stored.dispatches == ()
            continue
        [dispatch] = stored.dispatches
        assert standing.dispatch == dispatch
        assert (standing.cause is None) == (standing.since is None)


RATE = [2, WAIT]
AT_CLAIM = {
    "loop": {"loop": {"key": "k", "trips": RATE}},
    "hold": {"limit": [{"key": "k", "rate": RATE, "then": "hold"}]},
    "park": {"limit": [{"key": None, "rate": RATE, "then": "park"}]},
    "drop": {"limit": [{"key": None, "rate": RATE, "then": "drop"}]},
    "budget": {
        "budget": {"key": None, "chats": [2, "h"], "credits": None, "then": "hold", "warn": 0.8, "zone": "UTC"},
    },
    "once": {"once": {"key": "k", "within": None}, "limit": [{"key": None, "rate": RATE, "then": "park"}]},
    "paused": {"limit": [{"key": None, "rate": [1, WAIT], "then": "park"}]},
    "plain": None,
}
claimings = st.tuples(st.sampled_from(sorted(AT_CLAIM)), st.integers(0, WAIT // 2))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(claimings, min_size=1, max_size=12))
async def test_what_is_foreseen_of_a_claim_is_what_the_claim_makes(ledger, clock, steps):
    await ledger.pause_rule("paused", paused=True)
    await ledger.paused_rules()
    for name, later in steps:
        clock.now += later
        await ledger.claim(100)  # those that waited go first
        entry = make_entry(rules=(name,), dispatch={"plan": AT_CLAIM[name]})
        before = await rows(ledger)
        [standing] = await ledger.foresee(entry)
        assert await rows(ledger) == before
        await ledger.accept([entry])
        claimed = {each.dispatch.id for each in await ledger.claim(100)}
        [view] = (await ledger.event(entry.event.id)).dispatches
        foreseen = standing.dispatch
        assert (foreseen.state is State.READY) == (view.id in claimed)
        if foreseen.state is State.READY:
            continue
        assert view.state is foreseen.state
        if foreseen.state is State.HELD:
            assert (foreseen.hold.by, foreseen.hold.until) == (view.held.by, view.held.until)
            assert held_key(foreseen.plan, foreseen.hold.by) == view.held.key
        else:
            assert foreseen.failure == view.failure


async def rows(ledger):
    def count(conn, _):
        return [conn.execute(select(func.count()).select_from(table)).scalar() for table in (events, rule_keys)]

    return await ledger.read(count)
