"""A retry: the body that was kept, or what the rule of today makes of the event."""

import json

import pytest

from relay.errors import Conflict
from relay.intake import retry
from relay.model import Failure, ParkReason, State, Verdict, tell
from relay.rules import RuleSpec, compile_rules
from tests.ledger.build import make_entry, move

NO = Failure("agentNotFound", "Cargo answered 404: no such agent", 404)


def rules(rule, name="mended", trigger="connector"):
    uuid = "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"
    chat = {"name": name, "trigger": {"type": trigger} | ({"connectorUuid": uuid} if trigger == "connector" else {})}
    return compile_rules([RuleSpec(rule, chat=chat)], {})


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
