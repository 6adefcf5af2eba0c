"""What every ledger promises of labels, and of results that go to an exchange of their rule's."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from relay.intake import Intake, replay, retry
from relay.ledger.queries import search
from relay.ledger.schema import labels
from relay.life import Signals
from relay.model import EventQuery, Failure, Labels, Outlet, Settled, State, Verdict, WindowChat, cut_label, new_id
from relay.rules import RuleSpec, compile_rules
from relay.rules.keys.result import ResultBlock
from relay.telemetry import Metrics
from tests.ledger.build import created, made_at, make_dispatch, make_entry, make_event, move
from tests.ledger.test_contract_archive import ids_of

DAY = 86_400_000
CHAT = {"name": "Deal {{ data.id }}", "trigger": {"type": "draft"}}
NO = Failure("refused", "no", 400)


def labelled(*rules, outlet=None, **values):
    dispatch = {"labels": Labels(values, {}), "outlet": outlet}
    return make_entry(rules=rules or ("urgent",), dispatch=dispatch)


async def keep(ledger, *entries):
    """Accept entries, one delivery each; gives their event ids, newest first."""
    for entry in entries:
        await ledger.accept([entry])
    return [entry.event.id for entry in reversed(entries)]


async def index_of(ledger):
    """The rows of the table of labels."""
    return await ledger.read(lambda conn, _: [tuple(row) for row in conn.execute(select(labels))])


def intake_of(ledger, clock, *rules):
    quiet = {"metrics": Metrics(), "signals": Signals(), "boottime": clock}
    return Intake(ledger, compile_rules(rules, {}), high_water=100, ids=new_id, clock=clock, **quiet)


def rule(name="r", chat=CHAT, **keys):
    return RuleSpec(name, chat=chat, keys=keys)


async def test_events_are_found_by_a_whole_label_and_by_nothing_else(ledger):
    acme, other = labelled(customer="Acme"), labelled(customer="Acme GmbH", owner="Acme")
    await keep(ledger, acme, other, make_entry())
    assert await ids_of(ledger, label=("customer", "Acme")) == [acme.event.id]
    assert await ids_of(ledger, label=("owner", "Acme")) == [other.event.id]
    for name, value in (("customer", "acme"), ("customer", "Acm"), ("customer", "%"), ("cust", "Acme"), ("none", "x")):
        assert await ids_of(ledger, label=(name, value)) == []


async def test_pages_of_a_label_give_every_event_once_newest_first(ledger):
    entries = [labelled(customer="Acme" if number % 2 else "Zeta") for number in range(14)]
    await keep(ledger, *entries)
    acme = [entry.event.id for entry in reversed(entries[1::2])]
    assert await ids_of(ledger, label=("customer", "Acme"), limit=3) == acme
    assert await ids_of(ledger, label=("customer", "Acme"), limit=7) == acme


async def test_a_label_is_one_filter_among_others(ledger):
    shop = make_entry(source="shop", dispatch={"labels": Labels({"a": "b"}, {})})
    await keep(ledger, labelled(a="b"), shop)
    assert await ids_of(ledger, label=("a", "b"), source="shop") == [shop.event.id]
    assert await ids_of(ledger, label=("a", "b"), state=State.DONE) == []


async def test_an_event_of_many_dispatches_with_one_label_is_found_once(ledger):
    entry = labelled("one", "two", "three", customer="Acme")
    await keep(ledger, entry)
    assert await ids_of(ledger, label=("customer", "Acme")) == [entry.event.id]
    assert await index_of(ledger) == [("customer", "Acme", entry.event.id)]


async def test_what_is_shown_is_what_was_given(ledger):
    given_labels, outlet = (
        Labels({"b": "x", "a": "é\n\x1b"}, {"c": "labels.c: data.c is missing"}),
        Outlet("crm", "k.1"),
    )
    marked = make_entry(dispatch={"labels": given_labels, "outlet": outlet})
    plain = make_entry(dispatch={"outlet": Outlet("crm")})
    await keep(ledger, marked, plain)
    [view] = (await ledger.event(marked.event.id)).dispatches
    assert (view.labels, view.outlet) == (given_labels, outlet)
    page = await ledger.events(EventQuery())
    assert [(one.labels, one.outlet) for event in page.events for one in event.dispatches] == [
        (None, Outlet("crm")),
        (given_labels, outlet),
    ]
    _, loaded = await ledger.dispatch(marked.dispatches[0].id)
    assert (loaded.labels, loaded.outlet) == (given_labels, outlet)


async def test_events_with_and_without_labels_share_a_commit(ledger):
    entries = [make_entry(), labelled(a="b"), make_entry(rules=()), labelled("x", "y", a="b", c="d")]
    await asyncio.gather(*(ledger.accept([entry]) for entry in entries))
    assert set(await ids_of(ledger, label=("a", "b"))) == {entries[1].event.id, entries[3].event.id}


@pytest.mark.parametrize("by", ["the replica that told it", "another"])
async def test_results_say_the_labels_and_where_they_go(ledger, other, by):
    """The first has them in memory, the other reads the rows."""
    await ledger.accept([labelled(customer="Acme", outlet=Outlet("crm.results", "deal.7"))])
    [claim] = await ledger.claim(1)
    await ledger.record(created(claim))
    [due] = await (other if by == "another" else ledger).due(1)
    assert (due.destination, due.result.exchange, due.result.routing_key) == ("", "crm.results", "deal.7")
    assert due.result.data["labels"] == {"customer": "Acme"}
    [(_, followed)] = await ledger.follow(0, 10)
    assert (followed.exchange, followed.data["labels"]) == ("crm.results", {"customer": "Acme"})


async def test_results_of_other_rules_are_as_before(ledger):
    await ledger.accept([make_entry()])
    [claim] = await ledger.claim(1)
    await ledger.record(created(claim))
    [due] = await ledger.due(1)
    assert (due.result.exchange, due.result.routing_key) == (None, "chat.created.helpdesk.urgent")
    assert due.result.data["labels"] == {}


async def test_both_kinds_of_results_share_a_commit(ledger):
    await keep(ledger, labelled("own", outlet=Outlet("crm")), make_entry(rules=("usual",)))
    claims = await ledger.claim(2)
    await asyncio.gather(*(ledger.record(created(claim)) for claim in claims))
    found = {due.result.data["rule"]: due.result for due in await ledger.due(10)}
    assert {rule: result.exchange for rule, result in found.items()} == {"own": "crm", "usual": None}
    assert found["own"].routing_key == "chat.created.helpdesk.own"


async def test_the_ends_without_a_call_are_told_there_too(ledger, clock):
    """What failed to render, what a key suppressed, and what a person cancelled."""
    from relay.rules.keys.once import OnceBlock

    keys = {"labels": {"id": "{{ data.id }}"}, "result": ResultBlock(exchange="crm", routing_key="d.{{ data.id }}")}
    broken, once = (
        rule("broken", {**CHAT, "name": "{{ data.gone }}"}, **keys),
        rule("once", once=OnceBlock(key="{{ data.id }}"), **keys),
    )
    intake = intake_of(ledger, clock, broken, once)
    await intake.accept([make_event(body={"id": 5})])
    await intake.accept([make_event(body={"id": 5})])
    [live] = await ledger.claim(5)
    await ledger.record(move(live, State.WAITING, verdict=Verdict.RETRYABLE, due_in=60_000))
    await ledger.cancel(live.dispatch.id)
    told = [result for _, result in await ledger.follow(0, 10)]
    assert sorted(result.data["error"]["code"] for result in told) == ["cancelled", "failed", "failed", "suppressed"]
    assert {(result.exchange, result.routing_key) for result in told} == {("crm", "d.5")}
    assert all(result.data["labels"] == {"id": "5"} for result in told)


@pytest.mark.parametrize("keep_which", ["last", "all"])
async def test_each_dispatch_of_a_window_keeps_its_own_labels(ledger, clock, keep_which):
    """The one that goes has those of its event, also where its chat was rendered when the window closed."""
    plan = {"debounce": {"key": "k", "wait": 1_000, "max": 5_000, "keep": keep_which, "size": 10}}
    entries = []
    for number in range(2):
        given_labels, outlet = Labels({"n": str(number)}, {}), Outlet("crm", f"k.{number}")
        entries.append(make_entry(dispatch={"plan": plan, "labels": given_labels, "outlet": outlet}))
        await ledger.accept([entries[-1]])
    clock.now += 1_001
    rendered = {
        each.window: WindowChat(each.count, replace(each.members[-1][0], body="{}", labels=None, outlet=None))
        for each in await ledger.gathered()
    }
    await ledger.close_windows(rendered)
    [claim] = await ledger.claim(5)
    await ledger.record(created(claim))
    told = {result.type: result for _, result in await ledger.follow(0, 10)}
    ended, made = told["relay.chat.failed"], told["relay.chat.created"]
    assert (ended.data["labels"], ended.exchange, ended.routing_key) == ({"n": "0"}, "crm", "k.0")
    assert (made.data["labels"], made.exchange, made.routing_key) == ({"n": "1"}, "crm", "k.1")


async def test_a_pruned_event_takes_its_labels_with_it(ledger, clock):
    old = made_at(clock.now, labelled(customer="Acme"))
    await ledger.accept([old])
    [claim] = await ledger.claim(1)
    await ledger.record(created(claim))
    await ledger.settle(Settled(f"{claim.dispatch.id}.1", "", confirmed=True))
    clock.now += 31 * DAY
    young = made_at(clock.now, labelled(customer="Acme"))
    await ledger.accept([young])
    assert await ledger.prune() == 1
    assert await ids_of(ledger, label=("customer", "Acme")) == [young.event.id]
    assert await index_of(ledger) == [("customer", "Acme", young.event.id)]


async def test_a_replay_adds_the_labels_of_todays_rules(ledger, clock):
    event = make_event(body={"id": 5})
    await intake_of(ledger, clock, rule("old", labels={"a": "x"})).accept([event])
    rules = compile_rules([rule("new", labels={"a": "x", "b": "{{ data.id }}"})], {})
    await replay(ledger, rules, event.id, again=False, ids=new_id, clock=clock, metrics=Metrics())
    await replay(ledger, rules, event.id, again=True, ids=new_id, clock=clock, metrics=Metrics())
    assert sorted(await index_of(ledger)) == [("a", "x", event.id), ("b", "5", event.id)]


async def test_a_retry_keeps_the_labels_unless_it_renders_anew(ledger, clock):
    event = make_event(body={"id": 5})
    before = [rule(name, labels={"stage": "old", "by": name}) for name in ("one", "two")]
    await intake_of(ledger, clock, *before).accept([event])
    claims = {claim.dispatch.rule: claim for claim in await ledger.claim(2)}
    for claim in claims.values():
        await ledger.record(move(claim, State.FAILED, verdict=Verdict.PERMANENT, failure=NO))
    today = compile_rules([rule("one", labels={"stage": "new"}, result=ResultBlock(exchange="crm"))], {})
    kept = await retry(ledger, today, claims["two"].dispatch.id)
    assert kept.labels == Labels({"stage": "old", "by": "two"}, {})
    anew = await retry(ledger, today, claims["one"].dispatch.id, render=True)
    assert (anew.labels, anew.outlet) == (Labels({"stage": "new"}, {}), Outlet("crm"))
    rows = {(name, value) for name, value, _ in await index_of(ledger)}
    assert rows == {("stage", "old"), ("by", "two"), ("stage", "new")}
    by_rule = {claim.dispatch.rule: claim.dispatch for claim in await ledger.claim(2)}
    assert (by_rule["one"].labels.values, by_rule["one"].outlet) == ({"stage": "new"}, Outlet("crm"))


async def test_hostile_values_are_found_as_they_are(ledger):
    """Quotes, wildcards, SQL, controls, directions, and letters that some collations take for others."""
    values = [
        "'; DROP TABLE labels; --",
        "%",
        "_",
        "\\",
        '"',
        "\x01",
        "\u202eabc",
        "a\nb",
        "ß",
        "ss",
        "é",
        "e\u0301",
        "İ",
        "i",
        "😀" * 200,
    ]
    entries = [labelled(x=value) for value in values]
    await keep(ledger, *entries)
    for value, entry in zip(values, entries, strict=True):
        assert await ids_of(ledger, label=("x", value)) == [entry.event.id]
    assert await ids_of(ledger, label=("x", "😀" * 300)) == [entries[-1].event.id], "the search is cut as the value was"


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=400)


async def test_any_text_that_a_label_can_have_is_found(ledger, clock):
    intake = intake_of(ledger, clock, rule(labels={"x": "{{ data.x }}"}))

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(TEXTS, min_size=1, max_size=8))
    def collected(texts):
        batches.append(texts)

    batches = []
    collected()
    events = [make_event(body={"x": text, "id": 1}) for texts in batches for text in texts]
    for start in range(0, len(events), 10):
        await intake.accept(events[start : start + 10])
    found = {}
    for event in events:
        if value := cut_label(event.data["x"]):
            found.setdefault(value, set()).add(event.id)
    for value, ids in list(found.items())[:100]:
        assert set(await ids_of(ledger, label=("x", value), limit=500)) == ids


async def test_a_page_of_a_label_reads_the_labels_index_and_no_more(ledger):
    await keep(ledger, labelled(a="b"))

    def explain(conn, _):
        query = search.newest(conn, EventQuery(label=("a", "b"), cursor="x")).limit(51)
        prefix = "EXPLAIN QUERY PLAN " if conn.dialect.name == "sqlite" else "EXPLAIN "
        compiled = query.compile(conn, compile_kwargs={"literal_binds": True})
        if conn.dialect.name != "sqlite":
            conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return "\n".join(str(row) for row in conn.exec_driver_sql(prefix + str(compiled)))

    plan = await ledger.read(explain)
    assert "PRIMARY KEY" in plan or "labels_rest_pkey" in plan
    assert "SCAN events" not in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan


async def test_a_new_dispatch_of_the_same_event_meets_its_label(ledger, clock):
    """As when two replays of an event come at the same time."""
    entry = labelled(a="b")
    await ledger.accept([entry])
    more = [replace(make_dispatch(entry.event, f"r{n}"), labels=Labels({"a": "b"}, {})) for n in range(2)]
    both = [ledger.extend(entry.event.id, replace(entry, dispatches=(one,)), again=True) for one in more]
    await asyncio.gather(*both)
    assert await index_of(ledger) == [("a", "b", entry.event.id)]


async def test_events_of_closed_sources_are_found_by_their_ids_only(ledger):
    hidden = make_entry("ext-kim", body={"mail": "kim@acme.com"}, dispatch={"labels": Labels({"who": "kim"}, {})})
    plain = make_entry(body={"mail": "kim@acme.com"}, source="shop", dispatch={"labels": Labels({"who": "kim"}, {})})
    ids = await keep(ledger, hidden, plain)
    closed = frozenset({"helpdesk"})
    for query in ({"text": "kim"}, {"label": ("who", "kim")}):
        assert await ids_of(ledger, **query, closed=closed) in ([], [plain.event.id])
        notice = (await ledger.events(EventQuery(**query, closed=closed))).notice
        assert "events of helpdesk are found by their ids only" in notice
    assert await ids_of(ledger, label=("who", "kim")) == ids
    assert await ids_of(ledger, label=("who", "kim"), closed=closed) == [plain.event.id]
    for text in (hidden.event.id, hidden.dispatches[0].id):
        assert await ids_of(ledger, text=text, closed=closed) == [hidden.event.id]
    assert await ids_of(ledger, closed=closed) == ids
