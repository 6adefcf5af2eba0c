"""A page of what no index finds takes a bounded time: it stops, and the next one goes on."""

from dataclasses import replace
from functools import partial

import pytest

from relay.ledger.engine.sql import driver
from relay.ledger.queries import scan
from relay.model import EventQuery, EventStatus, Labels, new_id
from tests.ledger.build import created, make_chat, make_entry

RARE = [
    EventQuery(text="needle"),
    EventQuery(type="rare"),
    EventQuery(subject="rare"),
    EventQuery(rule="rare"),
    EventQuery(source="shop", text="needle"),
    EventQuery(status=EventStatus.ACCEPTED, type="rare"),
]


@pytest.fixture
def short(monkeypatch):
    """Four events a statement, one statement a page."""
    monkeypatch.setattr(scan, "LEAST", 4)
    monkeypatch.setattr(scan, "MOST", 4)
    monkeypatch.setattr(scan, "LONG", -1.0)


async def fill(ledger, count, every):
    """Events of which every so many is what is looked for. Returns the ids of those, newest first."""
    rare = []
    for number in range(count):
        is_rare = number % every == 0
        named = {"external_id": f"a needle {number}", "type": "rare", "subject": "rare"} if is_rare else {}
        entry = make_entry(source="shop", rules=("rare",) if is_rare else ("urgent",), **named)
        await ledger.accept([entry])
        rare += [entry.event.id] * is_rare
    return rare[::-1]


async def pages(ledger, query):
    """The pages of a list up to its end."""
    found = [await ledger.events(query)]
    while found[-1].cursor is not None:
        query = replace(query, cursor=found[-1].cursor)
        found.append(await ledger.events(query))
    return found


def ids(found):
    return [view.id for page in found for view in page.events]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("query", RARE, ids=str)
async def test_a_page_stops_and_the_next_one_goes_on(ledger, query):
    rare = await fill(ledger, 22, 7)
    found = await pages(ledger, query)
    assert ids(found) == rare
    assert len(found) == 6
    assert ["this page looked back to " in str(page.notice) for page in found] == [True] * 5 + [False]


async def walk_back(ledger, query, cursor):
    """The pages from the one before `cursor` to the newest one, as one goes by Newer."""
    found = []
    while cursor is not None:
        cursor = await ledger.newer_page(query, cursor)
        found.append(await ledger.events(replace(query, cursor=cursor)))
    return found


@pytest.mark.parametrize("of", [{}, {"source": "shop"}, {"label": ("customer", "Acme")}, {"text": "needle"}], ids=str)
@pytest.mark.parametrize("limit", [1, 3])
async def test_one_goes_back_by_the_pages_by_which_one_came(ledger, of, limit):
    entries = [make_entry(source="shop", external_id=f"needle {number}") for number in range(10)]
    for entry in entries:
        labelled = replace(entry.dispatches[0], labels=Labels({"customer": "Acme"}, {}))
        await ledger.accept([replace(entry, dispatches=(labelled,))])
    query = EventQuery(limit=limit, **of)
    *before, last = await pages(ledger, query)
    back = await walk_back(ledger, query, before[-1].cursor)
    assert [page.events for page in reversed(back)] == [page.events for page in before]
    assert last.events


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("query", RARE, ids=str)
async def test_the_way_back_is_bounded_too_and_leaves_nothing_out(ledger, query):
    rare = await fill(ledger, 22, 7)
    *before, _ = await pages(ledger, query)
    back = await walk_back(ledger, query, before[-1].cursor)
    assert len(back) == 5, "of four events each"
    assert {view.id for page in back for view in page.events} >= set(rare[:-1])


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("limit", [1, 2, 3, 50])
async def test_no_event_is_left_out_or_listed_twice(ledger, limit):
    common = await fill(ledger, 13, 1)
    assert ids(await pages(ledger, EventQuery(text="needle", limit=limit))) == common


async def test_a_quick_look_ends_with_the_events(ledger):
    rare = await fill(ledger, 22, 7)
    [page] = await pages(ledger, EventQuery(text="needle"))
    assert [view.id for view in page.events] == rare
    assert "looked back" not in str(page.notice)


@pytest.mark.usefixtures("short")
async def test_what_an_index_finds_is_on_the_first_page(ledger):
    """However old it is."""
    entry = make_entry(rules=("urgent",))
    await ledger.accept([entry])
    await fill(ledger, 20, 100)
    uuid = new_id()
    while (claims := await ledger.claim(9)) and claims[0].about.event_id != entry.event.id:
        pass
    await ledger.record(created(claims[0], replace(make_chat(), uuid=uuid)))
    for query in (EventQuery(chat_uuid=uuid), EventQuery(text=uuid), EventQuery(text=entry.event.id)):
        assert [view.id for view in (await ledger.events(query)).events] == [entry.event.id], query
        assert ids(await pages(ledger, query)) == [entry.event.id]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_the_event_of_an_id_comes_first_and_once(ledger, limit):
    entry = make_entry()
    await ledger.accept([entry])
    quoting = [make_entry(f"{number} of {entry.event.id}") for number in range(3)]
    for each in quoting:
        await fill(ledger, 4, 100)
        await ledger.accept([each])
    found = ids(await pages(ledger, EventQuery(text=entry.event.id, limit=limit)))
    assert found == [entry.event.id, *(each.event.id for each in quoting[::-1])]


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("limit", [1, 2, 3, 4])
async def test_the_events_of_one_chat_are_all_listed(ledger, limit):
    """A thread goes on in its chat, for as many events as come."""
    uuid, of_chat = new_id(), []
    for _ in range(3):
        entry = make_entry()
        await ledger.accept([entry])
        [claim] = await ledger.claim(9)
        await ledger.record(created(claim, replace(make_chat(), uuid=uuid)))
        of_chat.append(entry.event.id)
        await ledger.accept([make_entry(rules=()) for _ in range(4)])
    found = ids(await pages(ledger, EventQuery(text=uuid, limit=limit)))
    assert sorted(found) == of_chat


@pytest.mark.usefixtures("short")
async def test_since_ends_the_look(ledger, clock):
    await fill(ledger, 8, 4)
    found = await pages(ledger, EventQuery(text="needle", since=clock.now + 10**12))
    assert (ids(found), len(found)) == ([], 1)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("look", ["events", "newer"])
async def test_a_look_passes_by_no_older_events(ledger, store, look):
    """A look at the newest events costs the same however many there are since the time that is asked for."""
    query = EventQuery(text="nothing", since=0)
    took = []
    for _ in range(2):
        entries = [make_entry() for _ in range(60)]
        await ledger.accept(entries)
        calls = {
            "events": partial(ledger.events, query),
            "newer": partial(ledger.newer, query, entries[-1].event.id, 9),
        }
        took.append(await steps_of(store, calls[look]))
    assert took[1] <= took[0] + 5, "of ten instructions each"


async def steps_of(store, call):
    """How often SQLite has counted ten of its instructions meanwhile."""
    count = 0

    def tick():
        nonlocal count
        count += 1

    for conn in store._people:
        driver(conn).set_progress_handler(tick, 10)
    await call()
    for conn in store._people:
        driver(conn).set_progress_handler(None, 0)
    return count
