"""What every ledger promises of erasing: nothing that came in is left, and what is under way is left alone."""

import json
from dataclasses import replace

import pytest
from sqlalchemy import text

from relay.errors import Conflict
from relay.ledger import SqlLedger, Terms, Vault, open_ledger
from relay.ledger.schema import metadata
from relay.model import (
    ERASED,
    NOBODY,
    Erased,
    Erasure,
    EventQuery,
    Failure,
    HeldBy,
    Hold,
    Kept,
    Labels,
    Outlet,
    ParkReason,
    ProblemKey,
    ProblemKind,
    ProblemQuery,
    Rejection,
    ReplayAim,
    Sighting,
    Sightings,
    Skip,
    Spared,
    State,
    Verdict,
    Watched,
    Why,
    WindowChat,
    new_id,
    tell,
)
from tests.ledger.build import checking, created, make_entry, move
from tests.ledger.conftest import KEY

CANARY = "canary-kim-7"
ASKED = Erasure(subject=CANARY)
FAILED = Failure("refused", f"no {CANARY}", 400)


def make_telling(*, rules=("urgent",), **rest):
    """An entry of which each part has the canary."""
    names = dict.fromkeys(("subject", "origin", "correlation_id", "traceparent"), CANARY)
    dispatch = {
        **dict.fromkeys(("message", "follow", "name"), CANARY),
        "labels": Labels({"customer": CANARY}, {"other": CANARY}),
        "outlet": Outlet("own", CANARY),
        "plan": {"priority": 5, "order": {"key": CANARY}},
    }
    rest |= {"body": {"mail": CANARY}, "headers": {"x-user": CANARY}, "reply_to": "amq.gen-caller"}
    entry = make_entry(CANARY, rules=rules, dispatch=dispatch, **names, **rest)
    body = json.dumps({"trigger": {"type": "connector"}, "prompt": CANARY})
    made = tuple(replace(each, body=body) for each in entry.dispatches)
    return replace(entry, dispatches=made, skips=(Skip("shadow", Why.SHADOW, CANARY),))


async def stored(ledger):
    """All that the tables hold, as text, by table."""

    def read(conn, _):
        return {
            table.name: repr([tuple(row) for row in conn.execute(text(f"SELECT * FROM {table.name}"))])
            for table in metadata.sorted_tables
        }

    return await ledger.read(read)


async def where(ledger):
    """The tables in which the canary stands."""
    return {name for name, rows in (await stored(ledger)).items() if CANARY in rows}


async def finish(ledger, to=State.FAILED):
    [claim] = await ledger.claim(1)
    if to is State.DONE:
        chat = replace(created(claim).chat, name=CANARY)
        return await ledger.record(replace(created(claim, chat), to=State.DONE))
    told = tell.failed(claim.about, claim.dispatch, FAILED, attempts=1, now=1)
    return await ledger.record(move(claim, to, verdict=Verdict.PERMANENT, failure=FAILED, results=(told,)))


async def test_nothing_of_a_finished_event_is_left_but_ids_times_and_states(ledger):
    entry, other = make_telling(), make_entry()
    await ledger.accept([entry])
    await finish(ledger)
    await ledger.accept([other])
    before = await ledger.event(entry.event.id)
    done = await ledger.erase(ASKED, "kim")
    assert (done.events, done.cancelled, done.left) == (1, 0, ())
    assert await where(ledger) == set()
    after = await ledger.event(entry.event.id)
    assert (after.event.unreadable, after.event.raw, after.event.headers) == (ERASED, b"", {})
    assert (after.status, after.event.received_at) == (before.status, before.event.received_at)
    [was], [now] = before.dispatches, after.dispatches
    assert (now.state, now.attempts, now.created_at, now.failure.code) == (was.state, 1, was.created_at, "refused")
    [result] = after.results
    assert (result.result.routing_key, result.result.data["labels"]) == ("chat.failed.helpdesk.urgent", {})
    assert result.result.data["error"] == {"code": "failed", "reason": "refused", "status": 400, "message": ""}
    assert (await ledger.event(other.event.id)).event.data == {"ticket": 1}
    assert await ledger.erase(ASKED, "kim") == Erased()
    [act] = (await ledger.acts(None, 9)).acts
    assert (act.actor, act.act, act.target, act.detail) == ("kim", "events.erased", "all", "1 event by subject")


async def test_a_repeat_of_the_sender_is_known_still(ledger):
    entry = make_telling(rules=())
    await ledger.accept([entry])
    await ledger.erase(ASKED, "kim")
    [receipt] = await ledger.accept([make_telling(rules=())])
    assert receipt.id == entry.event.id


@pytest.mark.parametrize(
    "asked", [ASKED, Erasure(label=("customer", CANARY)), Erasure(external_id=CANARY, source="helpdesk")], ids=str
)
async def test_events_are_found_by_subject_label_or_id(ledger, asked):
    await ledger.accept([make_telling()])
    await ledger.accept([make_entry(subject="other")])
    assert (await ledger.erase(replace(asked, source="shop"), "kim")).events == 0
    assert (await ledger.erase(asked, "kim")).events == 1
    assert len((await ledger.events(EventQuery(text=CANARY))).events) == 0


async def test_what_waits_is_cancelled_and_told_without_what_is_erased(ledger):
    held = make_telling(rules=("one", "two"))
    hold = Hold(HeldBy.DELAY, until=2_000_000_000_000)
    made = (replace(held.dispatches[0], state=State.HELD, hold=hold), held.dispatches[1])
    await ledger.accept([replace(held, dispatches=made)])
    [claim] = await ledger.claim(1)
    parked = tell.parked(claim.about, claim.dispatch, ParkReason.UNKNOWN, FAILED, attempts=1, now=1)
    checked = await ledger.record(checking(claim))
    assert checked is not None
    [doubt] = await ledger.doubts(1)
    to = replace(move(doubt.claim, State.PARKED), failure=FAILED, park=ParkReason.UNKNOWN, results=(parked,))
    await ledger.record(to)
    done = await ledger.erase(ASKED, "kim")
    assert (done.events, done.cancelled) == (1, 2)
    assert {view.state for view in (await ledger.event(held.event.id)).dispatches} == {State.CANCELLED}
    due = await ledger.due(10)
    assert {each.result.data["error"]["code"] for each in due} == {"unknown", "cancelled"}
    assert {each.destination for each in due} == {"", "amq.gen-caller"}  # who waits for an answer gets one
    assert await where(ledger) == set()


async def test_what_is_under_way_is_left_and_erased_once_it_has_ended(ledger):
    entry = make_telling(rules=("one", "two"))
    await ledger.accept([entry])
    [claim] = await ledger.claim(1)
    done = await ledger.erase(ASKED, "kim")
    assert (done.events, done.left) == (0, (Spared(entry.event.id, claim.dispatch.id, State.SENDING),))
    assert {view.state for view in (await ledger.event(entry.event.id)).dispatches} == {State.SENDING, State.READY}
    assert (await ledger.acts(None, 9)).acts == ()
    chat = created(claim)
    await ledger.record(replace(chat, to=State.MESSAGING))
    assert [each.state for each in (await ledger.erase(ASKED, "kim")).left] == [State.MESSAGING]
    [again] = await ledger.claim(1)
    sending = again if again.state is State.MESSAGING else (await ledger.claim(1))[0]
    await ledger.record(move(sending, State.DONE))
    while left := (await ledger.erase(ASKED, "kim")).left:
        [spared] = left
        assert spared.state is State.SENDING
        await ledger.record(move(again, State.FAILED, verdict=Verdict.PERMANENT, failure=FAILED))
    assert (await ledger.event(entry.event.id)).event.unreadable == ERASED


async def test_chats_are_listed(ledger):
    await ledger.accept([make_telling()])
    await finish(ledger, State.DONE)
    assert tuple((await ledger.erase(ASKED, "kim")).chats) == ("chat-1",)


async def test_what_was_erased_is_neither_retried_nor_replayed(ledger):
    entry = make_telling()
    await ledger.accept([entry])
    await finish(ledger)
    await ledger.erase(ASKED, "kim")
    with pytest.raises(Conflict, match="erased by a person"):
        await ledger.retry(entry.dispatches[0].id, entry.dispatches[0])
    with pytest.raises(Conflict, match="erased by a person"):
        await ledger.extend(entry.event.id, make_entry(), again=True)
    assert await where(ledger) == set()


def make_member(subject=None):
    """An entry that a window gathers."""
    window = {"key": "k", "wait": 60_000, "max": 600_000, "keep": "all", "size": 100}
    entry = make_entry(subject=subject, dispatch={"plan": {"debounce": window}})
    return replace(entry, dispatches=(replace(entry.dispatches[0], body=None),))


async def close(ledger, body):
    found = {
        each.window: WindowChat(each.count, replace(each.members[-1][0], body=body)) for each in await ledger.gathered()
    }
    return await ledger.close_windows(found)


async def test_a_chat_of_several_events_loses_its_texts_with_one_of_them(ledger, clock):
    member, last = make_member(CANARY), make_member()
    await ledger.accept([member])
    await ledger.accept([last])
    clock.now += 60_000
    assert (await close(ledger, json.dumps({"prompt": CANARY}))).going
    [left] = (await ledger.erase(ASKED, "kim")).left
    assert left == Spared(member.event.id, last.dispatches[0].id, State.READY)
    await finish(ledger)
    assert (await ledger.erase(ASKED, "kim")).events == 1
    detail = await ledger.event(last.event.id)
    assert (detail.event.data, detail.dispatches[0].body) == ({"ticket": 1}, None)
    assert await where(ledger) == set()


async def test_a_window_goes_on_without_an_event_that_was_erased(ledger, clock):
    member, last = make_member(CANARY), make_member()
    await ledger.accept([member])
    await ledger.accept([last])
    clock.now += 60_000
    [before] = await ledger.gathered()
    done = await ledger.erase(ASKED, "kim")
    assert (done.events, done.cancelled) == (1, 1)
    stale = WindowChat(before.count, replace(before.members[-1][0], body=json.dumps({"prompt": CANARY})))
    assert not (await ledger.close_windows({before.window: stale})).going
    assert [dispatch.id for dispatch in (await close(ledger, "{}")).going] == [last.dispatches[0].id]
    assert await where(ledger) == set()


async def test_refused_requests_that_hold_the_text_go(ledger):
    def refused(body, source="helpdesk"):
        kept = Kept("POST", "/hooks/x", {"x-user": "someone"}, body, 2_000_000_000_000)
        headers = {"a": "b"}
        return Rejection(new_id(), 1, source, 401, "wrong", "hint", None, headers, 9, "ab", kept)

    holding, other = refused(f'{{"a":"{CANARY}"}}'.encode()), refused(b"{}")
    became = refused(b"[]")
    for rejection in (holding, other, became):
        await ledger.reject(rejection)
    entry = make_telling(rules=())
    await ledger.accept([entry])
    await ledger.readmitted(became.id, [entry.event.id])
    done = await ledger.erase(ASKED, "kim")
    assert (done.events, done.requests) == (1, 1)
    views = {view.rejection.id: view for view in await ledger.rejected(None, 9)}
    assert {each for each, view in views.items() if view.kept_until} == {other.id}
    assert {each for each, view in views.items() if not view.rejection.headers} == {holding.id, became.id}


async def test_many_events_take_several_turns(ledger):
    for _ in range(3):
        await ledger.accept([make_entry(subject=CANARY, rules=()) for _ in range(40)])
    assert (await ledger.erase(ASKED, "kim")).events == 120
    assert [act.detail for act in (await ledger.acts(None, 9)).acts] == [
        "20 events by subject",
        "50 events by subject",
        "50 events by subject",
    ]


async def test_the_ids_of_the_sender_stay_unless_the_text_stands_in_them(ledger):
    await ledger.accept([make_entry("order-7", subject=CANARY, correlation_id="call-7", reply_to="amq.gen-caller")])
    await ledger.accept([make_entry(f"{CANARY}-8", subject=CANARY, correlation_id=f"of {CANARY.upper()}")])
    for _ in range(2):
        [claim] = await ledger.claim(1)
        told = tell.failed(claim.about, claim.dispatch, FAILED, attempts=1, now=1)
        await ledger.record(move(claim, State.FAILED, verdict=Verdict.PERMANENT, failure=FAILED, results=(told,)))
    assert (await ledger.erase(ASKED, "kim")).events == 2
    last, first = [(await ledger.event(view.id)) for view in (await ledger.events(EventQuery())).events]
    assert (first.event.external_id, first.event.correlation_id) == ("order-7", "call-7")
    assert (last.event.external_id, last.event.correlation_id) == (None, None)
    [(_, answer), (_, other)] = await ledger.follow(0, 9)
    for result, ids in ((answer, ("call-7", "order-7", "call-7")), (other, (last.event.id, None, None))):
        assert (result.correlation_id, result.data["externalId"], result.data["correlationId"]) == ids


async def test_problems_and_replays_quote_it_no_longer(store):
    ledger = SqlLedger(store, Terms(owner="one", receivers=("a",)))
    entry = make_entry(subject=CANARY)
    await ledger.accept([entry])
    aim = ReplayAim(0, 1, label=("customer", CANARY))
    job = await ledger.start_job(new_id(), "replay", aim, "kim")
    quoting = ProblemKey(ProblemKind.FAILURES, rule="urgent", code="render", detail=f"the text {CANARY}")
    of_event = replace(quoting, detail="name of Kim")  # what a template made of the text
    seen = (Sighting(quoting), Sighting(of_event, event_id=entry.event.id))
    await ledger.watch(Sightings(seen), Watched({}, 300_000, running=0))
    assert await where(ledger) >= {"problems", "results", "alerts", "jobs"}
    assert (await ledger.erase(ASKED, "kim")).events == 1
    assert await where(ledger) == set()
    assert {problem.key.detail for problem in (await ledger.problems(ProblemQuery())).problems} == {None}
    told = [result.data for _, result in await ledger.follow(0, 9) if result.source == NOBODY]
    assert [data["detail"] for data in told] == [None, None]
    assert [json.loads(alert.body)["data"]["detail"] for alert in await ledger.due_alerts(9)] == [None, None]
    assert (await ledger.job(job.id)).aim.label == ("customer", ERASED)


@pytest.mark.parametrize("vault", [Vault(), Vault(KEY)], ids=["plain", "sealed"])
async def test_no_file_has_it_any_more(tmp_path, vault):
    ledger = await open_ledger(f"sqlite:///{tmp_path}/relay.db", Terms(owner="one"), vault=vault)
    entries = [make_telling(rules=("urgent",), delivery=None) for _ in range(3)]
    for number, entry in enumerate(entries):
        event = replace(entry.event, external_id=f"{CANARY}-{number}", raw=(CANARY * 2_000).encode())
        await ledger.accept([replace(entry, event=event)])
        await finish(ledger)
    assert found(tmp_path)
    done = await ledger.erase(ASKED, "kim")
    assert (done.events, done.compacted) == (3, True)
    assert found(tmp_path) == []
    await ledger.aclose()
    assert found(tmp_path) == []


def found(folder):
    """The ledger's files in which the canary stands."""
    return [path.name for path in sorted(folder.iterdir()) if CANARY.encode() in path.read_bytes()]
