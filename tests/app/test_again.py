"""A retry: the body that was kept, or what the rule of today makes of the event."""

import json
from dataclasses import replace

import pytest

from relay.errors import Conflict
from relay.intake import retry
from relay.ledger.queries.keys.window import MOST
from relay.model import Failure, ParkReason, State, Verdict, WindowChat, tell
from relay.rules import RuleSpec, compile_rules
from relay.rules.keys.debounce import DebounceBlock
from tests.ledger.build import make_entry, move

NO = Failure("agentNotFound", "Cargo answered 404: no such agent", 404)


def rules(rule, name="mended", trigger="connector", **keys):
    uuid = "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"
    chat = {"name": name, "trigger": {"type": trigger} | ({"connectorUuid": uuid} if trigger == "connector" else {})}
    return compile_rules([RuleSpec(rule, chat=chat, keys=keys)], {})


async def end(ledger, to):
    """A dispatch whose attempt ended so; gives it as it was."""
    await ledger.accept([make_entry()])
    [claim] = await ledger.claim(10)
    parked = to is State.PARKED
    verdict = Verdict.UNKNOWN if parked else Verdict.PERMANENT
    told = tell.failed(claim.about, claim.dispatch, NO, attempts=1, now=1)
    rest = {"park": ParkReason.UNKNOWN} if parked else {"results": (told,)}
    await ledger.record(move(claim, to, verdict=verdict, failure=NO, **rest))
    return claim.dispatch


async def test_a_retry_sends_what_was_kept_and_with_render_what_the_rule_makes_today(ledger):
    dispatch = await end(ledger, State.FAILED)
    kept = await retry(ledger, rules(dispatch.rule), dispatch.id)
    assert (kept.run, kept.body) == (2, dispatch.body)
    [claim] = await ledger.claim(10)
    await ledger.record(move(claim, State.FAILED, verdict=Verdict.PERMANENT, failure=NO))
    anew = await retry(ledger, rules(dispatch.rule), dispatch.id, render=True)
    assert (anew.run, json.loads(anew.body)["name"]) == (3, "mended")


async def test_what_cannot_be_rendered_today_stays_as_it_is(ledger):
    dispatch = await end(ledger, State.FAILED)
    with pytest.raises(Conflict, match=r"data\.gone is missing; correct the rule, then retry it"):
        await retry(ledger, rules(dispatch.rule, "{{ data.gone }}"), dispatch.id, render=True)
    _, after = await ledger.dispatch(dispatch.id)
    assert (after.run, after.state) == (1, State.FAILED)


async def test_a_parked_one_is_not_looked_for_under_another_trigger(ledger):
    """It may have a chat with the old one, and Cargo's list is asked by type."""
    dispatch = await end(ledger, State.PARKED)
    other = "draft" if dispatch.trigger_type == "connector" else "connector"
    with pytest.raises(Conflict, match="cancel it, then replay event"):
        await retry(ledger, rules(dispatch.rule, trigger=other), dispatch.id, render=True)
    same = rules(dispatch.rule, trigger=dispatch.trigger_type)
    assert (await retry(ledger, same, dispatch.id, render=True)).state is State.CHECKING


async def gather(ledger):
    """A full window whose chat could not be rendered; gives its dispatches, the last of which has failed."""
    plan = {"debounce": {"key": "k", "wait": 60_000, "max": 600_000, "keep": "all", "size": 1}}
    entries = [make_entry(body={"n": n}, dispatch={"plan": plan}) for n in range(MOST)]
    entries = [replace(each, dispatches=(replace(each.dispatches[0], body=None),)) for each in entries]
    await ledger.accept(entries)
    [window] = await ledger.gathered()
    failed = replace(window.members[-1][0], failure=Failure("render", "no such path"))
    await ledger.close_windows({window.window: WindowChat(window.count, failed)})
    return [each.dispatches[0] for each in entries]


async def test_a_retry_of_a_window_sees_all_of_its_events_again(ledger):
    """But for one that was sent by itself meanwhile."""
    *others, alone, last = await gather(ledger)
    gathers = DebounceBlock(key="k", wait="1m", keep="all")
    mended = rules(last.rule, "{{ events | map(attribute='data.n') | join(' ') }} of {{ data.n }}", debounce=gathers)
    await retry(ledger, mended, alone.id)
    started = await retry(ledger, mended, last.id)
    name = " ".join(str(n) for n in [*range(MOST - 2), MOST - 1]) + f" of {MOST - 1}"
    assert json.loads(started.body)["name"] == name
    assert {(await ledger.dispatch(each.id))[1].state for each in others} == {State.SUPERSEDED}
    [claim] = [claim for claim in await ledger.claim(10) if claim.dispatch.id == last.id]
    await ledger.record(move(claim, State.FAILED, verdict=Verdict.PERMANENT, failure=NO))
    again = await retry(ledger, mended, last.id, render=True)
    assert json.loads(again.body)["name"] == name
