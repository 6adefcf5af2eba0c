"""Help, colours and completion of every command."""

import io
import shlex
import sys

import pytest
from typer.main import get_command

from relay.cli import app
from relay.cli.examples import EXAMPLES
from relay.cli.terminal import When, choose_colours, prepare

COMMANDS = get_command(app).commands


def test_every_command_has_an_example_and_no_other_has_one():
    assert set(EXAMPLES) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_is_shown_and_can_be_run(relay, name):
    words = shlex.split(EXAMPLES[name])
    assert words[:2] == ["relay", name]
    COMMANDS[name].make_context(name, words[2:]).close()
    assert " ".join(EXAMPLES[name].split()[:3]) in " ".join(relay(name, "--help").stdout.split())


@pytest.mark.parametrize(
    ("command", "option", "begun", "values"),
    [
        ("events", "status", "par", ["parked"]),
        ("sources", "category", "help", ["helpdesk"]),
        ("recipes", "name", "hub", ["hubspot"]),
        ("init", "vendor", "zen", ["zendesk"]),
        ("retry", "parked", "gave", ["gave_up"]),
    ],
)
def test_values_are_completed(relay, command, option, begun, values):
    context = COMMANDS[command].make_context(command, [], resilient_parsing=True)
    (parameter,) = [each for each in COMMANDS[command].params if each.name == option]
    assert [item.value for item in parameter.shell_complete(context, begun)] == values


def test_what_is_misspelt_is_guessed(relay):
    assert "did you mean helpdesk?" in relay("sources", "--category", "helpdsk").stderr
    assert "did you mean zendesk?" in relay("init", "zendsk").stderr


@pytest.mark.parametrize(("when", "seen"), [(When.ALWAYS, "\x1b[31mred\x1b[0m"), (When.NEVER, "\\x1b[31mred\\x1b[0m")])
def test_colours_pass_a_pipe_when_they_are_asked_for(monkeypatch, when, seen):
    """What a stranger sends never does: it is made visible before it is printed."""
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.setenv(name, "")
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    prepare()
    choose_colours(when)
    sys.stdout.write("\x1b[31mred\x1b[0m")
    sys.stdout.flush()
    assert raw.getvalue().decode() == seen
