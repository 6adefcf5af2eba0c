"""What a rule holds is cancelled as the rule said when it decided, whatever became of the rule meanwhile."""

import pytest

from relay.app.former import FormerRules, hand_over
from relay.config import Rule
from relay.intake.entry import make_entry
from relay.model import State, new_id
from relay.rules import RuleSpec, compile_rules, make_version
from tests.app.reloading import CHAT, configure, living
from tests.ledger.build import make_event

SOURCES = {
    "crm": {
        "type": "webhook",
        "scheme": "bearer",
        "secret": "first-secret-of-crm",
        "event": {"id": "{{ data.id }}", "type": "{{ data.type }}"},
    }
}


def rule(name="ask", ends="solved"):
    unless = [{"type": ends, "key": "{{ data.ticket }}"}]
    delay = {"for": "1h", "key": "{{ data.ticket }}", "unless": unless}
    return {"name": name, "type": "opened", "delay": delay, "chat": CHAT}


OTHER = {"name": "other", "type": "other", "chat": CHAT}
CHANGES = {"removed": [OTHER], "renamed": [rule("asks")], "changed": [rule(ends="closed")]}


async def state_of(relay, event_id):
    _, shown = await relay.ask("GET", f"/api/events/{event_id}")
    [dispatch] = shown["dispatches"]
    return dispatch["state"]


async def post(relay, number, kind, ticket):
    status, answer = await relay.post(id=number, type=kind, ticket=ticket)
    assert status == 202, answer
    return answer["events"][0]["id"]


@pytest.mark.parametrize("change", CHANGES)
async def test_what_a_rule_holds_is_cancelled_as_it_said_after_a_reload_and_a_restart(tmp_path, change):
    file = tmp_path / "relay.yaml"
    async with living(file, configure(tmp_path, sources=SOURCES, rules=[rule()])) as relay:
        held = [await post(relay, number, "opened", f"t-{number}") for number in range(2)]
        relay.write(configure(tmp_path, sources=SOURCES, rules=CHANGES[change]))
        await relay.ask("POST", "/api/reload")
        await post(relay, 10, "solved", "t-0")
        assert [await state_of(relay, each) for each in held] == ["cancelled", "held"]
    async with living(file) as relay:
        await post(relay, 11, "solved", "t-1")
        assert await state_of(relay, held[1]) == "cancelled"


async def test_a_former_version_cancels_nothing_that_another_has_decided(tmp_path):
    file = tmp_path / "relay.yaml"
    async with living(file, configure(tmp_path, sources=SOURCES, rules=[rule()])) as relay:
        before = await post(relay, 1, "opened", "t")
        relay.write(configure(tmp_path, sources=SOURCES, rules=[rule(ends="closed")]))
        await relay.ask("POST", "/api/reload")
        after = await post(relay, 2, "opened", "t")
        await post(relay, 3, "solved", "t")
        assert [await state_of(relay, each) for each in (before, after)] == ["cancelled", "held"]


def rules_of(*rules):
    versions = [make_version(each.name, each.text, {}) for each in rules]
    return compile_rules([each.spec for each in rules], {}, versions)


async def test_former_rules_are_forgotten_when_they_hold_nothing_any_more(ledger):
    old, new = rules_of(Rule.model_validate(rule())), rules_of(Rule.model_validate(OTHER))
    await ledger.keep_versions(old.versions)
    event = make_event(type="opened", body={"ticket": "t"})
    await ledger.accept([make_entry(event, old, ids=new_id, now=0)])
    hand_over(old, new)
    former = FormerRules(ledger, lambda: new)
    await former.refresh()
    assert [each.versions for each in new.former] == [old.versions]
    solved = make_event(type="solved", body={"ticket": "t"})
    entry = make_entry(solved, new, ids=new_id, now=0)
    assert entry.former_cancels == (("ask", "t", old.versions[0].hash),)
    [receipt] = await ledger.accept([entry])
    assert [each.event_id for each in receipt.cancelled] == [event.id]
    assert (await ledger.event(event.id)).dispatches[0].state is State.CANCELLED
    await former.refresh()
    assert new.former == ()


def test_rules_without_unless_are_not_handed_over():
    old, new = (compile_rules([RuleSpec("deal", chat={"trigger": {"type": "draft"}})], {}) for _ in range(2))
    hand_over(old, new)
    assert new.former == ()
