"""sandbox: a process of its own, its faults by flags."""

import json
import signal
import subprocess
import sys
import urllib.request
from dataclasses import fields

import pytest
from typer.main import get_command

from relay.cli import app
from relay.sandbox import Faults

NAMES = [found.name for found in fields(Faults)]


def ask(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


@pytest.fixture
def start():
    started = []

    def run(*flags):
        process = subprocess.Popen(
            [sys.executable, "-m", "relay", "sandbox", "--port", "0", *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        line = process.stdout.readline()
        return process, line.partition(" is at ")[2].partition(";")[0]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_every_fault_has_a_flag_with_its_default():
    flags = {parameter.name: parameter for parameter in get_command(app).commands["sandbox"].params}
    plain = Faults()
    for name in NAMES:
        assert (flags[name].default or None) == (getattr(plain, name) or None), name


def test_it_answers_until_sigterm(start):
    process, url = start()
    assert ask(f"{url}/_chats")["chats"] == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0


def test_flags_are_the_faults_in_force(start):
    _, url = start(
        "--lost", "0.25", "--hang-after", "0.5", "--latency", "0.01", "--script", "ok", "--script", "lost",
        "--times", "3", "--on", "both", "--denied", "403", "--seed", "7", "--rate", "5", "--list-lag", "1.5",
    )  # fmt: skip
    shown = ask(f"{url}/_faults")
    assert set(shown) == set(NAMES)
    expected = {"lost": 0.25, "hang_after": 0.5, "latency": 0.01, "script": ["ok", "lost"], "times": 3, "on": "both"}
    expected |= {"denied": 403, "seed": 7, "rate": 5, "list_lag": 1.5, "html": 0}
    assert {name: shown[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--lost", "0.7", "--hang", "0.7"], 1, "add up to 1.4: keep them within 1"),
        (["--script", "nonsense"], 1, "'nonsense' is not a fault: write one of ok, throttled"),
        (["--rate", "0"], 1, "greater than 0"),
        (["--lost", "2"], 2, "--lost"),
        (["--denied", "500"], 2, "--denied"),
    ],
)
def test_faults_that_cannot_be_are_refused(relay, flags, code, said):
    result = relay("sandbox", *flags)
    assert result.exit_code == code
    assert said in result.stderr


def test_a_port_in_use_is_said(relay, start):
    _, url = start()
    port = url.rpartition(":")[2]
    result = relay("sandbox", "--port", port)
    assert result.exit_code == 2
    assert f"127.0.0.1:{port} cannot be bound: address already in use; choose another" in result.stderr.lower()
