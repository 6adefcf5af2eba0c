"""`relay tail --forward`: a local program gets each result, in order, signed, until it takes it."""

import json
import os
import signal
import subprocess
import sys
from collections import deque
from dataclasses import replace

import pytest
from aiohttp import web
from cloudevents.v1.http import from_http
from standardwebhooks.webhooks import Webhook

from relay.outbox import encode
from tests.cli.conftest import serving
from tests.ops import desk

SECRET = "whsec_" + "c2VjcmV0LW9mLXRoZS10ZXN0cw=="


class Program:
    """Answers with the statuses that it is told to, then 204; keeps what came."""

    def __init__(self, *statuses):
        self.statuses = deque(statuses)
        self.requests = []

    async def take(self, request):
        self.requests.append((dict(request.headers), await request.read()))
        return web.Response(status=self.statuses.popleft() if self.statuses else 204)

    def make(self):
        app = web.Application()
        app.router.add_post("/results", self.take)
        return app

    def ids(self):
        return [json.loads(body)["id"] for _, body in self.requests]


def make_result(number):
    data = {"source": "helpdesk", "rule": "urgent", "eventId": "0190-1", "chatUuid": "3c90c3cc"}
    return replace(desk.make_result(number), data=data)


@pytest.fixture(autouse=True)
def real_messages(monkeypatch):
    monkeypatch.setattr("tests.cli.conftest.encode", encode)


@pytest.fixture
def forward(relay, monkeypatch):
    """Runs `relay tail --no-follow --forward` to a program; its address may leave out http://."""

    def run(program, *args):
        with serving(program.make) as url:
            return relay("tail", "--no-follow", "--forward", f"{url.removeprefix('http://')}/results", *args)

    monkeypatch.setattr("relay.cli.forward._FIRST", 0.001)
    return run


@pytest.mark.usefixtures("url")
def test_a_program_gets_what_a_consumer_of_the_queue_and_a_receiver_of_webhooks_know(forward, memory, monkeypatch):
    monkeypatch.setenv("SIGNS", SECRET)
    memory.tell(make_result(1))
    program = Program()
    result = forward(program, "--secret-env", "SIGNS")
    assert result.exit_code == 0, result.stderr
    [(headers, body)] = program.requests
    assert Webhook(SECRET).verify(body, headers)["id"] == headers["webhook-id"] == "d-1.1"
    event = from_http(headers, body)
    assert (event["id"], event["type"]) == ("d-1.1", "relay.chat.created")
    assert result.stdout.split()[-1] == "204"
    assert "`--after 1` goes on here" in result.stderr


@pytest.mark.usefixtures("url")
def test_what_is_refused_comes_again_under_its_id_before_the_next(forward, memory):
    memory.tell(make_result(1), make_result(2))
    program = Program(500, 302)
    result = forward(program)
    assert program.ids() == ["d-1.1", "d-1.1", "d-1.1", "d-2.1"]
    assert len({headers["webhook-id"] for headers, _ in program.requests}) == 2
    assert ["answered 500; d-1.1 is posted again" in result.stderr, "answered 302" in result.stderr] == [True, True]


@pytest.mark.usefixtures("url")
def test_the_cursor_is_kept_where_the_program_was_when_it_took_no_more(forward, memory, tmp_path):
    memory.tell(make_result(1), make_result(2), make_result(3))
    kept = tmp_path / "cursor"
    refusing = Program(200, *[503] * 8)
    result = forward(refusing, "--cursor-file", kept)
    assert (result.exit_code, kept.read_text()) == (3, "1\n")
    assert "answered 503; d-2.1 was posted 8 times" in result.stderr
    program = Program()
    assert forward(program, "--cursor-file", kept).exit_code == 0
    assert (program.ids(), kept.read_text()) == (["d-2.1", "d-3.1"], "3\n")
    assert forward(program, "--cursor-file", kept, "--after", "2").exit_code == 0
    assert program.ids()[2:] == ["d-3.1"]
    kept.write_text("junk")
    assert "holds no cursor" in forward(program, "--cursor-file", kept).stderr


@pytest.mark.parametrize("words", [("--forward", "ftp://x/"), ("--forward", "http://"), ("--forward", "x:y:z/")])
def test_an_address_that_is_none_is_said(relay, words):
    result = relay("tail", *words)
    assert (result.exit_code, "is not an address" in result.stderr) == (1, True)


def test_a_program_that_starts_later_gets_all_and_an_interrupt_says_where_to_go_on(url, memory, unused_tcp_port):
    memory.tell(make_result(1))
    address = f"127.0.0.1:{unused_tcp_port}/results"
    reader = subprocess.Popen(
        [sys.executable, "-m", "relay", "tail", "--after", "0", "--url", url, "--forward", address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert f"nothing takes results at http://{address} (Connection refused); d-1.1" in reader.stderr.readline()
        program = Program()
        with serving(program.make, unused_tcp_port):
            assert reader.stdout.readline().split()[-1] == "204"
        reader.send_signal(signal.SIGINT)
        _, said = reader.communicate(timeout=30)
    finally:
        reader.kill()
    assert program.ids() == ["d-1.1"]
    assert "`--after 1` goes on here" in said
