"""serve and the commands beside it on networks as people have them: both families, a proxy, own authorities."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from urllib.request import ProxyHandler, build_opener

import pytest

from relay.listener import read
from tests.cargo.test_proxies import LOGIN, TOKEN, WRITTEN, context, simulating
from tests.pure.test_listener import ipv6
from tests.services.forward import forwarding
from tests.services.process import find_port

CONFIG = """\
cargo: {{base_url: "https://cargo.test/v1", token: {token}, timeout: 5s{cargo}}}
ledger: {{url: "sqlite:///{folder}/relay.db"}}
http: {{hooks: "{hooks}", health: "{health}", ops: "{ops}"}}
retry: {{first: 200ms, cap: 1s}}
sources: {{shop: {{type: webhook, scheme: bearer, secret: s3cret, event: {{id: "{{{{ data.id }}}}"}}}}}}
rules: [{{name: all, chat: {{trigger: {{type: draft}}}}}}]
"""
VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


class Serving:
    """`relay serve` in a folder of its own; `start` gives the lines of its log up to the one that says it has begun."""

    def __init__(self, folder):
        self.folder = folder
        self.config = folder / "relay.yaml"
        self.process = None

    def write(self, *, cargo="", hooks="127.0.0.1:0", health="127.0.0.1:0", ops="127.0.0.1:0"):
        self.config.write_text(
            CONFIG.format(folder=self.folder, token=TOKEN, cargo=cargo, hooks=hooks, health=health, ops=ops)
        )

    def start(self, **env):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "relay", "serve", "-c", self.config, "--log-format", "json"],
            env=self.env(env),
            stderr=subprocess.PIPE,
            text=True,
        )
        lines = []
        for text in self.process.stderr:
            lines.append(json.loads(text))
            if lines[-1]["event"] == "service.started":
                return lines
        raise AssertionError(lines)

    def next(self, *events):
        """The next line of its log that is one of these."""
        for text in self.process.stderr:
            line = json.loads(text)
            if line["event"] in events:
                return line
        raise AssertionError("it has ended")

    def env(self, env):
        return {name: value for name, value in os.environ.items() if name.upper() not in VARIABLES} | env

    def stop(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.communicate(timeout=30)
            finally:
                self.process.kill()


@pytest.fixture
def run(relay, serve, monkeypatch):
    """Runs a command on that configuration, with these variables."""

    def run(*args, **env):
        with monkeypatch.context() as changed:
            for name in [name for name in os.environ if name.upper() in VARIABLES]:
                changed.delenv(name)
            for name, value in env.items():
                changed.setenv(name, value)
            changed.setenv("RELAY_CONFIG", str(serve.config))
            return relay(*args)

    return run


@pytest.fixture
def serve(tmp_path):
    serving = Serving(tmp_path)
    yield serving
    serving.stop()


@contextmanager
def on_a_thread(make):
    """What the async context manager `make()` gives, on a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def call(step):
        return asyncio.run_coroutine_threadsafe(step, loop).result(30)

    manager = make()
    try:
        yield call(manager.__aenter__())
    finally:
        call(manager.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def get(url):
    with build_opener(ProxyHandler({})).open(url, timeout=30) as answer:
        return answer.status


def test_the_listeners_answer_on_both_families_and_the_commands_find_them(serve, run):
    hooks, health, ops = find_port(), find_port(), find_port()
    serve.write(hooks=f":{hooks}", health=f"[::]:{health}", ops=f"localhost:{ops}")
    [*_, started] = serve.start()
    assert [started[name] for name in ("hooks", "health", "ops")] == [
        f"http://127.0.0.1:{port}" for port in (hooks, health, ops)
    ]
    for host in ("127.0.0.1", "[::1]") if ipv6() else ("127.0.0.1",):
        assert get(f"http://{host}:{health}/readyz") == 200
        assert get(f"http://{host}:{ops}/api/sources") == 200
        body = serve.folder / "order.json"
        body.write_text(json.dumps({"id": host}))
        sent = run("send", "shop", str(body), "--url", f"http://{host}:{hooks}", "--json")
        assert sent.exit_code == 0, sent.stderr
    assert run("health").stdout == f"http://127.0.0.1:{health}: live\n"
    assert json.loads(run("send", "shop", str(body), "--json").stdout)["events"][0]["status"] == "duplicate"


def test_a_port_that_is_taken_in_one_family_only_is_one_line_with_its_key(serve, run):
    address = "[::1]" if ipv6() else "127.0.0.1"
    [taken] = read(f"{address}:0").open()
    with taken:
        port = taken.getsockname()[1]
        serve.write(health=f":{port}")
        done = run("serve", "--log-level", "error")
    where = f"[::]:{port}" if ipv6() else f"0.0.0.0:{port}"
    assert done.exit_code == 2
    assert done.stderr == (
        f"relay: http.health: {where} is in use already: stop what listens there, or give this key another port\n"
    )


@pytest.mark.parametrize(
    ("hooks", "told"),
    [
        ("203.0.113.1:8080", "203.0.113.1:8080 is not an address of this machine: write :8080 for all, localhost for"),
        ("nowhere.invalid:8080", "the name nowhere.invalid leads to no address ("),
    ],
)
def test_an_address_that_cannot_be_had_is_one_line_with_its_key(serve, run, hooks, told):
    serve.write(hooks=hooks)
    done = run("serve", "--log-level", "error")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"relay: http.hooks: {told}")
    assert done.stderr.count("\n") == 1


def test_a_chat_is_made_by_the_proxy_of_the_environment_once_it_takes_the_password(serve, run, authority, tmp_path):
    """A password that is wrong holds all sending back and fails no dispatch; with the right one it goes on."""
    trusted = authority.write(tmp_path / "ca.pem")
    with (
        on_a_thread(lambda: simulating(context(authority, tmp_path, "cargo.test"))) as (port, seen),
        on_a_thread(lambda: forwarding({"cargo.test:443": port}, login=LOGIN)) as proxy,
    ):
        wrong, right = (proxy.url.replace("://", f"://{login}@") for login in ("relay:hunter2", WRITTEN))
        serve.write()
        [*before, started] = serve.start(HTTPS_PROXY=wrong, SSL_CERT_FILE=trusted)
        shown = wrong.replace("hunter2", "********")
        [told] = [line for line in before if line["event"] == "cargo.proxied"]
        assert (told["proxy"], told["cargo"]) == (f"{shown} (HTTPS_PROXY)", "https://cargo.test/v1")
        body = tmp_path / "order.json"
        body.write_text('{"id": "1"}')
        sent = run("send", "shop", str(body), "--url", started["hooks"], HTTPS_PROXY=wrong, HTTP_PROXY=wrong)
        assert sent.exit_code == 0, sent.stderr
        waits = serve.next("chat.waiting", "chat.failed", "chat.created")
        assert waits["event"] == "chat.waiting"
        assert f"the proxy {shown} (HTTPS_PROXY) refuses its user or password (407)" in waits["error"]
        assert "hunter2" not in json.dumps([*before, started, waits])
        serve.stop()
        serve.start(https_proxy=right, SSL_CERT_FILE=trusted)
        assert serve.next("chat.waiting", "chat.failed", "chat.created")["event"] == "chat.created"
        assert len(seen) == 1


def test_check_tells_the_way_to_cargo_and_what_is_wrong_with_it(serve, run, tmp_path):
    serve.write()
    done = run("check", https_proxy="u:hunter2@proxy:3128")
    assert (
        "Cargo at https://cargo.test/v1 is reached through the proxy http://u:********@proxy:3128 (https_proxy)\n"
        in (done.stdout)
    )
    shown = json.loads(run("check", "--json", ALL_PROXY="http://proxy").stdout)["proxy"]
    assert shown == "http://proxy (ALL_PROXY)"
    done = run(
        "check",
        ALL_PROXY="socks5://u:hunter2@proxy",
        SSL_CERT_FILE=str(tmp_path / "none.pem"),
        SSL_CERT_DIR=str(tmp_path / "none"),
    )
    assert done.exit_code == 1
    lines = done.stderr.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["environment", "SSL_CERT_FILE", "SSL_CERT_DIR", "relay"]
    assert "none.pem cannot be read (No such file or directory)" in lines[1]
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("command", ["serve", "migrate", "rekey"])
def test_what_keeps_it_from_starting_is_exit_code_2(serve, run, command, tmp_path):
    serve.write()
    (tmp_path / "no.pem").write_text("no certificate")
    done = run(command, SSL_CERT_FILE=str(tmp_path / "no.pem"), HTTPS_PROXY="socks4://x")
    assert done.exit_code == 2
    assert "HTTPS_PROXY: is a socks4:// proxy" in done.stderr
    assert "no.pem contains no certificates in PEM" in done.stderr
    (tmp_path / "relay.db").write_text("not name a database" * 1_000)
    done = run(command)
    assert done.exit_code == 2
    assert "relay.db" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_placeholder_keeps_it_from_starting_and_says_where_it_stands(serve, run, command):
    serve.config.write_text("cargo:\n  token: ${CARGO_API_TOKEN}\n")
    done = run(command, CARGO_API_TOKEN="replace-with-a-token-of-cargo")
    assert done.exit_code == {"serve": 2, "check": 1}[command]
    assert done.stderr.startswith(
        f"{serve.config}:2:10: cargo.token: is still the placeholder from Relay's files, which anybody can read: "
    )
    assert "put the real value into ${CARGO_API_TOKEN}" in done.stderr


def test_commands_ask_this_machine_straight_and_others_by_the_proxy(serve, run):
    with on_a_thread(lambda: forwarding({}, login=LOGIN)) as proxy:
        env = {"ALL_PROXY": proxy.url.replace("://", f"://{WRITTEN}@"), "RELAY_TOKEN": "t0ken"}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        done = run("events", "--url", f"http://127.0.0.1:{port}", **env)
        assert done.exit_code == 3
        assert "(Connection refused)" in done.stderr
        assert proxy.heads == []
        done = run("events", "--url", "https://relay.test", **env)
        assert done.exit_code == 3
        assert f"(the proxy {proxy.url} answered 502)" in done.stderr
        assert proxy.heads[0].startswith(b"CONNECT relay.test:443 ")
        assert b"t0ken" not in proxy.heads[0]
        done = run("events", "--url", "https://relay.test", HTTPS_PROXY="socks5://x")
        assert (done.exit_code, done.stderr.partition(" proxy,")[0]) == (1, "relay: HTTPS_PROXY is a socks5://")
