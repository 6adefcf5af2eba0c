"""`hide` of a source: below the role admin nobody gets a hidden value, by whatever way."""

import json
import threading
from dataclasses import replace

import pytest

from relay.errors import Conflict
from relay.mask import Mask
from relay.model import (
    ERASED,
    AttemptView,
    Failure,
    Held,
    HeldBy,
    Labels,
    Outlet,
    ProblemKind,
    ResultView,
    Skip,
    State,
    Why,
)
from relay.rules import RuleSpec
from relay.secret import Secret
from relay.telemetry import PartState
from tests.ops.desk import (
    CHAT,
    NOW,
    make_dispatch,
    make_event,
    make_job,
    make_letter,
    make_problem,
    make_rejection,
    make_result,
    make_verdict,
)

TOKENS = {name: (Secret(f"token-of-{name}"), name) for name in ("read", "operate", "admin")}
MAIL = "kim@acme.com"
FAILED = Failure("render", f"{MAIL} is no number")


@pytest.fixture
async def client(aiohttp_client, make_app, desk):
    desk.paths = {"helpdesk": ("data.customer.mail", "headers['x-user']")}
    return await aiohttp_client(make_app(None, TOKENS))


def make_hidden():
    """An event of which each part has the hidden value, with its dispatch and result."""
    data = {"subject": f"of {MAIL}", "customer": {"mail": MAIL, "plan": "gold"}}
    event = make_event(
        data=data,
        raw=json.dumps(data).encode(),
        headers={"x-user": "someone", "x-mail": MAIL},
        **dict.fromkeys(
            ("type", "subject", "external_id", "origin", "correlation_id", "reply_to", "traceparent"), MAIL
        ),
    )
    dispatch = make_dispatch(
        event,
        state=State.HELD,
        name=f"Chat with {MAIL}",
        body=json.dumps({"trigger": {"type": "draft", "meta": {MAIL: MAIL.upper()}}}),
        message=f"Ask {MAIL}",
        follow=f"Again {MAIL}",
        failure=FAILED,
        held=Held(HeldBy.ORDER, MAIL, None, None),
        labels=Labels({"customer": MAIL}, {"other": f"{MAIL} is blank"}),
        outlet=Outlet("own", f"chat.{MAIL}"),
    )
    attempt = AttemptView(dispatch.id, 1, "chat", 1, NOW, NOW + 1, "permanent", FAILED, None)
    told = {"eventId": event.id, "externalId": MAIL, "name": MAIL, "labels": {"customer": MAIL}, "run": 1}
    result = replace(make_result(1), data={**told, "error": {"code": "failed", "message": MAIL}}, routing_key=MAIL)
    skip = Skip("shadow", Why.SHADOW, {"chat": {"name": MAIL}})
    return event, dispatch, attempt, result, skip


@pytest.fixture
def event(memory):
    event, dispatch, attempt, result, skip = make_hidden()
    memory.add(
        event, dispatch, attempts=[attempt], results=[ResultView(result, {MAIL: MAIL}, NOW, (MAIL,))], skips=(skip,)
    )
    memory.tell(result)
    return event


async def ask(client, role, method, path, **given):
    answer = await client.request(method, path, headers={"Authorization": f"Bearer token-of-{role}"}, **given)
    assert answer.status == 200, await answer.text()
    return await answer.text()


WAYS = [
    ("GET", "/api/events", {}),
    ("GET", "/api/events?text=kim", {}),
    ("GET", "/api/events/0190-1", {}),
    ("GET", "/api/events/d-0190-1", {}),
    ("GET", "/api/results?follow=0", {}),
    ("POST", "/api/try", {"json": {"event": "0190-1"}}),
    ("GET", "/api/events/0190-1/explain", {}),
    ("GET", "/events", {}),
    ("GET", "/events/0190-1", {}),
    ("GET", "/events/0190-1/raw", {}),
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way[1])
async def test_only_an_admin_sees_it(client, event, way):
    method, path, given = way
    for role in ("read", "operate"):
        text = await ask(client, role, method, path, **given)
        assert event.id in text or path.endswith(("/try", "/explain", "/raw"))
        assert "***" in text
        assert "kim" not in text.lower()
        assert "someone" not in text
    assert MAIL in await ask(client, "admin", method, path, **given)


DEAR_WAYS = (
    *("/api/events", "/api/events/0190-1", "/api/events/0190-1/explain", "/api/try", "/api/problems"),
    *("/api/results?follow=0", "/api/results/told", "/api/results/waiting", "/api/dead", "/api/rejected"),
)


@pytest.mark.parametrize("path", DEAR_WAYS)
async def test_what_takes_longer_is_masked_beside_the_event_loop(client, memory, desk, monkeypatch, path):
    threads = []

    class Watched(Mask):
        def text(self, text):
            threads.append(threading.current_thread().name)
            return super().text(text)

    monkeypatch.setattr("relay.ops.hide.Mask", Watched)
    event, dispatch, attempt, result, skip = make_hidden()
    customer = {**event.data["customer"], "friends": [f"friend {number}" for number in range(1_000)]}
    told = ResultView(result, {MAIL: MAIL}, NOW, (MAIL,))
    event = replace(event, data={**event.data, "customer": customer})
    memory.add(event, dispatch, attempts=[attempt], results=[told], skips=(skip,))
    memory.tell(result)
    memory.waiting_rows = [told]
    memory.problem_rows = [make_problem(kind=ProblemKind.LOOP, detail=MAIL)]
    desk.paths = {"helpdesk": ("data.customer", "headers.x-user"), "crm-bus": ("headers.x-user",)}
    headers = {"x-user": "some one " * 1_000, "x-mail": "b"}
    memory.letters = [replace(make_letter(1), headers=headers)]
    refused = make_rejection(1)
    memory.refused = [replace(refused, rejection=replace(refused.rejection, headers=headers))]
    way = ("POST", path, {"json": {"event": "0190-1"}}) if path == "/api/try" else ("GET", path, {})
    text = await ask(client, "read", way[0], way[1], **way[2])
    assert "***" in text
    assert "kim" not in text.lower()
    assert "some one" not in text
    assert {name[:4] for name in threads} == {"hide"}, "what costs the time is the making of the mask"


async def test_the_rest_is_shown_and_the_paths_are_named(client, event):
    shown = json.loads(await ask(client, "read", "GET", f"/api/events/{event.id}"))
    assert shown["data"] == {"subject": "of ***", "customer": {"mail": "***", "plan": "gold"}}
    assert (shown["raw"], shown["rawBase64"], shown["hidden"]) == (
        None,
        None,
        ["data.customer.mail", "headers['x-user']"],
    )
    assert shown["dispatches"][0]["message"] == "Ask ***"
    assert shown["dispatches"][0]["request"]["trigger"]["type"] == "draft"
    whole = json.loads(await ask(client, "admin", "GET", f"/api/events/{event.id}"))
    assert (whole["raw"], whole["hidden"]) == (event.raw.decode(), [])


async def test_values_of_conditions_are_hidden_by_their_paths_and_where_they_were_cut(client, memory, desk):
    desk.paths = {"helpdesk": ("data.rows.mail", "data.customer.note")}
    long = "x" * 3_000
    data = {"rows": [{"mail": "", "n": 1}], "customer": {"a": long, "note": "Dan"}, "plan": "gold", "other": long}
    memory.add(make_event(data=data, raw=b"{}"))
    when = (
        "data.rows[0].mail or data.rows == 1 or data.customer == 1 or data.plan == 'red' or all == 1 or data.other == 1"
    )
    desk.rule = RuleSpec("urgent", when=when, chat=CHAT, keys={"let": {"all": "{{ data.customer }}"}})
    for way in (("POST", "/api/try", {"json": {"event": "0190-1"}}), ("GET", "/api/events/0190-1/explain", {})):
        shown = json.loads(await ask(client, "read", way[0], way[1], **way[2]))
        [verdict] = (shown["events"][0] if "events" in shown else shown)["rules"]
        assert verdict["why"] == "when is false"
        values = [value for each in verdict["conditions"] for value in each["values"].values()]
        other = values.pop()
        assert values == ["***", [{"mail": "***", "n": 1}], "***", "gold", "***"]
        assert other.startswith('"xxx'), "nothing is hidden there"
        assert verdict["keys"] == {"let": {"all": "***"}}
    whole = json.loads(await ask(client, "admin", "GET", "/api/events/0190-1/explain"))
    assert "data.plan is " in whole["rules"][0]["why"]


async def test_why_is_told_where_it_names_nothing_hidden(client, event, desk):
    desk.rule = RuleSpec("urgent", when="data.customer.plan == 'red'", chat=CHAT)
    shown = json.loads(await ask(client, "read", "GET", f"/api/events/{event.id}/explain"))
    assert shown["rules"][0]["why"] == 'when is false; data.customer.plan is "gold"'


async def test_nobody_can_try_which_values_the_ledger_has_seen(client, memory, desk, monkeypatch):
    memory.add(make_event(source="shop"))
    now = {"state": "suppressed", "why": "once: as dispatch d-1", "since": "2026-11-23T09:00:00Z"}

    async def foretold(*_):
        return {"events": [{"event": {}, "rules": [make_verdict("urgent", now=now)]}]}

    monkeypatch.setattr(desk, "try_event", foretold)
    monkeypatch.setattr(desk, "try_kept", foretold)
    delivery = {"source": "shop", "body": {"mail": MAIL}}
    for given in (delivery, {"event": "0190-1", "rule": "name: urgent"}):
        for role, state in (("operate", None), ("admin", "suppressed")):
            [tried] = json.loads(await ask(client, role, "POST", "/api/try", json=given))["events"]
            assert (tried["rules"][0]["now"] or {}).get("state") == state
    [tried] = json.loads(await ask(client, "read", "POST", "/api/try", json={"event": "0190-1"}))["events"]
    assert tried["rules"][0]["now"]["state"] == "suppressed", "a stored event is none of the caller's making"
    desk.paths = {}
    [tried] = json.loads(await ask(client, "read", "POST", "/api/try", json=delivery))["events"]
    assert tried["rules"][0]["now"]["state"] == "suppressed"


async def test_no_replay_tells_which_labels_there_are(client, desk):
    for given, status in ({}, 403), ({"source": "helpdesk"}, 403), ({"source": "shop"}, 200):
        asked = {"since": "1h", "label": f"mail:{MAIL}", "dryRun": True, **given}
        headers = {"Authorization": "Bearer token-of-operate"}
        answer = await client.post("/api/jobs", json=asked, headers=headers)
        assert answer.status == status, await answer.text()
        if status == 403:
            assert "events of helpdesk are found by no label" in await answer.text()
    assert [job.aim.source for job in desk.jobs_kept] == ["shop"]
    await ask(client, "admin", "POST", "/api/jobs", json={"since": "1h", "label": f"mail:{MAIL}"})
    await ask(client, "operate", "POST", "/api/jobs", json={"since": "1h"})


async def test_jobs_show_no_hidden_value(client, memory, desk, event):
    memory.add(make_event(2, data=None, raw=b"", unreadable=f"not JSON: {MAIL}"))
    aim = make_job(1).aim
    desk.jobs_kept = [
        make_job(1, aim=replace(aim, label=("mail", MAIL)), fault=f"rule urgent: {MAIL}", fault_event=event.id),
        make_job(2, aim=replace(aim, source="helpdesk", label=("mail", MAIL))),
        make_job(3, fault=f"it could not be read (not JSON: {MAIL})", fault_event="0190-2"),
        make_job(4, fault=MAIL, fault_event="pruned"),
        make_job(5, aim=replace(aim, source="shop", label=("plan", "gold")), fault="there is no rule"),
    ]
    shown = json.loads(await ask(client, "read", "GET", "/api/jobs"))["jobs"]
    assert [(job["label"], (job["fault"] or {}).get("message")) for job in reversed(shown)] == [
        ("mail:***", "rule urgent: ***"),
        ("mail:***", None),
        (None, "it could not be read (***)"),
        (None, "***"),
        ("plan:gold", "there is no rule"),
    ]
    job_id = desk.jobs_kept[0].id
    assert MAIL not in await ask(client, "read", "GET", f"/api/jobs/{job_id}")
    assert MAIL in await ask(client, "admin", "GET", f"/api/jobs/{job_id}")


@pytest.mark.parametrize("way", ["/api/events/{}/replay", "/events/{}/replay", "/api/dispatches/d-{}/retry"])
@pytest.mark.parametrize(
    ("unreadable", "told", "shown"),
    [
        (f"not JSON: {MAIL}", f"it could not be read (not JSON: {MAIL})", "it could not be read (***)"),
        (None, f"rule urgent: {MAIL} is no number", "rule urgent: *** is no number"),
        (ERASED, f"it was {ERASED}", f"it was {ERASED}"),
    ],
)
async def test_why_something_cannot_be_repeated_quotes_nothing_hidden(
    client, memory, desk, monkeypatch, way, unreadable, told, shown
):
    event = make_event(data={"customer": {"mail": MAIL}}, unreadable=unreadable)
    memory.add(event, make_dispatch(event))

    async def refuse(*_, **__):
        raise Conflict(told)

    monkeypatch.setattr(desk, "replay", refuse)
    monkeypatch.setattr(desk, "retry", refuse)
    for role, text in (("operate", shown), ("admin", told)):
        headers = {"Authorization": f"Bearer token-of-{role}", "Origin": str(client.make_url("")).rstrip("/")}
        given = {"json": {}} if way.startswith("/api") else {"data": {}}
        answer = await client.post(way.format(event.id), headers=headers, **given)
        assert text in await answer.text()
        assert answer.status == 409


GATHERED_WAYS = [
    *("/api/events", "/api/events/0190-1", "/api/results?follow=0", "/api/results/told"),
    *("/api/results/waiting", "/events/0190-1"),
]


@pytest.mark.parametrize("path", GATHERED_WAYS)
@pytest.mark.parametrize("source", ["helpdesk", "shop"])
async def test_what_is_made_of_several_events_shows_values_of_none(client, memory, source, path):
    """`debounce` with `keep: all`: only the last event of the window is at hand."""
    event, dispatch, attempt, result, _ = make_hidden()
    data = {"subject": "Hello", "customer": {"mail": "bob@acme.com"}}
    event = make_event(source=source, data=data, raw=json.dumps(data).encode())
    dispatch, result = replace(dispatch, source=source), replace(result, source=source, dispatch_id=dispatch.id)
    told = ResultView(result, {MAIL: MAIL}, NOW, (MAIL,))
    memory.add(event, dispatch, attempts=[attempt], results=[told])
    memory.tell(result)
    memory.waiting_rows = [told]
    memory.gathered = {dispatch.id: ("crm-*", "help*", "shop")}
    for role in ("read", "operate"):
        text = await ask(client, role, "GET", path)
        assert "***" in text
        assert "kim" not in text.lower()
    assert MAIL in await ask(client, "admin", "GET", path)
    memory.gathered = {dispatch.id: ("shop",)}
    assert source == "helpdesk" or MAIL in await ask(client, "read", "GET", path), "nothing is hidden of any of them"


async def test_other_sources_stay_as_they_are(client, memory):
    memory.add(make_event(source="shop", subject=MAIL))
    shown = json.loads(await ask(client, "read", "GET", "/api/events/0190-1"))
    assert (shown["subject"], shown["hidden"], shown["raw"]) == (MAIL, [], '{"subject": "Hello"}')


async def test_searches_leave_the_source_out(client, memory):
    await ask(client, "read", "GET", "/api/events?text=kim")
    assert memory.queries[-1].closed == {"helpdesk"}
    await ask(client, "admin", "GET", "/api/events?text=kim")
    assert memory.queries[-1].closed == frozenset()


async def test_of_an_event_that_could_not_be_read_nothing_is_shown(client, memory):
    memory.add(make_event(data=None, raw=b"\xff", unreadable=f"not JSON: {MAIL}", subject=MAIL, headers={"a": MAIL}))
    shown = json.loads(await ask(client, "read", "GET", "/api/events/0190-1"))
    assert (shown["unreadable"], shown["subject"], shown["headers"], shown["raw"]) == ("***", "***", {"a": "***"}, None)


async def test_a_problem_that_is_told_by_a_rendered_key(client, memory, event):
    problem = make_problem(kind=ProblemKind.LOOP, detail=MAIL)
    memory.problem_rows = [problem, replace(problem, id="p-2", event_id="pruned"), make_problem(3, detail="data.id")]
    memory.tell(problem.message(NOW, "opened"))
    shown = json.loads(await ask(client, "read", "GET", "/api/problems"))["problems"]
    assert [each["detail"] for each in shown] == ["***", "***", "data.id"]
    assert MAIL not in await ask(client, "read", "GET", "/api/results?follow=0")
    for act in ("acknowledge", "resolve"):
        assert MAIL not in await ask(client, "operate", "POST", f"/api/problems/p-1/{act}", json={})
    assert MAIL in await ask(client, "admin", "GET", "/api/problems")


@pytest.mark.parametrize("path", ["/api/results/told", "/api/results/waiting", "/results", "/"])
async def test_the_error_of_a_result_that_nobody_takes(client, memory, event, status, path):
    """A routing key is made of the event, and RabbitMQ's answer names it."""
    error = f"unroutable: no queue takes messages with routing key 'deal.{MAIL}'"
    [told] = [detail.results[0] for detail in memory.details.values()]
    memory.pending[told.result.id] = {"": error, MAIL: f"{MAIL} denies it"}
    memory.waiting_rows = [replace(told, pending=memory.pending[told.result.id])]
    status.set("publisher", PartState.DEGRADED, error, public="no queue takes some of the results")
    for role in ("read", "operate"):
        text = await ask(client, role, "GET", path)
        assert "kim" not in text.lower()
        assert "no queue takes" in text, "the rest is shown"
    assert f"deal.{MAIL}" in await ask(client, "admin", "GET", path)


async def test_headers_of_what_never_became_an_event(client, memory, desk):
    desk.paths["crm-bus"] = ("headers.x-team",)
    memory.letters = [make_letter(1)]
    refused = make_rejection(1)
    memory.refused = [replace(refused, rejection=replace(refused.rejection, headers={"x-user": "someone", "a": "b"}))]
    [letter] = json.loads(await ask(client, "read", "GET", "/api/dead"))["dead"]
    assert (letter["headers"], letter["error"]) == ({"x-team": "***"}, "***"), "an error may quote the body"
    shown = json.loads(await ask(client, "read", "GET", "/api/rejected"))["rejected"]
    assert shown[0]["headers"] == {"x-user": "***", "a": "b"}
    assert "someone" in await ask(client, "admin", "GET", "/api/rejected")
