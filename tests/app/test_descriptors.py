"""A process with few file descriptors: strangers cannot take those of health and ops."""

import asyncio
import contextlib
import gc
import json
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from queue import Queue
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from relay.app.descriptors import Shares, share
from relay.app.listen import Listening
from relay.telemetry import Metrics

FEW = 256
_WITH_FEW = ["sh", "-c", f'ulimit -Sn 64; ulimit -Hn {FEW}; exec "$@"', "sh"]
CONFIG = """\
cargo: {{base_url: "http://127.0.0.1:1/v1", token: t0ken}}
ledger: {{url: "sqlite:///{folder}/relay.db"}}
http: {{hooks: "127.0.0.1:0", health: "127.0.0.1:0", ops: "127.0.0.1:0"}}
sources: {{helpdesk: {{type: webhook, scheme: none}}}}
rules: [{{name: all, chat: {{trigger: {{type: draft}}}}}}]
"""


@pytest.mark.parametrize("limit", [64, 256, 1_024, 4_096, 65_536])
def test_what_is_divided_is_there(limit):
    shares = share(limit, wanted=1_000, calls=36)
    assert shares.hooks >= 8
    used = shares.hooks + 2 * shares.inside + 2 * (shares.backlog + 1) + 36
    assert used <= limit - 64 or limit < 256, "enough is left for the ledger and the broker"


def test_who_may_open_enough_has_what_was_asked_for():
    assert share(65_536, wanted=1_000, calls=36) == Shares(hooks=1_000, inside=64, backlog=128)


@pytest.fixture
def starved(tmp_path):
    """`relay serve` with 256 descriptors, 64 at first; what it logs as it comes."""
    config = tmp_path / "relay.yaml"
    config.write_text(CONFIG.format(folder=tmp_path))
    process = subprocess.Popen(
        [*_WITH_FEW, sys.executable, "-m", "relay", "serve", "-c", config, "--log-format", "json"],
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = Queue()
    reading = threading.Thread(target=read, args=(process.stderr, lines))
    reading.start()  # at once: a pipe that nobody reads holds up who writes to it
    yield process, iter(lines.get, None)
    process.kill()
    process.wait()
    reading.join()
    process.stderr.close()


def read(stream, lines):
    for line in stream:
        if line.startswith("{"):
            lines.put(json.loads(line))
    lines.put(None)


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.status, answer.read().decode()


def test_health_and_ops_answer_while_strangers_hold_all_that_they_can(starved):
    process, lines = starved
    before = []
    for line in lines:
        before.append(line)
        if line["event"] == "service.started":
            break
    [limited] = [line for line in before if line["event"] == "listener.limited"]
    assert "256 files" in limited["what"], "the limit was raised to the hard one"
    assert process.poll() is None
    hooks = urlsplit(before[-1]["hooks"])
    with contextlib.ExitStack() as stack:
        refused = 0
        for _ in range(2 * FEW):
            client = stack.enter_context(socket.create_connection((hooks.hostname, hooks.port), timeout=30))
            with contextlib.suppress(OSError):
                client.sendall(b"POST /hooks/helpdesk HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
            with contextlib.suppress(BlockingIOError, ConnectionError):
                client.setblocking(False)
                refused += client.recv(1) != b""
        assert get(before[-1]["health"] + "/livez")[0] == 200
        assert get(before[-1]["ops"] + "/api/sources")[0] == 200
        _, metrics = get(before[-1]["health"] + "/metrics")
    counts = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if not line.startswith("#"))
    assert float(counts['relay_turned_away_total{cap="connections",listener="hooks"}']) > 0
    assert float(counts['relay_connections{listener="hooks"}']) <= limited["connections"]
    process.send_signal(signal.SIGTERM)
    after = {line["event"] for line in lines}
    assert "listener.pressed" in after
    assert "listener.starved" not in after
    assert process.wait(30) == 0


@pytest.mark.parametrize(("error", "told"), [(socket.gaierror(-3, "no such name"), 0), (RuntimeError("a bug"), 1)])
async def test_a_name_that_is_resolved_in_vain_when_nobody_waits_any_more_is_not_told(error, told, caplog):
    """uvloop goes on resolving when a connection is given up, each time that a broker without an address is tried."""
    limits = SimpleNamespace(http=SimpleNamespace(max_connections=10), cargo=SimpleNamespace(concurrency=1))
    Listening(limits, Metrics())
    asyncio.get_running_loop().create_future().set_exception(error)
    gc.collect()
    assert [record.name for record in caplog.records].count("asyncio") == told
