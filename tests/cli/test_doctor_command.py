"""`relay doctor` against a running API."""

import json


def test_doctor_is_a_page_and_an_act_is_exit_code_1(relay, url, desk):
    assert relay("doctor").exit_code == 0
    desk.lines.append({"check": "disk", "verdict": "act", "what": "it is full", "todo": "make room"})
    result = relay("doctor")
    assert result.exit_code == 1
    assert [line.split() for line in result.stdout.splitlines()[1:3]] == [
        ["ok", "clock", "it", "is", "right"],
        ["act", "disk", "it", "is", "full", "make", "room"],
    ]
    assert result.stdout.splitlines()[-1] == "2026-11-23T02:13:20.000Z: 1 act, 1 ok"
    result = relay("doctor", "--json")
    assert (result.exit_code, json.loads(result.stdout)["lines"]) == (1, desk.lines)


def test_doctor_of_files_needs_no_relay(relay, tmp_path):
    (tmp_path / "relay.yaml").write_text(
        'cargo: {token: t, base_url: "http://127.0.0.1:1/v1"}\nsources: {}\nrules: []\n', encoding="utf-8"
    )
    result = relay("doctor", "--files", "--config", "relay.yaml", "--json")
    assert result.exit_code == 1
    found = {line["check"]: line["verdict"] for line in json.loads(result.stdout)["lines"]}
    assert (found["versions"], found["cargo"], found["ledger"]) == ("ok", "act", "look")
