"""Alerts: each receiver takes each one once, signed, for an hour of tries under the same id."""

import asyncio
import json
import time
from base64 import b64encode

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks.webhooks import Webhook
from structlog.testing import capture_logs

from relay.errors import Retryable, Unavailable
from relay.ledger import SqlLedger, Terms
from relay.life import Signals, Stop
from relay.model import ProblemKey, ProblemKind, Sighting, Sightings, Watched
from relay.problems import Alerts, fingerprint, key_of, sign
from relay.receivers import HttpReceivers
from relay.secret import Secret
from tests.dispatch.relays import open_store
from tests.problems.test_watcher import wall
from tests.virtual import milliseconds, virtually

SECRET = "whsec_" + b64encode(bytes(range(32))).decode()
ONE, TWO = Secret("https://one.example.com/T0P-SECRET"), Secret("https://two.example.com/")


class Receivers:
    """Takes what comes, unless it is away."""

    def __init__(self):
        self.away = set()
        self.taken = []
        self.tried = []

    async def post(self, url, body, headers):
        self.tried.append((milliseconds(), url, headers["webhook-id"]))
        if url in self.away:
            raise Retryable("two.example.com answered 500")
        self.taken.append((url, body, headers))


class Relay:
    def __init__(self, store, urls=(ONE, TWO)):
        receivers = tuple(fingerprint(url) for url in urls)
        self.ledger = SqlLedger(store, Terms(owner="one", receivers=receivers))
        self.receivers, self.signals, self.stop = Receivers(), Signals(), Stop()
        urls = {fingerprint(url): url for url in urls}
        key = key_of(SECRET)
        self.alerts = Alerts(self.ledger, self.receivers, urls, key, self.signals, clock=wall, random=lambda: 1.0)
        self.task = asyncio.create_task(self.alerts.run(self.stop))

    async def open(self):
        seen = Sighting(ProblemKey(ProblemKind.RELOAD))
        await self.ledger.watch(Sightings((seen,)), Watched({}, None, 0))
        self.signals.alerts.set()

    async def end(self):
        self.stop.begin(1)
        await self.task


async def open_relay(**rest):
    store = await open_store()
    store._clock = wall
    return Relay(store, **rest)


@virtually
async def test_every_receiver_takes_it_once_with_the_problem_as_the_api_gives_it():
    relay = await open_relay()
    await relay.open()
    await asyncio.sleep(60)
    assert {url for url, _, _ in relay.receivers.taken} == {ONE, TWO}
    assert len(relay.receivers.tried) == 2
    _, body, _ = relay.receivers.taken[0]
    document = json.loads(body)
    [(_, result)] = await relay.ledger.follow(0, 9)
    assert (document["type"], document["data"]) == ("relay.problem.opened", result.data)
    assert set(document) == {"type", "timestamp", "data"}
    await relay.end()


@virtually
async def test_one_that_is_not_taken_is_tried_for_an_hour_under_its_id_and_then_told_of():
    relay = await open_relay()
    relay.receivers.away = {TWO}
    with capture_logs() as lines:
        await relay.open()
        await asyncio.sleep(2 * 3_600)
    tries = [(at, message_id) for at, url, message_id in relay.receivers.tried if url == TWO]
    assert len({message_id for _, message_id in tries}) == 1
    assert tries[-1][0] - tries[0][0] <= 3_600_000
    assert tries[-1][0] - tries[0][0] > 3_000_000
    assert 10 < len(tries) < 30
    [line] = [line for line in lines if line["event"] == "alert.undeliverable"]
    assert "two.example.com answered 500" in line["error"]
    assert "T0P-SECRET" not in str(lines)
    assert len(relay.receivers.taken) == 1
    await relay.end()


@virtually
async def test_one_that_is_back_within_the_hour_takes_it():
    relay = await open_relay()
    relay.receivers.away = {ONE, TWO}
    await relay.open()
    await asyncio.sleep(1_800)
    relay.receivers.away = set()
    await asyncio.sleep(600)
    assert len(relay.receivers.taken) == 2
    await relay.end()


@virtually
async def test_a_receiver_that_is_not_configured_any_more_is_dropped():
    relay = await open_relay()
    relay.alerts._urls = {fingerprint(ONE): ONE}
    await relay.open()
    await asyncio.sleep(120)
    assert [url for url, _, _ in relay.receivers.taken] == [ONE]
    assert await relay.ledger.due_alerts(9) == []
    await relay.end()


@virtually
async def test_a_ledger_that_is_away_puts_it_off():
    relay = await open_relay()
    right = relay.ledger.due_alerts

    async def fail(_):
        raise Unavailable("away")

    relay.ledger.due_alerts = fail
    await relay.open()
    await asyncio.sleep(30)
    relay.ledger.due_alerts = right
    await asyncio.sleep(30)
    assert len(relay.receivers.taken) == 2
    await relay.end()


def test_the_reference_library_verifies_what_is_signed():
    body = b'{"type":"relay.problem.opened"}'
    headers = sign(key_of(SECRET), "p-1.opened", int(time.time()), body)
    assert Webhook(SECRET).verify(body, headers) == json.loads(body)


async def test_it_is_posted_as_json_and_every_other_answer_than_2xx_is_a_refusal(unused_tcp_port):
    got, status = [], 204

    async def take(request):
        got.append((await request.read(), dict(request.headers)))
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    app = web.Application()
    app.router.add_post("/{tail:.*}", take)
    async with TestServer(app) as server, HttpReceivers("1.2.3", timeout=2.0) as receivers:
        url = Secret(str(server.make_url("/T0P-SECRET")))
        await receivers.post(url, b"{}", {"webhook-id": "p-1.opened"})
        [(body, headers)] = got
        assert (body, headers["webhook-id"], headers["Content-Type"]) == (b"{}", "p-1.opened", "application/json")
        assert headers["User-Agent"] == "relay/1.2.3"
        for status in (301, 400, 500):
            with pytest.raises(Retryable, match=rf"^127.0.0.1 answered {status}$"):
                await receivers.post(url, b"{}", {})
    async with HttpReceivers("1.2.3", timeout=2.0) as receivers:
        with pytest.raises(Retryable, match=r"^127.0.0.1 cannot be reached") as caught:
            await receivers.post(Secret(f"http://127.0.0.1:{unused_tcp_port}/T0P-SECRET"), b"{}", {})
        assert "T0P" not in str(caught.value)
