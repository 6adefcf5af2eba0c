"""What holds for every command: help, version, exit codes, a quick start, no traceback for an expected error."""

import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.main import get_command

from relay.cli import app
from relay.cli.dispatches import ParkedReason
from relay.model import ParkReason

COMMANDS = [
    "serve",
    "demo",
    "init",
    "check",
    "sources",
    "rules",
    "usage",
    "pause",
    "resume",
    "recipes",
    "verify",
    "try",
    "send",
    "events",
    "problems",
    "acts",
    "jobs",
    "rehearse",
    "reload",
    "diff",
    "doctor",
    "show",
    "replay",
    "retry",
    "cancel",
    "readmit",
    "forget",
    "erase",
    "dead",
    "tail",
    "sandbox",
    "migrate",
    "rekey",
    "schema",
    "topology",
    "health",
]


def test_these_are_the_commands():
    assert sorted(get_command(app).commands) == sorted(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_and_every_option_has_help(relay, command):
    result = relay(command, "--help")
    assert result.exit_code == 0
    assert f"relay {command}" in result.stdout
    for parameter in get_command(app).commands[command].params:
        assert parameter.help, parameter.name


def test_version(relay):
    result = relay("--version")
    assert (result.exit_code, result.stdout) == (0, f"relay {version('relay')}\n")


@pytest.mark.parametrize("wrong", [["frobnicate"], ["show"], ["events", "--nonsense"], ["events", "--limit", "x"], []])
def test_wrong_use_is_exit_code_2(relay, wrong):
    assert relay(*wrong).exit_code == 2


def run(*args, **named):
    return subprocess.run([sys.executable, "-m", "relay", *args], capture_output=True, text=True, check=False, **named)


@pytest.mark.parametrize(
    "args", ["--color red events", "pause it helpdesk", "retry --parked nothing", "schema nothing"]
)
def test_wrong_use_is_told_without_the_words_of_a_library(relay, args):
    result = relay(*args.split())
    assert result.exit_code == 2
    assert "is not one of" in result.stderr
    assert "Value error" not in result.stderr


def test_every_reason_for_parking_can_be_asked_for():
    assert {reason.value for reason in ParkedReason} == {"all", *map(str, ParkReason)}


@pytest.mark.parametrize("token", ["s3cret\r", "s3\ncret", "s\u201ccret\u201d"])
def test_a_token_that_no_header_carries_is_one_plain_line(relay, monkeypatch, token):
    monkeypatch.setenv("RELAY_TOKEN", token)
    result = relay("events", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert result.stderr.startswith(
        "relay: the token of --token or RELAY_TOKEN contains a character that an HTTP header"
    )
    assert result.stderr.count("\n") == 1
    assert "cret" not in result.stderr


@pytest.mark.parametrize("command", ["show", "retry", "cancel", "forget", "readmit", "pause source"])
def test_an_empty_id_or_name_is_told_as_such(relay, command):
    """As of a variable of a script that is not set."""
    result = relay(*command.split(), "", "--url", "http://127.0.0.1:1")
    assert result.exit_code == 1
    assert "an id or a name is empty" in result.stderr


def test_exit_codes_of_the_process(tmp_path):
    assert run("--version").returncode == 0
    assert run("events", "--nonsense").returncode == 2
    away = run("health", "--url", "http://127.0.0.1:1")
    assert away.returncode == 3
    assert "Traceback" not in away.stderr
    missing = run("check", cwd=tmp_path)
    assert missing.returncode == 1
    assert "Traceback" not in missing.stderr


@pytest.mark.parametrize("args", [["--help"], ["health", "--url", "http://127.0.0.1:1"]])
def test_help_and_health_import_nothing_heavy(args):
    code = (
        "import sys, relay.cli\n"
        f"sys.argv = ['relay', *{args!r}]\n"
        "try: relay.cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'aiohttp', 'sqlalchemy', 'aio_pika', 'jinja2', 'yaml', 'structlog', 'prometheus_client'}\n"
        "print('heavy:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("heavy: []\n")


def test_a_reader_that_went_away_is_no_traceback():
    done = subprocess.run(
        f"{sys.executable} -m relay schema api | head -1", shell=True, capture_output=True, text=True, check=True
    )
    assert done.stdout == "{\n"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion_is_offered(shell):
    names = {
        "COMP_WORDS": "relay re",
        "COMP_CWORD": "1",
        "_TYPER_COMPLETE_ARGS": "relay re",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    environment = {"_RELAY_COMPLETE": f"complete_{shell}", "PATH": "/usr/bin:/bin"} | names
    done = run(env=environment)
    assert "readmit" in done.stdout
    assert "replay" in done.stdout
    assert "retry" in done.stdout
