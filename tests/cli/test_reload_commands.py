"""reload and diff: a running relay's configuration, put into force and compared."""

import json

import pytest
import yaml

from relay.config import describe, load

SETTINGS = {
    "cargo": {"token": "t0ken"},
    "sources": {"crm": {"type": "webhook", "scheme": "bearer", "secret": "first-secret"}},
    "rules": [{"name": "deal", "chat": {"name": "Deal", "trigger": {"type": "draft"}}}],
}


@pytest.fixture
def config(tmp_path):
    """Writes a configuration here."""

    def write(settings):
        path = tmp_path / "relay.yaml"
        path.write_text(yaml.safe_dump(settings))
        return path

    return write


@pytest.fixture
def in_force(desk, config):
    """Puts a configuration into force at the relay that runs."""

    def put(settings, *restart):
        loaded = load([config(settings)], {})
        desk.in_force = {"hash": loaded.digest, "restart": list(restart), **describe(loaded.settings)}

    return put


def test_reload_says_what_changed_and_what_waits(relay, url):
    done = relay("reload")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == ["changed rules[urgent]", "reloaded; configuration 0f is in force"]
    assert "restart it for http.ops" in done.stderr
    assert json.loads(relay("reload", "--json").stdout)["restart"] == ["http.ops"]


def test_reload_with_faults_says_each_of_them(relay, url, desk):
    desk.faults = [f"fault {number}" for number in range(20)]
    done = relay("reload")
    assert done.exit_code == 1
    assert [line for line in done.stderr.splitlines() if "fault " in line and "a.yaml:1:2" in line] == [
        f"a.yaml:1:2: rules: fault {number}" for number in range(20)
    ]
    as_json = relay("reload", "--json")
    assert (as_json.exit_code, len(json.loads(as_json.stdout)["faults"])) == (1, 20)


def test_diff_of_the_same_configuration_is_empty(relay, url, in_force, config):
    in_force(SETTINGS)
    done = relay("diff", "--config", config(SETTINGS))
    assert (done.exit_code, done.stdout.startswith("equal; configuration ")) == (0, True)


def test_diff_shows_rule_by_rule_what_is_in_force_and_what_is_here(relay, url, in_force, config):
    in_force(SETTINGS)
    more = {"name": "more", "chat": {"trigger": {"type": "draft"}}}
    here = SETTINGS | {"rules": [SETTINGS["rules"][0] | {"when": "data.won"}, more]}
    done = relay("diff", "--config", config(here))
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "changed rules[deal]"
    assert "  + when: data.won" in lines
    assert "added rules[more]" in lines
    document = json.loads(relay("diff", "--config", config(here), "--json").stdout)
    assert document["equal"] is False
    assert {"key": "rules[deal].when", "change": "added", "inForce": None, "here": "data.won", "restart": False} in (
        document["differences"]
    )


def test_diff_names_a_secret_that_differs_and_shows_none(relay, url, in_force, config):
    in_force(SETTINGS)
    here = SETTINGS | {"sources": {"crm": SETTINGS["sources"]["crm"] | {"secret": "second-secret"}}}
    done = relay("diff", "--config", config(here))
    assert done.exit_code == 1
    assert done.stdout.splitlines()[:2] == ["changed sources.crm", "  ~ secret: another secret"]
    assert "-secret" not in done.stdout.replace("~ secret", "")


def test_diff_says_what_waits_for_a_restart(relay, url, in_force, config):
    in_force(SETTINGS, "broker", "ledger.url")
    here = SETTINGS | {"broker": {"url": "amqp://localhost"}, "ledger": {"url": "sqlite:///b.db", "retain": "7d"}}
    document = json.loads(relay("diff", "--config", config(here), "--json").stdout)
    waits = {row["key"]: row["restart"] for row in document["differences"]}
    assert waits["broker.url"] is waits["ledger.url"] is True
    assert waits["ledger.retain"] is False


def test_diff_does_not_compare_what_is_not_known_here_and_says_so(relay, url, in_force, config):
    in_force(SETTINGS)
    here = SETTINGS | {"cargo": {"token": "${CARGO_API_TOKEN}"}}
    done = relay("diff", "--config", config(here))
    assert done.exit_code == 0
    assert "not compared" in done.stderr
    assert "cargo.token, sources.crm.secret" in done.stderr


def test_diff_of_faulty_files_lists_the_faults(relay, url, in_force, config):
    in_force(SETTINGS)
    done = relay("diff", "--config", config(SETTINGS | {"rulez": []}))
    assert done.exit_code == 2
    assert "rulez" in done.stderr
    assert "relay check" in done.stderr
