"""serve: a process that starts, answers, and ends well."""

import json
import signal
import socket
import subprocess
import sys

import pytest

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
    process, line = start("--grace", "5s")
    assert relay("health", "--url", line["health"]).exit_code == 0
    config = tmp_path / "relay.yaml"
    sent = relay("send", "helpdesk", "-", "-c", config, "--url", line["hooks"], "--json", stdin='{"a": 1}')
    assert sent.exit_code == 0, sent.stderr
    event_id = json.loads(sent.stdout)["events"][0]["id"]
    assert json.loads(relay("show", event_id, "--url", line["ops"], "--json").stdout)["data"] == {"a": 1}
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=20) == 0


def test_a_port_in_use_is_one_plain_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = tmp_path / "relay.yaml"
        config.write_text(CONFIG.format(folder=tmp_path, hooks=taken.getsockname()[1]))
        done = subprocess.run(
            [sys.executable, "-m", "relay", "serve", "-c", config],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
    assert done.returncode == 2
    port = taken.getsockname()[1]
    assert done.stderr.splitlines(keepends=True)[-1] == (
        f"relay: http.hooks: 127.0.0.1:{port} is in use already: "
        "stop what listens there, or give this key another port\n"
    )
