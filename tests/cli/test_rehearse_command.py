"""relay rehearse: new rules over the events of a running relay, or of a ledger where none runs."""

import asyncio
import json

import pytest

from relay.ledger import Terms, open_ledger
from tests.ledger.build import make_entry
from tests.ops.desk import make_event

OLD = {"name": "urgent", "when": "data.subject == 'Hello'", "chat": {"name": "A", "trigger": {"type": "draft"}}}
NEW = """\
cargo: {token: any}
rules:
  - {name: urgent, when: data.subject == "Bye", chat: {name: A, trigger: {type: draft}}}
"""


@pytest.fixture
def running(url, desk, memory, tmp_path):
    """A running relay with two events that its rule takes."""
    desk.in_force["settings"] = {"vars": {}, "rules": [OLD]}
    for number in (1, 2):
        memory.add(make_event(number))
    (tmp_path / "new.yaml").write_text(NEW)
    return memory


def test_differences_are_counted_with_an_example(relay, running):
    result = relay("rehearse", "new.yaml", "--since", "7d", "--source", "helpdesk")
    assert result.exit_code == 0
    assert "chats: 2 by the rules in force, 0 by the new ones" in result.stdout
    assert "rule urgent: 2 fewer, for example of event 0190-2" in result.stdout
    assert 'data.subject is "Hello"' in result.stdout
    assert '-  "name": "A",' in result.stdout


def test_a_difference_is_exit_1_where_it_is_asked_for(relay, running, tmp_path):
    assert relay("rehearse", "new.yaml", "--fail-on-change").exit_code == 1
    (tmp_path / "new.yaml").write_text(NEW.replace("Bye", "Hello"))
    same = relay("rehearse", "new.yaml", "--fail-on-change")
    assert (same.exit_code, "no difference" in same.stdout) == (0, True)


def test_as_json_it_is_one_document(relay, running):
    document = json.loads(relay("rehearse", "new.yaml", "--json").stdout)
    assert (document["events"], document["fewer"], document["since"]) == (2, 2, "7d")
    assert document["rules"][0]["examples"][0]["eventId"] == "0190-2"


def test_an_event_that_was_pruned_meanwhile_is_passed_over(relay, running, monkeypatch):
    real = running.event

    async def event(any_id):
        return await real("gone" if any_id == "0190-1" else any_id)

    monkeypatch.setattr(running, "event", event)
    assert json.loads(relay("rehearse", "new.yaml", "--json").stdout)["fewer"] == 1


def test_faults_of_the_new_rules_are_exit_2(relay, running, tmp_path):
    (tmp_path / "new.yaml").write_text(NEW.replace("name: urgent,", ""))
    result = relay("rehearse", "new.yaml")
    assert result.exit_code == 2
    assert "new.yaml:3" in result.stderr


def test_without_a_relay_the_ledger_of_the_configuration_is_read(relay, tmp_path, monkeypatch):
    (tmp_path / "new.yaml").write_text(NEW)
    ledger = f"ledger: {{url: 'sqlite:///{tmp_path}/past.db'}}\nhttp: {{ops: '127.0.0.1:1'}}\n"
    (tmp_path / "relay.yaml").write_text(NEW.replace("Bye", "Hello") + ledger)
    missing = relay("rehearse", "new.yaml", "-c", "relay.yaml")
    assert (missing.exit_code, "there is no ledger" in missing.stderr) == (2, True)
    asyncio.run(fill(f"sqlite:///{tmp_path}/past.db"))
    result = relay("rehearse", "new.yaml", "-c", "relay.yaml", "--since", "2020-01-01T00:00:00Z", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["fewer"] == 1
    assert "events are read from sqlite:///" in result.stderr


async def fill(url):
    ledger = await open_ledger(url, Terms(owner="one"))
    await ledger.accept([make_entry(rules=(), body={"subject": "Hello"})])
    await ledger.aclose()


def test_a_relay_that_was_named_and_does_not_answer_is_an_error(relay, tmp_path):
    (tmp_path / "new.yaml").write_text(NEW)
    result = relay("rehearse", "new.yaml", "--url", "http://127.0.0.1:1")
    assert (result.exit_code, "no relay answers" in result.stderr) == (2, True)
