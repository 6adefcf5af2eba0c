"""The API over real HTTP: what is asked, what comes back, and what is refused."""

import logging
from io import BytesIO

import pytest

from relay.model import EventStatus, Kind, Labels, Outlet, ParkReason, RuleVersion, Skip, State, Why
from relay.ops import setup
from relay.ops.routes import ROUTES
from tests.ops.desk import (
    NOW,
    make_dispatch,
    make_event,
    make_failed,
    make_id,
    make_judged,
    make_letter,
    make_rejection,
)


async def get(http, path, status=200):
    answer = await http.get(path)
    document = await answer.json(content_type=None)
    assert answer.status == status, document
    return document


async def post(http, path, status=200, **given):
    answer = await http.post(path, **given)
    document = await answer.json(content_type=None)
    assert answer.status == status, document
    return document


async def test_events_come_newest_first_with_their_dispatches(http, memory):
    for number in (1, 2):
        event = make_event(number)
        memory.add(event, make_dispatch(event, state=State.PARKED, park=ParkReason.UNKNOWN))
    events = (await get(http, "/api/events"))["events"]
    assert [event["id"] for event in events] == ["0190-2", "0190-1"]
    assert events[0]["externalId"] == "t-2"
    assert events[0]["receivedAt"] == "2026-11-23T02:13:20.002Z"
    assert (events[0]["dispatches"][0]["state"], events[0]["dispatches"][0]["parked"]) == ("parked", "unknown")
    assert "request" not in events[0]["dispatches"][0]


@pytest.mark.parametrize("route", [route for route in ROUTES if route.method == "GET"], ids=lambda route: route.name)
async def test_what_can_be_got_can_be_asked_for_without_its_body(http, memory, route):
    """The stream of results alone has no end that HEAD could come to."""
    memory.add(make_event(1))
    path = route.path.replace("{id}", "0190-1").replace("{name}", "none")
    answer = await http.head(path)
    if route.gives is None:
        assert answer.status == 405
        return
    got = await http.get(path)
    told = {name: value for name, value in got.headers.items() if name != "Date"}
    assert (answer.status, {name: value for name, value in answer.headers.items() if name != "Date"}) == (
        got.status,
        told,
    )
    assert (await answer.read(), int(answer.headers["Content-Length"])) == (b"", len(await got.read()))


async def test_a_page_gives_the_cursor_of_the_next(http, memory):
    for number in range(3):
        memory.add(make_event(number, id=make_id(number)))
    document = await get(http, "/api/events?limit=2")
    assert document["cursor"] == make_id(1)
    await get(http, f"/api/events?limit=2&cursor={document['cursor']}")
    assert memory.queries[-1].cursor == make_id(1)


@pytest.mark.parametrize("path", ["events", "problems", "acts", "dead", "jobs"])
async def test_a_cursor_that_no_page_gave_is_refused(http, path):
    for cursor in ("2", "zzz", make_id(1)[:-1], make_id(1) + "0", "l-1", "%00"):
        document = await get(http, f"/api/{path}?cursor={cursor}", 400)
        assert "query parameter cursor: " in document["detail"]


async def test_every_filter_reaches_the_ledger(http, memory):
    await get(http, "/api/events?source=helpdesk&type=t&status=parked&since=1h&until=2026-11-23T00:00:00Z&text=a+b")
    query = memory.queries[-1]
    assert (query.source, query.type, query.text, query.limit) == ("helpdesk", "t", "a b", 50)
    assert (query.status, query.state) == (None, State.PARKED)
    assert query.since == NOW - 3_600_000
    assert query.until == 1_795_392_000_000
    await get(http, "/api/events?since=999999999d&until=2026-11-23t01:00:00%2B01:00")
    assert (memory.queries[-1].since, memory.queries[-1].until) == (0, 1_795_392_000_000)
    await get(http, "/api/events?label=customer:Acme%3A%20%2B%0A%E2%9C%93")
    assert memory.queries[-1].label == ("customer", "Acme: +\n✓")
    await get(http, "/api/events?status=unmatched")
    assert memory.queries[-1].label is None
    assert (memory.queries[-1].status, memory.queries[-1].state) == (EventStatus.UNMATCHED, None)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("sorce=x", "sorce: unknown; allowed: source"),
        ("status=duplicate", "expected one of accepted"),
        ("since=yesterday", "or 2026-11-23T09:00:00Z"),
        ("since=%00", "or 2026-11-23T09:00:00Z"),
        ("since=" + "9" * 400 + "d", "or 2026-11-23T09:00:00Z"),
        ("limit=0", "query parameter limit"),
        ("limit=many", "query parameter limit"),
        ("limit=99999999999999999999999", "query parameter limit"),
        ("text=%00", "query parameter text"),
        ("text=", "query parameter text"),
        ("source=a&source=b", "source is given twice"),
        ("label=a:b&label=c:d", "label is given twice"),
        ("label=customer", "write its name, a colon and its value: customer:Acme"),
        ("label=customer%3DAcme", "write its name, a colon and its value: customer:Acme"),
        ("label=customer:%20", "write its name, a colon and its value: customer:Acme"),
        ("label=customer:a%00", "write its name, a colon and its value: customer:Acme"),
        ("label=:Acme", "write its name, a colon and its value: customer:Acme"),
    ],
)
async def test_what_cannot_be_asked_is_refused_by_name(http, query, said):
    answer = await http.get(f"/api/events?{query}")
    assert answer.status == 400
    assert answer.content_type == "application/problem+json"
    assert said in (await answer.json(content_type=None))["detail"]


async def test_labels_and_where_results_go_are_shown_in_lists_too(http, memory):
    event = make_event(1)
    given = {"labels": Labels({"customer": "Acme"}, {"tier": "labels.tier: data.tier is missing"})}
    memory.add(event, make_dispatch(event, **given, outlet=Outlet("crm.results", "deal.7")))
    memory.add(other := make_event(2), make_dispatch(other))
    [plain, marked] = [each["dispatches"][0] for each in (await get(http, "/api/events"))["events"]]
    assert marked["labels"] == {"customer": "Acme"}
    assert marked["leftOut"] == [{"label": "tier", "why": "labels.tier: data.tier is missing"}]
    assert marked["result"] == {"exchange": "crm.results", "routingKey": "deal.7"}
    assert (plain["labels"], plain["leftOut"], plain["result"]) == ({}, [], None)
    [shown] = (await get(http, f"/api/events/{event.id}"))["dispatches"]
    assert {key: shown[key] for key in ("labels", "leftOut", "result")} == {
        key: marked[key] for key in ("labels", "leftOut", "result")
    }


async def test_a_dispatch_is_shown_with_the_rule_as_it_was_as_an_operator_writes_it(http, memory):
    event, version = make_event(1), RuleVersion("0f" * 8, "urgent", '{"name":"urgent","message":"Grüße"}')
    memory.add(
        event, make_dispatch(event, rule_version=version.hash), make_dispatch(event, id="d-2"), versions=[version]
    )
    first, second = (await get(http, f"/api/events/{event.id}"))["dispatches"]
    assert first["ruleVersion"] == {"hash": "0f" * 8, "text": "name: urgent\nmessage: Grüße\n"}
    assert second["ruleVersion"] is None


async def test_an_event_is_shown_with_all_that_happened(http, memory):
    event, dispatch, attempts, told = make_failed(1)
    memory.add(event, dispatch, attempts=attempts, results=[told])
    shown = await get(http, f"/api/events/{event.id}")
    assert shown == await get(http, f"/api/events/{dispatch.id}")
    assert shown["data"] == {"subject": "Hello"}
    assert shown["raw"] == '{"subject": "Hello"}'
    assert shown["dispatches"][0]["request"] == {"trigger": {"type": "draft"}}
    assert shown["dispatches"][0]["failure"] == {"code": "agentNotFound", "message": "no such agent", "status": 404}
    assert [step["what"] for step in shown["timeline"]] == [
        "event.accepted",
        "rule.matched",
        "chat.attempted",
        "chat.answered",
        "chat.attempted",
        "chat.answered",
        "chat.failed",
    ]
    assert shown["timeline"][5]["detail"] == "run 1, attempt 2: permanent after 10ms, no such agent (404)"
    assert shown["results"][0]["pending"] == {"exchange": "gone"}


async def test_the_rules_that_skipped_an_event_are_shown_with_their_reason(http, memory):
    event = make_event(1)
    memory.add(event, skips=(Skip("own", Why.IGNORED, "data.bot"), Skip("trial", Why.SHADOW, {"name": "x"})))
    assert (await get(http, f"/api/events/{event.id}"))["skips"] == [
        {"rule": "own", "why": "ignored", "detail": "data.bot"},
        {"rule": "trial", "why": "shadow", "detail": {"name": "x"}},
    ]


async def test_a_kept_event_is_tried_term_by_term(http, memory):
    event = make_event(1)
    memory.add(event)
    [verdict] = (await post(http, "/api/try", json={"event": event.id}))["events"][0]["rules"]
    assert (verdict["reason"], verdict["keys"], verdict["skip"]) == ("when", {}, None)
    assert verdict["conditions"] == [
        {
            "condition": "data.subject == 'Bye'",
            "joined": None,
            "holds": False,
            "values": {"data.subject": "Hello"},
            "missing": [],
            "error": None,
        }
    ]


async def test_a_body_that_is_no_text_is_shown_in_base64(http, memory):
    event = make_event(1, raw=b"\xff\xfe", data=None, unreadable="not UTF-8")
    memory.add(event, status=EventStatus.UNREADABLE)
    shown = await get(http, f"/api/events/{event.id}")
    assert (shown["raw"], shown["rawBase64"], shown["unreadable"]) == (None, "//4=", "not UTF-8")
    assert shown["timeline"][0]["detail"] == "not UTF-8"


async def test_deep_and_huge_data_is_shown_whole(http, memory):
    deep = []
    for _ in range(500):
        deep = [deep]
    memory.add(make_event(1, data={"deep": deep, "huge": 10**399}))
    shown = await get(http, "/api/events/0190-1")
    assert shown["data"] == {"deep": deep, "huge": 10**399}


@pytest.mark.parametrize("path", ["0190-9", "%00", "a%0Ab", "x" * 500, "%ED%A0%80", "..%2F..", "%F0%9F%92%A9"])
async def test_an_unknown_id_is_not_found(http, path):
    document = await get(http, f"/api/events/{path}", 404)
    assert "there is no event" in document["detail"]


async def test_replay_retry_and_cancel_reach_the_desk(http, memory):
    event, dispatch, *_ = make_failed(1)
    memory.add(event, dispatch)
    assert await post(http, f"/api/events/{event.id}/replay") == {"dispatches": []}
    added = await post(http, f"/api/events/{event.id}/replay", json={"again": True})
    assert added == {"dispatches": [{"id": "d-new", "rule": "urgent"}]}
    again = await post(http, f"/api/dispatches/{dispatch.id}/retry")
    assert (again["id"], again["run"], again["state"]) == (dispatch.id, 2, "ready")
    assert (await post(http, f"/api/dispatches/{dispatch.id}/cancel"))["state"] == "cancelled"


async def test_what_the_state_forbids_is_a_conflict(http, memory):
    event = make_event(1)
    memory.add(event, make_dispatch(event))
    document = await post(http, "/api/dispatches/d-0190-1/retry", 409)
    assert document["detail"] == "dispatch d-0190-1 is done; only one that ended without a chat is retried"
    assert document["status"] == 409


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b'"x"', b'{"again": "perhaps"}', b'{"agian": true}', b'{"again": 1}', b"[" * 100_000, b"\xff"]
)
async def test_a_body_that_cannot_be_read_is_refused(http, memory, body):
    memory.add(make_event(1))
    await post(http, "/api/events/0190-1/replay", 400, data=body)


async def test_a_body_that_nests_too_deeply_is_refused_as_that(http, desk):
    deep = b"[" * 5_000 + b"]" * 5_000
    told = await post(http, "/api/try", 400, data=b'{"source": "helpdesk", "body": ' + deep + b"}")
    assert told["detail"] == "the body is nested more than 400 levels deep; flatten it"
    assert desk.tried == []


async def test_a_delivery_is_tried(http, desk):
    given = {"source": "helpdesk", "headers": {"X-A": "b"}, "body": {"a": "ä"}}
    tried = await post(http, "/api/try", json=given)
    assert tried["events"][0]["rules"][0]["why"] == "when is false"
    await post(http, "/api/try", json=given | {"body": "<xml/>"})
    assert desk.tried == [("helpdesk", {"x-a": "b"}, b'{"a": "\\u00e4"}'), ("helpdesk", {"x-a": "b"}, b"<xml/>")]
    await post(http, "/api/try", 404, json=given | {"source": "nobody"})
    await post(http, "/api/try", 400, json={"body": {}})
    await post(http, "/api/try", 400, data=b'{"source": "helpdesk", "body": NaN}')
    await post(http, "/api/try", 400, data=b'{"source": "helpdesk", "body": "\\ud800"}')


async def test_a_delivery_that_is_too_large_is_refused(http):
    document = await post(http, "/api/try", 413, data=BytesIO(b" " * ((8 << 20) + 1)))
    assert document["title"] == "Too large"


async def test_sources_are_listed_paused_and_resumed(http, desk):
    assert [source["name"] for source in (await get(http, "/api/sources"))["sources"]] == ["helpdesk", "crm-bus"]
    assert await post(http, "/api/sources/helpdesk/pause") == {"name": "helpdesk", "paused": True}
    assert (await get(http, "/api/sources"))["sources"][0]["paused"] is True
    assert await post(http, "/api/sources/helpdesk/resume") == {"name": "helpdesk", "paused": False}
    assert desk.paused == set()
    await post(http, "/api/sources/nobody/pause", 404)


async def test_refused_requests_are_readmitted(http, desk):
    refused = make_judged(2, "refused", hint="the secret is still another one")
    desk.judged.append(refused)
    told = await post(http, "/api/sources/helpdesk/readmit")
    assert told == {"readmitted": 1, "refused": 1, "requests": [make_judged(1), refused]}
    await post(http, "/api/sources/helpdesk/readmit?dryRun=true")
    assert desk.dry == [False, True]
    await post(http, "/api/sources/nobody/readmit", 404)
    await post(http, "/api/sources/crm-bus/readmit", 409)


@pytest.mark.parametrize("wrong", ["dryRun=perhaps", "dryrun=true", "dry_run=true"])
async def test_what_is_no_dry_run_takes_nothing_in(http, desk, wrong):
    document = await post(http, f"/api/sources/helpdesk/readmit?{wrong}", 400)
    assert "dryRun" in document["detail"]
    assert desk.dry == []


async def test_a_learned_secret_is_shown_on_demand_uncached_and_unlogged(http, caplog):
    caplog.set_level(logging.DEBUG)
    assert "hush" not in str(await get(http, "/api/sources"))
    assert "hush" not in await (await http.get("/")).text()
    answer = await http.get("/api/sources/helpdesk/secret")
    assert (answer.headers["Cache-Control"], await answer.json()) == ("no-store", {"secret": "hush-learned"})
    assert "hush" not in caplog.text
    assert "hush" not in repr(setup.LearnedSecret(secret="hush-learned"))
    await get(http, "/api/sources/crm-bus/secret", 404)


async def test_a_learned_secret_is_forgotten(http, desk):
    assert [source["learned"] for source in (await get(http, "/api/sources"))["sources"]] == [True, False]
    assert await post(http, "/api/sources/helpdesk/forget") == {"forgotten": True}
    assert await post(http, "/api/sources/helpdesk/forget") == {"forgotten": False}
    assert [source["learned"] for source in (await get(http, "/api/sources"))["sources"]] == [False, False]
    await post(http, "/api/sources/nobody/forget", 404)


async def test_rules_and_rejections_are_listed(http, memory):
    assert (await get(http, "/api/rules"))["rules"][0]["name"] == "urgent"
    memory.refused = [make_rejection(1), make_rejection(2)]
    refused = (await get(http, "/api/rejected?source=helpdesk&limit=1"))["rejected"]
    assert [(one["id"], one["reason"], one["at"]) for one in refused] == [
        ("r-1", "signature_wrong", "2026-11-23T02:13:20.000Z")
    ]
    assert (await get(http, "/api/rejected?source=other"))["rejected"] == []


async def test_a_rejection_says_whether_it_is_kept_and_what_it_has_become(http, memory):
    memory.refused = [make_rejection(1), make_rejection(2, kept_until=NOW), make_rejection(3, readmitted=("0190-1",))]
    refused = (await get(http, "/api/rejected"))["rejected"]
    assert [(one["kept"], one["keptUntil"], one["readmitted"]) for one in refused] == [
        (False, None, None),
        (True, "2026-11-23T02:13:20.000Z", None),
        (False, None, ["0190-1"]),
    ]


async def test_dead_letters_are_listed_in_pages(http, memory):
    memory.letters = [
        make_letter(3, "other"),
        make_letter(2, id=make_id(2), requeued_at=NOW),
        make_letter(1, id=make_id(1)),
    ]
    document = await get(http, "/api/dead?limit=2")
    assert [letter["id"] for letter in document["dead"]] == ["l-3", make_id(2)]
    assert document["dead"][1] == {
        "id": make_id(2),
        "at": "2026-11-23T02:13:20.002Z",
        "source": "crm-bus",
        "queue": "crm.events",
        "reason": "json",
        "error": "line 1: not JSON",
        "routingKey": "deal.won",
        "messageId": "m-2",
        "type": "deal.won",
        "contentType": "application/json",
        "headers": {"x-team": "sales"},
        "size": 12,
        "digest": "cd" * 32,
        "requeuedAt": "2026-11-23T02:13:20.000Z",
    }
    rest = await get(http, f"/api/dead?limit=2&source=crm-bus&cursor={document['cursor']}")
    assert ([letter["id"] for letter in rest["dead"]], rest["cursor"]) == ([make_id(1)], None)


async def test_dead_letters_are_sent_back(http, desk, memory):
    sent = {"id": "l-1", "source": "bus", "queue": "in"}
    desk.requeued = {"requeued": [sent], "refused": [sent | {"error": "no queue"}], "missing": ["l-9"]}
    assert await post(http, "/api/dead/requeue", json={"ids": ["l-1", "l-9"]}) == desk.requeued
    await post(http, "/api/dead/requeue", json={"source": "bus"})
    await post(http, "/api/dead/requeue")
    assert desk.requeues == [(["l-1", "l-9"], None), (None, "bus"), (None, None)]
    assert memory.kinds == [(Kind.DEAD,)] * 2
    await post(http, "/api/dead/requeue", json={"ids": []}, status=400)


async def test_the_end_of_an_id_is_enough_wherever_one_is_asked_for(http, memory):
    event = make_event(7)
    memory.add(event, make_dispatch(event))
    other = make_event(17)
    memory.add(other, make_dispatch(other))
    assert (await get(http, "/api/events/-7"))["id"] == "0190-7"
    assert "several ids end in 7: 0190-17, 0190-7" in (await get(http, "/api/events/7", 409))["detail"]
    await post(http, "/api/events/-7/replay", json={"again": True})
    await post(http, "/api/try", json={"event": "-7"})
    for verb in ("retry", "cancel"):
        await post(http, f"/api/dispatches/7/{verb}", status=409)
    assert memory.kinds[-4:] == [(Kind.EVENT,), (Kind.EVENT,), (Kind.DISPATCH,), (Kind.DISPATCH,)]


async def test_a_ledger_that_is_away_is_said_with_retry_after(http, memory):
    memory.away = True
    answer = await http.get("/api/events")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert (await answer.json(content_type=None))["detail"] == "the database does not answer"


async def test_other_paths_and_methods_are_problems_too(http):
    assert "openapi.json" in (await get(http, "/api/nothing", 404))["detail"]
    answer = await http.delete("/api/events")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert (await answer.json(content_type=None))["detail"] == "/api/events does not allow DELETE; use GET, HEAD"
