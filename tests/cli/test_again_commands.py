"""retry --render, try --event, show of an unmatched event: what to do once a rule was mended."""

import json

import pytest

from relay.model import EventStatus, RuleVersion
from relay.secret import Secret
from tests.cli.conftest import make_ops, serving
from tests.ops.desk import make_dispatch, make_event, make_failed

CONFIG = """\
cargo: {token: any}
rules:
  - name: urgent
    when: data.subject == "Bye" and data.kind.name == "x"
    chat: {name: "{{ data.gone }}", trigger: {type: draft}}
"""


@pytest.fixture
def failed(memory):
    event, dispatch, attempts, told = make_failed(1)
    memory.add(event, dispatch, attempts=attempts, results=[told])
    return dispatch


def test_retry_says_whether_to_render_anew(relay, url, desk, failed):
    assert relay("retry", failed.id).exit_code == 0
    assert relay("retry", failed.id, "--render").exit_code == 0
    assert desk.rendered == [False, True]


def test_show_says_which_retry_fits_what_cargo_refused(relay, url, failed):
    shown = " ".join(relay("show", failed.id).stdout.split())
    assert f"correct it, then run `relay retry --render {failed.id}`" in shown


def test_show_has_the_rule_as_it_was_when_it_decided(relay, url, memory):
    event, version = make_event(1), RuleVersion("0f" * 8, "urgent", '{"name":"urgent","when":"data.urgent"}')
    memory.add(event, make_dispatch(event, rule_version=version.hash), versions=[version])
    lines = [line.strip() for line in relay("show", event.id).stdout.splitlines()]
    assert "when: data.urgent" in lines
    assert any(line.split() == ["its", "version", "0f" * 8] for line in lines)


def test_show_says_why_each_rule_went_or_not_as_it_was_then(relay, url, desk, memory):
    memory.add(make_event(1), status=EventStatus.UNMATCHED)
    text = json.dumps({"name": "then", "when": 'data.subject == "Hi"', "chat": {"trigger": {"type": "draft"}}})
    desk.rules_then = (RuleVersion("0f" * 8, "then", text),)
    shown = relay("show", "0190-1").stdout
    assert "What each rule made of it, as it was then" in shown
    assert "rule then: does not match" in shown
    assert 'false  data.subject == "Hi" (data.subject is "Hello")' in shown
    assert json.loads(relay("show", "0190-1", "--json").stdout)["explained"]["asOf"] == "then"


def test_show_asks_the_rules_in_force_where_those_of_then_are_gone(relay, url, memory):
    memory.add(make_event(1), status=EventStatus.UNMATCHED)
    shown = relay("show", "0190-1").stdout
    assert "What each rule in force makes of it" in shown
    assert "the rules that decided it are not kept any more" in shown
    assert 'when is false; data.subject is "Hello"' in shown


def test_try_takes_an_event_that_came_in_and_the_rules_that_are_here(relay, url, memory, tmp_path):
    memory.add(make_event(1), status=EventStatus.UNMATCHED)
    (tmp_path / "new.yaml").write_text(CONFIG)
    tried = relay("try", "--event", "0190-1", "-c", "new.yaml")
    assert tried.exit_code == 0
    assert 'when is false; data.subject is "Hello"; missing: data.kind.name' in tried.stdout


@pytest.mark.parametrize(
    "command",
    [("try", "--event", "0190-1", "-c", "new.yaml"), ("rehearse", "new.yaml"), ("rehearse", "new.yaml", "--json")],
)
def test_rules_do_not_judge_what_is_hidden(relay, memory, desk, tmp_path, command):
    """They would take the mask for the value, and say that chats change where none does."""
    (tmp_path / "new.yaml").write_text(CONFIG)
    memory.add(make_event(1))
    desk.in_force["settings"] = {"vars": {}, "rules": []}
    desk.paths = {"helpdesk": ("data.subject",)}
    tokens = {"ray": (Secret("may-operate"), "operate"), "root": (Secret("may-all"), "admin")}
    with serving(lambda: make_ops(memory, desk=desk, tokens=tokens)) as url:
        refused = relay(*command, "--url", url, "--token", "may-operate")
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "event 0190-1 is of source helpdesk, whose data.subject this token may not see" in refused.stderr
        assert "a token of role admin" in refused.stderr
        assert relay(*command, "--url", url, "--token", "may-all").exit_code == 0


def test_try_exits_1_when_what_matches_cannot_be_rendered(relay, url, memory, tmp_path):
    memory.add(make_event(1, data={"subject": "Bye", "kind": {"name": "x"}}))
    (tmp_path / "new.yaml").write_text(CONFIG)
    tried = relay("try", "--event", "0190-1", "-c", "new.yaml", "--json")
    assert tried.exit_code == 1
    assert "data.gone is missing" in json.loads(tried.stdout)["events"][0]["rules"][0]["failure"]["message"]


@pytest.mark.parametrize(
    "args", [(), ("helpdesk",), ("helpdesk", "-", "--event", "0190-1"), ("--event", "x", "-H", "a: b")]
)
def test_try_of_too_much_or_too_little_is_wrong_use(relay, args):
    result = relay("try", *args)
    assert result.exit_code == 2
    assert "give either SOURCE and FILE or --event ID" in " ".join(result.stderr.split())


def test_the_ops_listener_is_that_of_the_configuration(relay, memory, desk, tmp_path):
    memory.add(make_event(1))
    with serving(lambda: make_ops(memory, desk=desk)) as url:
        (tmp_path / "relay.yaml").write_text(f"{CONFIG}http: {{ops: '{url.removeprefix('http://')}'}}\n")
        for line in (["events"], ["show", "0190-1"], ["tail", "--no-follow"], ["try", "--event", "0190-1"]):
            assert relay(*line, "-c", "relay.yaml").exit_code == 0, line


def test_a_faulty_configuration_that_was_found_keeps_nobody_from_looking(relay, monkeypatch, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config/relay.yaml").write_text("cargo: {tokn: x}\n")
    result = relay("events")
    assert result.exit_code == 3
    assert "the configuration has faults (`relay check` lists them), so http://127.0.0.1:8081 is used" in result.stderr
    assert relay("events", "-c", "config/relay.yaml").exit_code == 1
