"""What every ledger promises of the records of dead letters: listed in pages, marked, bounded, pruned."""

from dataclasses import replace

from relay.ledger.queries import dead
from relay.model import DeadLetter


def bury(number, clock, source="bus", **changes):
    """A letter whose id sorts by its number."""
    stamp = f"{clock.now:012x}"
    letter = DeadLetter(
        id=f"{stamp[:8]}-{stamp[8:]}-7000-8000-{number:012x}",
        at=clock.now,
        source=source,
        queue="crm.events",
        reason="json",
        error="line 1: not JSON",
        routing_key="deal.won",
        message_id=None,
        type=None,
        content_type="application/json",
        headers={"x-team": "Zürich \u2028"},
        size=12,
        digest="ab" * 32,
    )
    return replace(letter, **changes)


async def keep(ledger, *letters):
    for letter in letters:
        await ledger.note_dead(letter)
    return list(letters)


async def listed(ledger, source=None):
    return list((await ledger.dead(source, None, 500)).letters)


async def test_letters_are_listed_newest_first_in_pages_of_all_or_of_one_source(ledger, clock):
    letters = await keep(ledger, *(bury(number, clock, "bus" if number % 2 else "shop") for number in range(5)))
    newest = letters[::-1]
    first = await ledger.dead(None, None, 2)
    assert list(first.letters) == newest[:2]
    second = await ledger.dead(None, first.cursor, 2)
    assert list(second.letters) == newest[2:4]
    last = await ledger.dead(None, second.cursor, 2)
    assert (list(last.letters), last.cursor) == (newest[4:], None)
    assert await listed(ledger, "bus") == [letter for letter in newest if letter.source == "bus"]


async def test_a_letter_that_was_noted_twice_is_one_record_and_a_dropped_one_none(ledger, clock):
    [first, second] = await keep(ledger, bury(1, clock), bury(2, clock))
    await ledger.note_dead(replace(first, reason="other"))
    await ledger.drop_dead(second.id)
    assert await listed(ledger) == [first]


async def test_what_was_sent_back_says_when(ledger, clock):
    [first, second] = await keep(ledger, bury(1, clock), bury(2, clock))
    clock.now += 5
    await ledger.requeued([first.id, "no-such-id"])
    assert await listed(ledger) == [second, replace(first, requeued_at=clock.now)]


async def test_records_are_pruned_by_age_and_beyond_the_newest_of_each_source(ledger, clock, monkeypatch):
    monkeypatch.setattr(dead, "MOST", 3)
    monkeypatch.setattr(dead, "AT_ONCE", 4)
    await keep(ledger, bury(0, clock, "shop"))
    clock.now += ledger.terms.retain + 1
    kept = await keep(ledger, *(bury(number, clock) for number in range(1, 10)), bury(10, clock, "shop"))
    assert await ledger.prune() == 1 + 4
    assert await ledger.prune() == 2
    assert await ledger.prune() == 0
    assert await listed(ledger) == kept[::-1][:4]
