"""`relay dead` against a running API."""

import json

import pytest

from tests.ops.desk import NOW, make_letter

pytestmark = pytest.mark.usefixtures("url")


def test_dead_letters_are_a_table_or_json(relay, memory):
    assert relay("dead").stdout == "no dead letters\n"
    memory.letters = [make_letter(2), make_letter(1, "other", requeued_at=NOW)]
    lines = relay("dead").stdout.splitlines()
    assert lines[0].split() == ["id", "at", "source", "reason", "error", "message", "id", "size", "requeued"]
    assert lines[1].split() == [
        "l-2",
        "11-23",
        "02:13:20Z",
        "crm-bus",
        "json",
        "line",
        "1:",
        "not",
        "JSON",
        "m-2",
        "12",
    ]
    assert [letter["id"] for letter in json.loads(relay("dead", "--json").stdout)["dead"]] == ["l-2", "l-1"]
    assert "there are more" in relay("dead", "--limit", "1").stdout
    assert "crm-bus" not in relay("dead", "--source", "other").stdout


def test_dead_letters_are_sent_back(relay, desk):
    result = relay("dead", "--requeue")
    assert (result.exit_code, result.stdout) == (0, "there is nothing in relay.dead to send back\n")
    sent = {"id": "l-1", "source": "crm-bus", "queue": "crm.events"}
    desk.requeued = {"requeued": [sent], "refused": [], "missing": []}
    result = relay("dead", "l-1", "--requeue")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split() == ["l-1", "crm-bus", "crm.events"]
    assert json.loads(relay("dead", "--requeue", "--source", "crm-bus", "--json").stdout) == desk.requeued
    assert desk.requeues == [(None, None), (["l-1"], None), (None, "crm-bus")]


def test_a_dead_letter_that_stays_is_exit_code_1_with_the_reason(relay, desk):
    stays = {"id": "l-2", "source": "bus", "queue": "in", "error": "queue 'in' does not exist"}
    desk.requeued = {"requeued": [], "refused": [stays], "missing": ["l-9"]}
    result = relay("dead", "l-2", "l-9", "--requeue")
    assert result.exit_code == 1
    assert "relay: l-2 stays in relay.dead: queue 'in' does not exist" in result.stderr
    assert "relay: l-9 is not in relay.dead" in result.stderr


def test_ids_of_dead_letters_without_requeue_are_wrong_use(relay):
    result = relay("dead", "l-1")
    assert result.exit_code == 2
    assert "ids go with --requeue" in result.stderr
