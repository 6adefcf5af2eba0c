"""What every ledger promises of events that cancel what is held (`delay` with `unless`): whose, and how many."""

from dataclasses import replace

from relay.ledger.queries import cancels
from relay.model import RuleVersion, State
from tests.ledger.build import make_entry

MINUTE = 60_000


def delayed(key, **plan):
    return make_entry(dispatch={"plan": {"delay": {"for": MINUTE, "key": key}, **plan}})


def cancelling(key, **rest):
    return replace(make_entry(**rest), cancels=(("urgent", key),))


async def state_of(ledger, entry):
    [view] = (await ledger.event(entry.event.id)).dispatches
    return view.state


def ids(*entries):
    return [entry.dispatches[0].id for entry in entries]


async def test_an_event_cancels_under_a_former_version_only_what_that_one_has_decided(ledger):
    former, present = (RuleVersion(letter * 16, "urgent", f'{{"name":"{letter}"}}') for letter in "ab")
    entries = []
    for version in (former, present):
        await ledger.keep_versions([version])
        plan = {"delay": {"for": MINUTE, "key": "t"}}
        entries.append(make_entry(dispatch={"plan": plan, "rule_version": version.hash}))
    await ledger.accept(entries)
    assert {each.hash for each in await ledger.holding_versions()} == {former.hash, present.hash}
    solved = replace(make_entry(rules=()), former_cancels=(("urgent", "t", former.hash),))
    [receipt] = await ledger.accept([solved])
    assert [each.id for each in receipt.cancelled] == ids(entries[0])
    assert await state_of(ledger, entries[1]) is State.HELD
    assert await ledger.holding_versions() == (present,)
    [receipt] = await ledger.accept([replace(cancelling("t", rules=()), former_cancels=solved.former_cancels)])
    assert [each.id for each in receipt.cancelled] == ids(entries[1])
    assert await ledger.holding_versions() == ()


async def test_an_event_that_cancels_more_than_one_transaction_should_is_accepted(ledger, monkeypatch):
    """What is held is cancelled some at a time before it; its own delivery's, and its dispatches, as ever."""
    monkeypatch.setattr(cancels, "MOST", 3)
    queued = {"order": {"key": "k", "skip": None}}
    old = [delayed("t", **queued) for _ in range(8)]
    await ledger.accept(old)
    solved, apart = cancelling("t"), make_entry()
    *_, receipt, other = await ledger.accept([own := delayed("t"), solved, apart])
    assert sorted(each.id for each in receipt.cancelled) == sorted(ids(*old, own))
    assert [len(each.dispatches) for each in (receipt, other)] == [1, 1]
    assert {await state_of(ledger, each) for each in [*old, own]} == {State.CANCELLED}
    assert {due.result.data["by"]["eventId"] for due in await ledger.due(20)} == {solved.event.id}
    late = [delayed("t") for _ in range(8)]
    await ledger.accept(late)
    again = replace(solved, event=replace(solved.event, id="other"))
    assert (await ledger.accept([again]))[0].cancelled == ()
    assert {await state_of(ledger, each) for each in late} == {State.HELD}
