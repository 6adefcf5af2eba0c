"""What every ledger promises of acts: kept in the transaction of what was done, and only when it was done."""

import pytest

from relay.errors import Conflict, NotFound
from relay.model import ActName, Deed
from tests.ledger.build import make_entry


async def kept(ledger):
    return [(act.actor, act.act, act.target, act.detail) for act in (await ledger.acts(None, 500)).acts]


async def test_acts_are_kept_with_what_was_done_newest_first_in_pages(ledger, clock):
    entry = make_entry()
    await ledger.accept([entry])
    dispatch_id = entry.dispatches[0].id
    await ledger.cancel(dispatch_id, Deed("kim", ActName.DISPATCH_CANCELLED, dispatch_id))
    clock.now += 1
    await ledger.retry(dispatch_id, None, Deed("kim", ActName.DISPATCH_RETRIED, dispatch_id, "rendered"))
    await ledger.pause_source("shop", paused=True, deed=Deed("token", ActName.SOURCE_PAUSED, "shop"))
    await ledger.note_act(Deed("local", ActName.SECRET_SHOWN, "shop"))
    assert await kept(ledger) == [
        ("local", "secret.shown", "shop", None),
        ("token", "source.paused", "shop", None),
        ("kim", "dispatch.retried", dispatch_id, "rendered"),
        ("kim", "dispatch.cancelled", dispatch_id, None),
    ]
    first = await ledger.acts(None, 3)
    rest = await ledger.acts(first.cursor, 3)
    assert (len(first.acts), len(rest.acts), rest.cursor) == (3, 1, None)
    detail = await ledger.event(entry.event.id)
    assert [(act.at, act.act) for act in detail.acts] == [
        (clock.now - 1, "dispatch.cancelled"),
        (clock.now, "dispatch.retried"),
    ]


async def test_what_was_not_done_is_no_act(ledger):
    entry = make_entry()
    await ledger.accept([entry])
    dispatch_id = entry.dispatches[0].id
    with pytest.raises(Conflict):
        await ledger.retry(dispatch_id, None, Deed("kim", ActName.DISPATCH_RETRIED, dispatch_id))
    with pytest.raises(NotFound):
        await ledger.cancel("none", Deed("kim", ActName.DISPATCH_CANCELLED, "none"))
    assert not await ledger.forget("shop", Deed("kim", ActName.SECRET_FORGOTTEN, "shop"))
    assert await kept(ledger) == []


async def test_a_replay_is_an_act_of_its_event(ledger):
    entry = make_entry()
    await ledger.accept([entry])
    again = make_entry(rules=("new",))
    await ledger.extend(entry.event.id, again, again=False, deed=Deed("kim", ActName.EVENT_REPLAYED, entry.event.id))
    assert [act.act for act in (await ledger.event(entry.event.id)).acts] == ["event.replayed"]


async def test_acts_are_pruned_when_they_are_as_old_as_what_is_remembered(ledger, clock):
    await ledger.note_act(Deed("kim", ActName.SECRET_SHOWN, "shop"))
    clock.now += ledger.terms.remember + 1
    await ledger.note_act(Deed("kim", ActName.SECRET_SHOWN, "forms"))
    assert await ledger.prune() == 1
    assert [target for _, _, target, _ in await kept(ledger)] == ["forms"]
