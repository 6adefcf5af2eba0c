"""What every ledger promises of what people ask: pages, filters, text, all about one event, gauges."""

from dataclasses import replace

import pytest

from relay.errors import NotFound
from relay.ledger import SqlLedger, Terms
from relay.model import EventQuery, EventStatus, Failure, Labels, ParkReason, Settled, State, Verdict, tell
from tests.ledger.build import checking, created, make_chat, make_entry, make_event, move, waiting


async def ids_of(ledger, **query):
    """The ids of all pages, one after the other."""
    found, cursor = [], None
    while True:
        page = await ledger.events(EventQuery(cursor=cursor, **query))
        found += [event.id for event in page.events]
        if page.cursor is None:
            return found
        cursor = page.cursor


async def keep(ledger, *entries):
    """Accept entries, one delivery each; gives their event ids, newest first."""
    for entry in entries:
        await ledger.accept([entry])
    return [entry.event.id for entry in reversed(entries)]


def at(moment, entry):
    return replace(entry, event=replace(entry.event, received_at=moment))


async def test_an_empty_ledger_has_one_empty_page(ledger):
    page = await ledger.events(EventQuery())
    assert (page.events, page.cursor) == ((), None)


async def test_pages_give_every_event_once_newest_first(ledger):
    kept = await keep(ledger, *(make_entry() for _ in range(7)))
    assert await ids_of(ledger, limit=3) == kept
    assert await ids_of(ledger, limit=7) == kept, "a last page that is full promises no more"


async def test_events_that_come_in_between_two_pages_shift_nothing(ledger):
    kept = await keep(ledger, *(make_entry() for _ in range(6)))
    first = await ledger.events(EventQuery(limit=2))
    newer = await keep(ledger, *(make_entry() for _ in range(3)))
    rest = await ledger.events(EventQuery(limit=10, cursor=first.cursor))
    assert [event.id for event in (*first.events, *rest.events)] == kept
    assert await ids_of(ledger, limit=2) == newer + kept


FILTERS = {
    "source": {"source": "shop"},
    "type": {"type": "order.paid"},
    "status": {"status": EventStatus.UNMATCHED},
    "since, which is included": {"since": 2_000},
    "until, which is not": {"until": 1_000},
    "text": {"text": "needle"},
    "state": {"state": State.HELD},
}


@pytest.mark.parametrize("name", FILTERS)
async def test_a_filter_holds_over_pages(ledger, name):
    odd = {
        "source": lambda: make_entry(source="shop"),
        "type": lambda: replace(make_entry(), event=replace(make_event(), type="order.paid")),
        "status": lambda: make_entry(rules=()),
        "since, which is included": lambda: at(2_000, make_entry()),
        "until, which is not": lambda: at(999, make_entry()),
        "text": lambda: make_entry(subject="a needle in hay"),
        "state": lambda: make_entry(rules=("one", "two"), dispatch={"state": State.HELD}),
    }[name]
    wanted = []
    for _ in range(5):
        await ledger.accept([at(1_000, make_entry())])
        entry = odd()
        await ledger.accept([entry])
        wanted.insert(0, entry.event.id)
    assert await ids_of(ledger, limit=2, **FILTERS[name]) == wanted


async def test_filters_narrow_each_other(ledger):
    [_, wanted, _] = await keep(
        ledger, make_entry(source="shop"), make_entry(source="shop", rules=()), make_entry(rules=())
    )
    assert await ids_of(ledger, source="shop", status=EventStatus.UNMATCHED) == [wanted]
    assert await ids_of(ledger, source="shop", status=EventStatus.UNREADABLE) == []


async def test_a_state_is_found_whether_it_is_live_or_an_end(ledger):
    await keep(ledger, make_entry("a"), make_entry("b"), make_entry("c"), make_entry("d"))
    claims = {claim.about.external_id: claim for claim in await ledger.claim(4)}
    await ledger.record(created(claims["a"]))
    await ledger.record(waiting(claims["b"], 5_000))
    await ledger.record(move(claims["c"], State.PARKED, park=ParkReason.UNKNOWN))
    found = {
        state: [event.external_id for event in (await ledger.events(EventQuery(state=state))).events] for state in State
    }
    assert {state: ids for state, ids in found.items() if ids} == {
        State.DONE: ["a"],
        State.WAITING: ["b"],
        State.PARKED: ["c"],
        State.SENDING: ["d"],
    }


async def test_rule_state_and_chat_are_of_one_dispatch(ledger):
    entry = make_entry("a", rules=("one", "two"))
    await keep(ledger, entry, make_entry("b", rules=("two",)))
    claims = {(claim.about.external_id, claim.dispatch.rule): claim for claim in await ledger.claim(3)}
    await ledger.record(created(claims["a", "one"]))
    await ledger.record(move(claims["a", "two"], State.PARKED, park=ParkReason.UNKNOWN))
    mine = [entry.event.id]
    assert await ids_of(ledger, rule="one") == mine
    assert len(await ids_of(ledger, rule="two")) == 2
    assert await ids_of(ledger, rule="two", state=State.PARKED) == mine
    assert await ids_of(ledger, rule="one", state=State.PARKED) == []
    assert await ids_of(ledger, rule="two", state=State.SENDING) != mine
    assert await ids_of(ledger, chat_uuid="chat-1") == mine
    assert await ids_of(ledger, chat_uuid="chat-1", rule="two") == []


async def test_a_subject_is_found_in_full_and_not_of_closed_sources(ledger):
    entry = make_entry("a")
    event = replace(entry.event, subject="ticket-7")
    await ledger.accept([replace(entry, event=event)])
    assert await ids_of(ledger, subject="ticket-7") == [event.id]
    assert await ids_of(ledger, subject="ticket") == []
    page = await ledger.events(EventQuery(subject="ticket-7", closed=frozenset({event.source})))
    assert (page.events, bool(page.notice)) == ((), True)


async def test_what_is_newer_has_the_filters_of_the_list(ledger):
    first = make_entry("a")
    await ledger.accept([first])
    labelled = make_entry("b", dispatch={"labels": Labels({"customer": "Acme"}, {})})
    other = make_entry("c", source="shop")
    await keep(ledger, labelled, other)
    ids = [labelled.event.id, other.event.id]
    assert await ledger.newer(EventQuery(), first.event.id, 10) == ids, "the oldest first"
    assert await ledger.newer(EventQuery(), first.event.id, 1) == ids[:1]
    assert await ledger.newer(EventQuery(source="shop"), first.event.id, 10) == ids[1:]
    assert await ledger.newer(EventQuery(label=("customer", "Acme")), first.event.id, 10) == ids[:1]
    assert await ledger.newer(EventQuery(label=("customer", "Acme")), ids[0], 10) == []
    assert await ledger.newer(EventQuery(state=State.DONE), first.event.id, 10) == []


async def test_a_page_shows_dispatches_as_they_stand(ledger, clock):
    entry = make_entry("a", rules=("one", "two"))
    await ledger.accept([entry])
    first, second = sorted(await ledger.claim(2), key=lambda claim: claim.dispatch.rule)
    await ledger.record(created(first))
    await ledger.record(waiting(second, 5_000))
    [event] = (await ledger.events(EventQuery())).events
    assert (event.id, event.external_id, event.status) == (entry.event.id, "a", EventStatus.ACCEPTED)
    done, later = event.dispatches
    assert (done.state, done.chat_uuid, done.agent_uuid, done.attempts) == (State.DONE, "chat-1", "agent-1", 1)
    assert (later.state, later.chat_uuid, later.due_at) == (State.WAITING, None, clock.now + 5_000)


RAW = {
    "in the middle of other bytes": (b"\x80\xff caf\xc3\xa9 \x00", "caf\u00e9"),
    "with a wildcard": (b"100% sure_thing", "% sure_"),
    "quoted": (b"it's \\ here", "'s \\"),
}


@pytest.mark.parametrize("name", RAW)
async def test_text_is_found_byte_by_byte_in_a_body_that_is_no_text(ledger, name, request):
    raw, text = RAW[name]
    event = replace(make_event("odd"), raw=raw, data=None, unreadable="not JSON")
    wanted = replace(make_entry(rules=()), event=event, status=EventStatus.UNREADABLE)
    await keep(ledger, wanted, make_entry("other"))
    page = await ledger.events(EventQuery(text=text))
    sealed = "sealed" in request.node.callspec.id
    assert [view.id for view in page.events] == ([] if sealed else [event.id])
    assert bool(page.notice) == sealed, "that bodies were not searched is said"
    assert await ids_of(ledger, text=text + "?") == []


async def test_text_is_found_in_ids_type_and_subject(ledger):
    entry = make_entry("Order_100%", subject="people/7", dispatch={"state": State.READY})
    await keep(ledger, entry, make_entry("order-100x", subject="persons/7"))
    claim = next(claim for claim in await ledger.claim(2) if claim.about.event_id == entry.event.id)
    await ledger.record(created(claim, make_chat("5f9f1d5e")))
    for text in ("Order_100%", "r_100%", "people/", entry.event.id, claim.dispatch.id, "5f9f1d5e"):
        assert await ids_of(ledger, text=text) == [entry.event.id], text
    assert len(await ids_of(ledger, text="ticket.crea")) == 2
    assert await ids_of(ledger, text="ORDER_100%") == [], "letter by letter, on either database"


async def test_all_about_an_event_by_its_id_or_by_that_of_a_dispatch(ledger, clock):
    entry = make_entry("a", reply_to="answers", headers={"x-kind": "test"}, subject="s", time=5)
    await ledger.accept([entry])
    [claim] = await ledger.claim(1)
    clock.now += 10
    failure = Failure("retryable", "away", 503)
    await ledger.record(waiting(claim, 1_000, failure=failure))
    clock.now += 1_000
    [again] = await ledger.claim(1)
    clock.now += 7
    await ledger.record(created(again))
    detail = await ledger.event(entry.event.id)
    assert await ledger.event(claim.dispatch.id) == detail
    assert (detail.event, detail.status) == (entry.event, EventStatus.ACCEPTED)
    assert [(each.state, each.chat_uuid) for each in detail.dispatches] == [(State.DONE, "chat-1")]
    first, second = detail.attempts
    assert (first.number, first.verdict, first.failure, first.ended_at - first.started_at) == (
        1,
        "retryable",
        failure,
        10,
    )
    assert (second.number, second.verdict, second.chat_uuid, second.ended_at) == (2, "created", "chat-1", clock.now)
    [told] = detail.results
    assert (told.result.chat_uuid, told.pending, told.undeliverable) == ("chat-1", {"": None, "answers": None}, ())


async def test_a_result_shows_where_it_is_still_due_and_where_it_was_given_up(ledger):
    entry = make_entry("a", reply_to="answers")
    await ledger.accept([entry])
    [claim] = await ledger.claim(1)
    await ledger.record(created(claim))
    result_id = f"{claim.dispatch.id}.1"
    await ledger.settle(Settled(result_id, "", confirmed=False, retry_in=5_000, error="unroutable: no queue is bound"))
    await ledger.settle(Settled(result_id, "answers", confirmed=False, undeliverable=True))
    [told] = (await ledger.event(entry.event.id)).results
    assert (told.pending, told.undeliverable) == ({"": "unroutable: no queue is bound"}, ("answers",))
    assert (await ledger.gauges()).unroutable == 1


async def test_what_is_not_there_is_not_found(ledger):
    for ask in (ledger.event, ledger.load, ledger.dispatch, ledger.cancel):
        with pytest.raises(NotFound, match="gone"):
            await ask("gone")
    with pytest.raises(NotFound, match="gone"):
        await ledger.retry("gone", None)
    with pytest.raises(NotFound, match="gone"):
        await ledger.extend("gone", make_entry(), again=False)


async def test_an_event_and_a_dispatch_come_back_as_they_went_in(ledger):
    event = make_event("a", origin="/crm", correlation_id="c", traceparent="00-1-2-01", content_type="text/plain")
    entry = make_entry("a", dispatch={"message": "Hello", "name": "Ticket", "on_unknown": "retry"})
    dispatch = replace(entry.dispatches[0], event_id=event.id)
    await ledger.accept([replace(entry, event=event, dispatches=(dispatch,))])
    assert await ledger.load(event.id) == event
    assert await ledger.dispatch(dispatch.id) == (event, dispatch)


async def test_data_that_is_not_the_json_of_the_body_comes_back_too(ledger):
    event = replace(make_event("a"), raw=b"a=1&b=2", data={"a": "1", "b": "2"})
    await ledger.accept([replace(make_entry("a", rules=()), event=event)])
    assert (await ledger.load(event.id)).data == {"a": "1", "b": "2"}


async def test_gauges_count_what_is_due_waiting_checking_parked_and_untold(ledger, clock):
    await keep(ledger, *(make_entry() for _ in range(5)))
    clock.now += 3_000
    assert (await ledger.gauges()).oldest_due == 3_000
    done, later, doubt, parked = await ledger.claim(4)
    await ledger.record(created(done))
    await ledger.record(waiting(later, 60_000))
    await ledger.record(checking(doubt))
    failure = Failure("unknown", "no answer")
    told = tell.parked(parked.about, parked.dispatch, ParkReason.UNKNOWN, failure, attempts=1, now=1)
    await ledger.record(move(parked, State.PARKED, park=ParkReason.UNKNOWN, failure=failure, results=(told,)))
    gauges = await ledger.gauges()
    assert (gauges.due, gauges.unfinished, gauges.checking, gauges.unpublished) == (1, 3, 1, 2)
    assert (gauges.parked, gauges.paused, gauges.unroutable) == ({"unknown": 1}, {}, 0)


async def test_while_paused_nothing_counts_as_due(ledger, clock):
    await keep(ledger, make_entry())
    clock.now += 1_000
    await ledger.pause("unauthorized")
    gauges = await ledger.gauges()
    assert (gauges.due, gauges.oldest_due, gauges.held, gauges.unfinished) == (0, 0, 1, 1)
    assert gauges.paused == {"unauthorized": clock.now}
    await ledger.resume("unauthorized")
    gauges = await ledger.gauges()
    assert (gauges.due, gauges.oldest_due, gauges.held, gauges.paused) == (1, 1_000, 0, {})


async def test_while_the_rate_is_used_up_nothing_counts_as_due(store, clock):
    ledger = SqlLedger(store, Terms(owner="one", spacing=400.0, high_water=50))
    await keep(ledger, *(make_entry() for _ in range(9)))
    assert (await ledger.gauges()).high_water == 50
    assert (await ledger.gauges()).due == 9
    taken = len(await ledger.claim(9))
    gauges = await ledger.gauges()
    assert (gauges.due, gauges.held) == (0, 0), "more replicas would not help, and nothing is paused"
    clock.now += taken * 400
    assert (await ledger.gauges()).due == 9 - taken


async def test_a_source_stays_paused_until_it_is_resumed(ledger, other, clock):
    assert await ledger.paused_sources() == frozenset()
    await ledger.pause_source("shop", paused=True)
    clock.now += 1
    await ledger.pause_source("shop", paused=True)
    assert await other.paused_sources() == {"shop"}
    await other.pause_source("shop", paused=False)
    await other.pause_source("shop", paused=False)
    assert await ledger.paused_sources() == frozenset()


async def test_a_source_is_known_by_its_last_event(ledger):
    await keep(ledger, at(7_000, make_entry()), at(9_000, make_entry()), at(8_000, make_entry(source="shop")))
    assert await ledger.last_events(["helpdesk", "shop", "crm"]) == {"helpdesk": 9_000, "shop": 8_000}


async def test_an_attempt_that_never_ended_is_shown_so(ledger):
    await keep(ledger, make_entry())
    [claim] = await ledger.claim(1)
    [attempt] = (await ledger.event(claim.dispatch.id)).attempts
    assert (attempt.ended_at, attempt.verdict, attempt.failure) == (None, None, None)
    await ledger.record(checking(claim, verdict=Verdict.UNKNOWN))
    [attempt] = (await ledger.event(claim.dispatch.id)).attempts
    assert attempt.verdict == "unknown"


async def test_a_ledger_that_is_there_answers(ledger):
    await ledger.ping()
