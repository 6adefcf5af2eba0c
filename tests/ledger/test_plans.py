"""What runs for every batch finds its rows by an index, however many there are."""

import re

import pytest
from sqlalchemy.dialects.sqlite.pysqlite import dialect

from relay.ledger.queries import (
    browse,
    expire,
    fair,
    looks,
    orphans,
    outbox,
    prune,
    refused,
    search,
    spending,
    told,
    work,
)
from relay.model import EventQuery, State

STATEMENTS = {
    "claim": work._CLAIM,
    "claim of a source": work._CLAIM_OF,
    "sources of a backlog": fair._SOURCES,
    "first of a source": fair._HEADS_OF,
    "next due": work._NEXT,
    "doubts": work._DOUBTS,
    "too late": expire._FIRST,
    "lease deliveries": outbox._LEASE,
    "delete deliveries": outbox._OVER,
    "put off deliveries": outbox._RETRY,
    "follow": outbox._AFTER,
    "size of kept requests": refused._KEPT_SIZE,
    "make room for kept requests": refused._KEPT,
    "count of refused requests": refused._COUNT,
    "forget refused requests": refused._ALL,
    "refused requests by source and reason": refused._COUNT_GROUPS,
    "kept requests by source and reason": refused._COUNT_KEPT,
    "drop what cannot be looked for": orphans._UNSEEN,
    "newest unmatched": prune._NEWEST_UNMATCHED,
    "parked": browse._PARKED,
    "parked by reason": looks._PARKED,
    "failed lately": looks._FAILED.params(since=0, until=0),
    "chats of a rule": spending._CHATS,
}


PAGES = {
    "newest": EventQuery(),
    "of a chat": EventQuery(chat_uuid="chat-1"),
    "of a chat of a rule": EventQuery(chat_uuid="chat-1", rule="urgent"),
    "of a label": EventQuery(label=("customer", "Acme")),
    "of a source": EventQuery(source="crm"),
    "failed of a rule": EventQuery(rule="urgent", state=State.FAILED),
    "text since a time": EventQuery(text="needle", since=1_800_000_000_000),
}


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_a_page_is_found_by_an_index_and_read_no_further(store, name):
    """Ordered by an index, so that a page ends with its last row; what is rare is found by an index of its own."""
    query = PAGES[name]

    def explain(conn, _):
        page = search.newest(conn, query).limit(51)
        text = str(page.compile(dialect=dialect(), compile_kwargs={"literal_binds": True}))
        return [row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]

    steps = await store.read(explain)
    assert not [step for step in steps if step.startswith("SCAN") and " INDEX " not in step]
    assert ("dispatches_chat" in " ".join(steps)) is (query.chat_uuid is not None or query.text is not None)
    assert not [step for step in steps if "ORDER BY" in step], "all that a filter finds would be read for each page"
    if query.since is not None:
        assert any("(id>?)" in step for step in steps), steps


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_the_page_before_is_found_by_an_index_too(store, name):
    def explain(conn, _):
        ids = search.onward(conn, PAGES[name], "0190", None).limit(51)
        text = str(ids.compile(dialect=dialect(), compile_kwargs={"literal_binds": True}))
        return [row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]

    steps = await store.read(explain)
    assert not [step for step in steps if step.startswith("SCAN") and " INDEX " not in step]
    assert not [step for step in steps if "ORDER BY" in step], steps


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_the_event_of_an_id_is_found_by_it(store):
    """Also beside conditions that a range of ids has."""

    def explain(conn, _):
        found = search.named(conn, EventQuery(text="needle", since=1_800_000_000_000, type="x"), 51)
        text = str(found.compile(dialect=dialect(), compile_kwargs={"literal_binds": True}))
        return [row[3] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]

    [step, *_] = await store.read(explain)
    assert "(id=?)" in step, step


@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_no_table_is_scanned(store, name):
    query = str(STATEMENTS[name].compile(dialect=dialect(), compile_kwargs={"render_postcompile": True}))

    def explain(conn, _):
        plan = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", (1,) * query.count("?"))
        return [row[3] for row in plan]

    steps = await store.read(explain)
    assert any("INDEX" in step for step in steps) or any("PRIMARY KEY" in step for step in steps)
    scanned = tuple(
        f"SCAN {table}" for table in ("events", "dispatches", "work", "outbox", "results", "rejections", "kept")
    )
    assert not [step for step in steps if step.startswith(scanned) and " INDEX " not in step]


@pytest.mark.parametrize("name", ["failed of a rule", "newest", "of a source"])
@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_a_page_is_not_sorted(store, name):
    """Else all that a filter finds is read for each page."""
    query = PAGES[name]

    def explain(conn, _):
        page = search.newest(conn, query).limit(51).compile(conn, compile_kwargs={"literal_binds": True})
        for method in ("seqscan", "bitmapscan", "hashjoin", "mergejoin", "hashagg"):  # which an empty table prefers
            conn.exec_driver_sql(f"SET LOCAL enable_{method} = off")
        return [row[0] for row in conn.exec_driver_sql(f"EXPLAIN {page}")]

    assert not [step for step in await store.read(explain) if "Sort " in step and "Sort Key" not in step]


@pytest.mark.parametrize("query", [fair._HEADS_OF, fair._HEADS_OF_ALL], ids=["of one", "of all"])
@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_the_first_of_a_source_are_not_looked_for_among_all(store, query):
    """However few it has beside one that floods."""

    def explain(conn, _):
        values = {"now": "1", "most": "8", "source": "'quiet'"}
        compiled = query.compile(conn)
        first = re.sub(r"\$(\d+)", lambda found: values[compiled.positiontup[int(found[1]) - 1]], str(compiled))
        for method in ("seqscan", "bitmapscan", "sort"):  # which an empty table prefers
            conn.exec_driver_sql(f"SET LOCAL enable_{method} = off")
        return [row[0] for row in conn.exec_driver_sql(f"EXPLAIN {first}")]

    plan = await store.read(explain)
    conditions = [line for line in plan if "Index Cond" in line and "due_at <=" in line]
    assert conditions, plan
    assert all("(source =" in line and "(priority =" in line for line in conditions), conditions
    assert not [line for line in plan if "work_turn" in line]


@pytest.mark.parametrize("name", ["claim", "claim of a source", "first of a source"])
@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_what_is_not_due_yet_is_not_read(store, name):
    """However much a delay or a limit holds."""
    query = str(STATEMENTS[name].compile(dialect=dialect(), compile_kwargs={"render_postcompile": True}))

    def explain(conn, _):
        plan = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", (1,) * query.count("?"))
        return [row[3] for row in plan if " work " in row[3] and "PRIMARY KEY" not in row[3]]

    steps = await store.read(explain)
    assert len(steps) == 10, "one for each priority"
    assert all("=? AND due_at<?)" in step for step in steps), steps


@pytest.mark.parametrize("read", [told.page, outbox.follow], ids=["the last told", "the stream"])
@pytest.mark.parametrize("store", ["postgres"], indirect=True)
async def test_results_that_have_just_got_their_cursors_are_not_sorted_for_each_page(store, read):
    """The server's statistics are those of the time before: no result has a cursor, so a sort of one is as good."""
    asked, way, values = {
        told.page: ({"before": None}, told._BEFORE, {"before": "9000000", "most": "51"}),
        outbox.follow: ({"after": 0}, outbox._AFTER, {"after": "0", "most": "51"}),
    }[read]

    def fill(conn, _):
        conn.exec_driver_sql("CREATE TABLE results_of_a_day PARTITION OF results FOR VALUES FROM ('0') TO ('g')")
        conn.exec_driver_sql(
            "INSERT INTO results (id, type, source, event_id, time, data, created_at) SELECT md5(n::text), "
            "'relay.chat.created', 'crm', md5(n::text), 1, '{}', 1 FROM generate_series(1, 5000) AS n"
        )
        conn.exec_driver_sql("ANALYZE results")
        conn.exec_driver_sql("UPDATE results SET position = 1 + ('x' || substr(id, 1, 7))::bit(28)::bigint")

    def explain(conn, now):
        compiled = way.compile(conn)
        text = re.sub(r"\$(\d+)", lambda found: values[compiled.positiontup[int(found[1]) - 1]], str(compiled))
        before = "\n".join(row[0] for row in conn.exec_driver_sql(f"EXPLAIN {text}"))
        read(conn, now, **asked, limit=50)
        return before, "\n".join(row[0] for row in conn.exec_driver_sql(f"EXPLAIN {text}"))

    await store.write(fill)
    before, after = await store.read(explain, slow=True)
    assert "Sort  " in before, before
    assert "Sort  " not in after, after
