"""events, show, replay, retry, cancel and tail against a running API."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from relay.model import Labels, Outlet, ParkReason, Skip, State, Why
from relay.units import iso
from tests.cli.conftest import make_ops, serving
from tests.ops.desk import (
    NOW,
    make_dispatch,
    make_event,
    make_failed,
    make_id,
    make_judged,
    make_problem,
    make_rejection,
    make_result,
)

pytestmark = pytest.mark.usefixtures("url")


def add_events(memory, count):
    for number in range(count):
        event = make_event(number)
        memory.add(event, make_dispatch(event))


def test_events_are_a_table(relay, memory):
    add_events(memory, 2)
    result = relay("events")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["id", "received", "source", "type", "status", "dispatches"]
    assert lines[1].split() == [
        "0190-1",
        "11-23",
        "02:13:20Z",
        "helpdesk",
        "ticket.created",
        "accepted",
        "urgent:",
        "done",
    ]


def test_events_as_json_are_one_document(relay, memory):
    add_events(memory, 2)
    document = json.loads(relay("events", "--json").stdout)
    assert [event["id"] for event in document["events"]] == ["0190-1", "0190-0"]


def test_show_says_which_rules_skipped_it_and_why(relay, memory):
    event = make_event(1)
    memory.add(event, skips=(Skip("own", Why.IGNORED, "data.bot"), Skip("trial", Why.SHADOW, {"name": "x"})))
    said = relay("show", event.id).stdout
    assert "Skipped by" in said
    assert [line.strip().split(maxsplit=2) for line in said.splitlines() if line.startswith(("own", "trial"))] == [
        ["own", "ignored", "data.bot"],
        ["trial", "shadow", '{"name": "x"}'],
    ]


def test_no_events_is_no_fault(relay):
    result = relay("events")
    assert (result.exit_code, result.stdout) == (0, "no events\n")


def test_as_many_pages_as_it_takes(relay, memory):
    for number in range(520):
        memory.add(make_event(number, id=make_id(number)))
    relay("events", "--limit", "510", "--json")
    assert [query.limit for query in memory.queries] == [500, 10]
    result = relay("events", "--limit", "3")
    assert "there are more" in result.stdout


def test_filters_reach_the_ledger(relay, memory):
    relay("events", "--source", "helpdesk", "--type", "t", "--status", "parked", "--since", "1h", "--text", "x y")
    query = memory.queries[-1]
    assert (query.source, query.type, query.state, query.text) == ("helpdesk", "t", "parked", "x y")
    assert query.since is not None


def test_a_label_is_written_with_an_equals_sign(relay, memory):
    relay("events", "--label", "customer=Acme: a=b & more")
    assert memory.queries[-1].label == ("customer", "Acme: a=b & more")


@pytest.mark.parametrize("wrong", ["customer", "customer=", "=Acme", "customer:Acme"])
def test_a_label_that_is_none_is_a_wrong_command(relay, wrong):
    result = relay("events", "--label", wrong)
    assert result.exit_code == 2
    assert "NAME=VALUE" in result.stderr


def test_show_says_the_labels_and_where_the_results_go(relay, memory):
    event = make_event(1)
    labels = Labels({"customer": "Acme\x1b[2J"}, {"tier": "labels.tier: data.tier is missing"})
    memory.add(event, make_dispatch(event, labels=labels, outlet=Outlet("crm.results", "deal.7")))
    said = re.sub(r" +", " ", relay("show", event.id).stdout)
    assert "labels customer: Acme\\x1b[2J" in said
    assert "left out tier: labels.tier: data.tier is missing" in said
    assert "results to exchange crm.results, routing key deal.7\n" in said


def test_a_filter_that_is_wrong_is_said(relay):
    result = relay("events", "--since", "yesterday")
    assert result.exit_code == 1
    assert result.stderr.startswith("relay: query parameter since: 'yesterday' is not a time; write")


def test_refused_requests_are_listed(relay, memory):
    memory.refused = [make_rejection(1)]
    assert "signature_wrong" in relay("events", "--rejected").stdout
    assert json.loads(relay("events", "--rejected", "--json").stdout)["rejected"][0]["id"] == "r-1"


def test_a_refused_request_says_until_when_it_is_kept_and_what_it_has_become(relay, memory):
    memory.refused = [
        make_rejection(1),
        make_rejection(2, kept_until=NOW),
        make_rejection(3, readmitted=("0190-1", "0190-2")),
        make_rejection(4, readmitted=()),
    ]
    head, *rows = relay("events", "--rejected").stdout.splitlines()
    assert head.split() == ["at", "source", "reason", "hint", "remote", "kept", "until", "readmitted"]
    shown = ["11-23 02:13:20Z", "helpdesk", "signature_wrong", "the secret was rotated at the vendor", "192.0.2.7"]
    assert [re.split(r"  +", row.strip()) for row in rows] == [
        shown,
        [*shown, "11-23 02:13:20Z"],
        [*shown, "0190-1"],
        ["0190-2"],
        [*shown, "as no event"],
    ]


def test_readmit_tells_the_verdict_on_each(relay, desk):
    desk.judged.append(make_judged(2, "duplicate"))
    result = relay("readmit", "helpdesk")
    assert result.exit_code == 0
    head, *rows = [line.split() for line in result.stdout.splitlines()]
    assert head == ["id", "at", "verdict", "reason", "hint", "events"]
    assert [(row[0], row[3], row[-1]) for row in rows] == [
        ("r-1", "readmitted", "0190-1"),
        ("r-2", "duplicate", "0190-2"),
    ]


def test_readmit_is_exit_code_1_when_something_was_refused_again(relay, desk):
    desk.judged.append(make_judged(2, "refused", hint="still \x1b[2Janother secret"))
    result = relay("readmit", "helpdesk")
    assert result.exit_code == 1
    assert "signature_wrong" in result.stdout
    assert "\x1b" not in result.stdout
    document = relay("readmit", "helpdesk", "--json")
    assert document.exit_code == 1
    assert json.loads(document.stdout)["requests"] == desk.judged


def test_readmit_judges_only_when_it_is_told_so(relay, desk):
    assert "nothing was accepted" in relay("readmit", "helpdesk", "--dry-run").stdout
    assert "nothing was accepted" not in relay("readmit", "helpdesk").stdout
    assert desk.dry == [True, False]


def test_readmit_of_nothing_or_of_no_webhook_is_said(relay, desk):
    desk.judged = []
    result = relay("readmit", "helpdesk")
    assert (result.exit_code, result.stdout) == (
        0,
        "no refused request of helpdesk is kept; `relay events --rejected` lists refused requests\n",
    )
    assert relay("readmit", "crm-bus").exit_code == 1
    missing = relay("readmit", "nobody")
    assert (missing.exit_code, missing.stderr) == (1, "relay: there is no source nobody\n")


def test_an_end_of_several_ids_lists_them(relay, memory):
    add_events(memory, 12)
    result = relay("show", "1")
    assert result.exit_code == 1
    assert "several ids end in 1: 0190-1, 0190-11; give more of it" in result.stderr
    assert "`relay show" not in relay("retry", "1").stderr


def test_forget_says_whether_there_was_a_secret(relay):
    assert relay("forget", "helpdesk").stdout == "forgotten; the next handshake of helpdesk sets the secret\n"
    assert relay("forget", "helpdesk").stdout == "nothing to forget: helpdesk has learned no secret\n"
    assert json.loads(relay("forget", "helpdesk", "--json").stdout) == {"forgotten": False}
    assert relay("forget", "nobody").exit_code == 1


def run_on_a_terminal(*args, typed):
    """Run a command whose stdin is a terminal on which this was typed; its exit code and what it printed."""
    ours, its = os.openpty()
    try:
        os.write(ours, typed)
        done = subprocess.run(
            [sys.executable, "-m", "relay", *args], stdin=its, capture_output=True, text=True, timeout=30, check=False
        )
    finally:
        os.close(ours)
        os.close(its)
    return done


def test_forget_asks_on_a_terminal_unless_told_not_to(desk):
    declined = run_on_a_terminal("forget", "helpdesk", typed=b"n\n")
    assert declined.returncode == 1
    assert "trust the sender of the next handshake? [y/N]" in declined.stderr
    assert (declined.stdout.strip(), list(desk.learned)) == ("", ["helpdesk"])
    agreed = run_on_a_terminal("forget", "helpdesk", typed=b"y\n")
    assert (agreed.returncode, desk.learned) == (0, {})
    unasked = run_on_a_terminal("forget", "helpdesk", "--yes", typed=b"")
    assert (unasked.returncode, unasked.stderr) == (0, "")


def test_what_strangers_send_does_not_drive_the_terminal(relay, memory):
    memory.add(make_event(1, type="\x1b]0;owned\x07[red]x[/red]", subject="\x1b[2J"))
    result = relay("events")
    assert "\x1b" not in result.stdout
    assert "\\x1b]0;owned\\x07[red]x[/red]" in result.stdout
    assert "\x1b" not in relay("show", "0190-1").stdout


def test_show_gives_the_date_where_it_changes(relay, memory):
    event, dispatch, attempts, _ = make_failed(1)
    day = 86_400_000
    late = [
        replace(attempt, started_at=attempt.started_at + day, ended_at=attempt.ended_at + day) for attempt in attempts
    ]
    memory.add(event, dispatch, attempts=late)
    steps = relay("show", event.id).stdout.partition("Timeline")[2].partition("dispatch d-")[0]
    first, second = iso(NOW)[:10], iso(NOW + day)[:10]
    assert first not in steps
    assert steps.count(second) == 1, "at the first step of that day"


def test_show_tells_all(relay, memory):
    event, dispatch, attempts, told = make_failed(1)
    memory.add(event, dispatch, attempts=attempts, results=[told])
    text = relay("show", event.id).stdout
    for part in ("external id", "t-1", "chat.attempted", "no such agent (404)", '"trigger"', '"subject": "Hello"'):
        assert part in text
    assert relay("show", dispatch.id).stdout == text
    assert json.loads(relay("show", event.id, "--json").stdout)["id"] == event.id


def test_an_unknown_id_is_a_fault_in_the_input(relay):
    result = relay("show", "0190-9")
    assert (result.exit_code, result.stderr) == (1, "relay: there is no event and no dispatch 0190-9\n")
    assert relay("show", "../events").exit_code == 1


def test_replay(relay, memory):
    add_events(memory, 1)
    assert "nothing to add: no rule made a new chat of it" in relay("replay", "0190-0").stdout
    assert "d-new" in relay("replay", "0190-0", "--again").stdout
    assert json.loads(relay("replay", "0190-0", "--again", "--json").stdout)["dispatches"][0]["rule"] == "urgent"


def test_retry_of_several_says_which_could_not(relay, memory):
    event, dispatch, *_ = make_failed(1)
    memory.add(event, dispatch)
    done = make_event(2)
    memory.add(done, make_dispatch(done))
    result = relay("retry", "d-0190-2", dispatch.id)
    assert result.exit_code == 1
    assert "dispatch d-0190-2 is done" in result.stderr
    assert "`relay show d-0190-2` shows its state" in result.stderr
    assert result.stdout.splitlines()[1].split() == ["d-0190-1", "urgent", "ready", "2"]
    assert relay("retry", dispatch.id).exit_code == 0


def test_everything_parked_for_a_reason(relay, memory):
    for number, reason in enumerate(["unknown", "limit", "unknown"]):
        event = make_event(number)
        memory.add(event, make_dispatch(event, state=State.PARKED, park=ParkReason(reason)))
    document = json.loads(relay("cancel", "--parked", "unknown", "--json").stdout)
    assert [one["id"] for one in document["dispatches"]] == ["d-0190-2", "d-0190-0"]
    assert memory.queries[-1].state == "parked"
    assert len(json.loads(relay("cancel", "--parked", "all", "--json").stdout)["dispatches"]) == 3
    assert relay("cancel", "--parked", "budget").stdout == "no dispatch is parked\n"


@pytest.mark.parametrize("wrong", [[], ["d-1", "--parked", "all"], ["--parked", "nonsense"]])
def test_retry_wants_ids_or_a_reason(relay, wrong):
    assert relay("retry", *wrong).exit_code == 2


def test_cancel(relay, memory):
    add_events(memory, 1)
    assert json.loads(relay("cancel", "d-0190-0", "--json").stdout)["dispatches"][0]["state"] == "cancelled"


def test_tail_of_what_is_kept(relay, memory):
    memory.tell(make_result(1), make_result(2))
    documents = [json.loads(line) for line in relay("tail", "--no-follow", "--json").stdout.splitlines()]
    assert [document["id"] for document in documents] == ["d-1.1", "d-2.1"]
    after = relay("tail", "--no-follow", "--json", "--after", "1").stdout.splitlines()
    assert [json.loads(line)["id"] for line in after] == ["d-2.1"]


def test_tail_for_people_is_one_line_each(relay, memory):
    about = {"source": "helpdesk", "rule": "urgent", "eventId": "0190-1"}
    made = about | {"chatUuid": "3c90c3cc"}
    lost = made | {"error": {"code": "failed", "message": "no\n11-24 forged\x1b[2J"}}
    memory.tell(*(replace(make_result(1), data=data) for data in (made, lost, {"source": "bus", "eventId": "0190-2"})))
    assert relay("tail", "--no-follow").stdout.splitlines() == [
        "11-23 02:13:20Z  chat.created    helpdesk  urgent  0190-1  3c90c3cc",
        "11-23 02:13:20Z  chat.created    helpdesk  urgent  0190-1  failed: no\\n11-24 forged\\x1b[2J",
        "11-23 02:13:20Z  chat.created    bus               0190-2",
    ]


def test_tail_prints_problems_too(relay, memory):
    memory.tell(make_problem(1).message(NOW, "opened"))
    [line] = relay("tail", "--no-follow").stdout.splitlines()
    assert line.split() == ["11-23", "02:13:20Z", "problem.opened", "urgent", "p-1", "failures", "render", "data.id"]


def test_tail_comes_back_where_it_was_cut(relay, memory):
    """A second relay answers at the first one's address; the reader misses nothing and gets nothing twice."""
    from urllib.parse import urlsplit

    memory.tell(make_result(1))
    with serving(lambda: make_ops(memory)) as first:
        reader = subprocess.Popen(
            [sys.executable, "-m", "relay", "tail", "--json", "--after", "0", "--url", first],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert json.loads(reader.stdout.readline())["id"] == "d-1.1"
    memory.tell(make_result(2))
    try:
        with serving(lambda: make_ops(memory), urlsplit(first).port):
            assert json.loads(reader.stdout.readline())["id"] == "d-2.1"
    finally:
        reader.terminate()
        reader.communicate(timeout=10)


@pytest.mark.parametrize(
    "command",
    [
        ("events",),
        ("show", "x"),
        ("replay", "x"),
        ("retry", "x"),
        ("cancel", "x"),
        ("readmit", "x"),
        ("forget", "x"),
        ("tail",),
    ],
)
def test_no_relay_there_is_exit_code_3(relay, command):
    result = relay(*command, "--url", "http://127.0.0.1:1")
    assert result.exit_code == 3
    assert result.stderr.startswith("relay: no relay answers at http://127.0.0.1:1 (Connection refused); start one")
    assert result.stdout == ""


@pytest.mark.parametrize("bad", ["nonsense", "ftp://x", "http://", "http://[x", "http://x:99999"])
def test_an_address_that_is_none_is_a_fault(relay, bad):
    result = relay("events", "--url", bad)
    assert result.exit_code == 1
    assert "is not an address; write for example http://127.0.0.1:8081" in result.stderr


def test_a_ledger_that_is_away_is_exit_code_3(relay, memory):
    memory.away = True
    result = relay("events")
    assert (result.exit_code, result.stderr) == (3, "relay: the database does not answer\n")


@pytest.mark.parametrize(("given", "told"), [((), "wants a token"), (("--token", "wrong"), "refused the token")])
def test_a_token_that_is_missing_is_told_apart_from_a_wrong_one(relay, memory, given, told):
    with serving(lambda: make_ops(memory, "s3cret-s3cret")) as url:
        result = relay("events", "--url", url, *given)
    assert result.exit_code == 1
    assert f"{url} {told}; set RELAY_TOKEN or --token to the value of http.token or of one of" in result.stderr


def test_the_token_is_given_by_variable_and_never_printed(relay, memory, monkeypatch):
    with serving(lambda: make_ops(memory, "s3cret")) as url:
        refused = relay("events", "--url", url)
        assert refused.exit_code == 1
        assert "set RELAY_TOKEN" in refused.stderr
        monkeypatch.setenv("RELAY_TOKEN", "s3cret")
        assert relay("events", "--url", url).exit_code == 0
        assert relay("tail", "--no-follow", "--url", url).exit_code == 0
        assert "s3cret" not in relay("events", "--help").stdout
    monkeypatch.setenv("RELAY_TOKEN", "wr0ng")
    with serving(lambda: make_ops(memory, "s3cret")) as url:
        result = relay("show", "x", "--url", url)
        assert "wr0ng" not in result.stderr + result.stdout


def test_something_else_at_the_address_is_said(relay):
    from aiohttp import web

    async def page(_):
        return web.Response(text="<html>", content_type="text/html")

    def make():
        app = web.Application()
        app.router.add_get("/api/events", page)
        return app

    with serving(make) as url:
        result = relay("events", "--url", url)
    assert result.exit_code == 3
    assert "answers, but not like a relay (200)" in result.stderr
