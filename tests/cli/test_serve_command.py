"""serve: a process that starts, answers, and ends well."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.services.process import find_port

CONFIG = """\
cargo: {{base_url: "http://127.0.0.1:1/v1", token: t0ken}}
ledger: {{url: "sqlite:///{folder}/relay.db"}}
http: {{hooks: "127.0.0.1:{hooks}", health: "127.0.0.1:0", ops: "127.0.0.1:0"}}
sources: {{helpdesk: {{type: webhook, scheme: none}}}}
rules: [{{name: all, chat: {{trigger: {{type: draft}}}}}}]
"""


@pytest.fixture
def start(tmp_path):
    """Starts `relay serve`; gives the process and the line that says that it has started, None when it has not."""
    started = []

    def run(*flags, hooks=0):
        config = tmp_path / "relay.yaml"
        config.write_text(CONFIG.format(folder=tmp_path, hooks=hooks))
        process = subprocess.Popen(
            [sys.executable, "-m", "relay", "serve", "-c", config, *flags], stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        lines = (json.loads(line) for line in process.stderr if line.startswith("{"))
        return process, next((line for line in lines if line["event"] == "service.started"), None)

    yield run
    for process in started:
        process.kill()
        process.communicate()


def test_it_starts_answers_and_drains(start, relay, tmp_path):
    process, line = start("--grace", "5s", "--linger", "0s")
    assert relay("health", "--url", line["health"]).exit_code == 0
    config = tmp_path / "relay.yaml"
    sent = relay("send", "helpdesk", "-", "-c", config, "--url", line["hooks"], "--json", stdin='{"a": 1}')
    assert sent.exit_code == 0, sent.stderr
    event_id = json.loads(sent.stdout)["events"][0]["id"]
    assert json.loads(relay("show", event_id, "--url", line["ops"], "--json").stdout)["data"] == {"a": 1}
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0


# Root needs no user namespace, which a chroot could not give it.
APART = ["unshare", *(["--user", "--map-root-user"] if os.geteuid() else []), "--pid", "--fork", "--kill-child"]
HELD = "open({!r}).read()\n"
"""A module that is imported for as long as nobody has written there."""


@pytest.mark.parametrize("moment", ["while it imports", "while it reads its configuration"])
def test_the_first_process_of_a_container_can_be_stopped_from_the_start(moment, tmp_path):
    pipe = tmp_path / "relay.yaml"
    os.mkfifo(pipe)
    if subprocess.run([*APART, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine gives no namespaces")
    if moment == "while it imports":
        (tmp_path / "typer.py").write_text(HELD.format(str(pipe)))
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    parent = subprocess.Popen([*APART, sys.executable, "-m", "relay", "serve", "-c", pipe], env=environment)
    try:
        with pipe.open("w"):  # which waits until it is read
            [first] = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
            os.kill(int(first), signal.SIGTERM)
            assert parent.wait(timeout=20) == 128 + signal.SIGTERM
    finally:
        parent.kill()
        parent.wait()


def test_a_hangup_reloads_and_ends_nothing(start, relay, tmp_path):
    process, line = start("--grace", "5s", "--linger", "0s")
    config = tmp_path / "relay.yaml"
    config.write_text(config.read_text().replace("name: all", "name: every"))
    process.send_signal(signal.SIGHUP)
    told = next(line for line in map(json.loads, process.stderr) if line["event"] == "config.reloaded")
    assert told["changes"] == ["added rules[every]", "removed rules[all]"]
    assert relay("health", "--url", line["health"]).exit_code == 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0


def test_what_goes_well_is_told_once_a_step():
    """With a broker `result.published` is the third; it has no more than its id, its event, its source and its type."""
    command = [sys.executable, "-m", "relay", "demo", "--once", "--log-level", "info", "--log-format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("{")]
    won = {json.loads(line)["event_id"] for line in lines if '"chat.created"' in line}
    assert len(won) == 3
    for event_id in won:
        mine = [line for line in lines if event_id in line and '"event.duplicate"' not in line]
        assert [json.loads(line)["event"] for line in mine] == ["event.accepted", "chat.created"]
        assert sum(map(len, mine)) < 800


def test_a_port_in_use_is_one_plain_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "relay.yaml"
        config.write_text(CONFIG.format(folder=tmp_path, hooks=port))
        done = subprocess.run(
            [sys.executable, "-m", "relay", "serve", "-c", config],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert done.returncode == 2
    assert done.stderr.splitlines(keepends=True)[-1] == (
        f"relay: http.hooks: 127.0.0.1:{port} is in use already: "
        "stop what listens there, or give this key another port\n"
    )


def ask(port, method, path):
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, b"{}", {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_a_hooks_port_answers_while_the_ledger_is_away(tmp_path):
    hooks, health = find_port(), find_port()
    config = tmp_path / "relay.yaml"
    text = CONFIG.format(folder=tmp_path, hooks=hooks).replace('health: "127.0.0.1:0"', f'health: "127.0.0.1:{health}"')
    config.write_text(text.replace(f"sqlite:///{tmp_path}/relay.db", "postgresql://relay@127.0.0.1:1/relay"))
    process = subprocess.Popen(
        [sys.executable, "-m", "relay", "serve", "--migrate", "-c", config], stderr=subprocess.PIPE, text=True
    )
    try:
        next(line for line in process.stderr if '"ledger.unavailable"' in line)
        status, headers, body = ask(hooks, "POST", "/hooks/helpdesk")
        assert (status, headers["Retry-After"], json.loads(body)["type"]) == (503, "5", "/problems/starting")
        status, _, body = ask(health, "GET", "/readyz?verbose")
        assert (status, b"ledger: starting" in body) == (503, True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_waits_for_no_balancer(start):
    process, _ = start("--linger", "10m")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0
