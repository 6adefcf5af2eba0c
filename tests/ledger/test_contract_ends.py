"""What every ledger promises of the ends of ids: whole where the end is unique, the candidates where it is not."""

from dataclasses import replace

import pytest

from relay.errors import Ambiguous, NotFound
from relay.ledger.queries import ends
from relay.model import Kind
from tests.ledger.build import make_entry
from tests.ledger.test_contract_dead import bury


async def keep(ledger, end):
    """An event and its dispatch; the event's id has this end."""
    entry = make_entry()
    event = replace(entry.event, id=entry.event.id[: -len(end)] + end)
    [dispatch] = entry.dispatches
    dispatch = replace(dispatch, event_id=event.id, id=dispatch.id[:-5] + "d" + end[-4:])
    await ledger.accept([replace(entry, event=event, dispatches=(dispatch,))])
    return event.id, dispatch.id


async def test_a_unique_end_is_the_whole_id(ledger, clock):
    event_id, dispatch_id = await keep(ledger, "aaaaabcd")
    letter = bury(0x123456, clock)
    await ledger.note_dead(letter)
    assert await ledger.whole_id("aaaaabcd", Kind.EVENT, Kind.DISPATCH) == event_id
    assert await ledger.whole_id("AABCD", Kind.EVENT) == event_id
    assert await ledger.whole_id(event_id[9:], Kind.EVENT) == event_id
    assert await ledger.whole_id("dabcd", Kind.EVENT, Kind.DISPATCH) == dispatch_id
    assert await ledger.whole_id("123456", Kind.DEAD) == letter.id
    assert await ledger.whole_id(event_id, Kind.EVENT) == event_id


async def test_an_end_of_several_names_them(ledger):
    pairs = [await keep(ledger, f"{number:04x}beef") for number in range(12)]
    await keep(ledger, "0001beef")
    with pytest.raises(Ambiguous, match="several ids end in 0001beef") as caught:
        await ledger.whole_id("0001beef", Kind.EVENT)
    assert f"{pairs[1][0]} (event)" in str(caught.value)
    with pytest.raises(Ambiguous, match="and more; give more of it") as caught:
        await ledger.whole_id("beef", Kind.EVENT, Kind.DISPATCH)
    assert str(caught.value).count("(event)") == ends.SHOWN


async def test_the_end_of_an_event_and_of_a_dispatch_are_candidates_beside_each_other(ledger):
    event_id, dispatch_id = await keep(ledger, "0000dabcd")
    with pytest.raises(Ambiguous, match=rf"{event_id} \(event\), {dispatch_id} \(dispatch\)"):
        await ledger.whole_id("dabcd", Kind.EVENT, Kind.DISPATCH)
    assert await ledger.whole_id("dabcd", Kind.DISPATCH) == dispatch_id


async def test_an_end_of_none_is_not_found(ledger):
    await keep(ledger, "aaaaabcd")
    with pytest.raises(NotFound, match=r"no id of the newest 100,000 ends in 9999 \(event or dispatch\)"):
        await ledger.whole_id("9999", Kind.EVENT, Kind.DISPATCH)


@pytest.mark.parametrize("given", ["bcd", "%bcd", "_abcd", "no-id", "x" * 36, "a" * 40])
async def test_what_is_no_end_of_an_id_stays_as_it_is(ledger, given):
    await keep(ledger, "aaaaabcd")
    assert await ledger.whole_id(given, Kind.EVENT) == given


async def test_only_the_newest_ids_are_compared(ledger, monkeypatch):
    monkeypatch.setattr(ends, "SPAN", 2)
    old, *_, new = [(await keep(ledger, f"{number:04x}abcd"))[0] for number in range(3)]
    assert await ledger.whole_id("0002abcd", Kind.EVENT) == new
    with pytest.raises(NotFound, match="give the whole id of an older one"):
        await ledger.whole_id("0000abcd", Kind.EVENT)
    assert await ledger.whole_id(old, Kind.EVENT) == old
