"""Wrong tokens and pages of other sites: counted, told, held up, and let in nowhere."""

import asyncio

import pytest

from relay.ops.access import make_holders
from relay.ops.app import make_ops_app
from relay.secret import Secret
from tests.ops.conftest import NOW, encode

CROSS = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"}
VISIT = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def refusals(metrics, reason):
    return metrics.registry.get_sample_value("relay_ops_refusals_total", {"reason": reason})


@pytest.fixture
def lines(monkeypatch):
    told = []

    class Log:
        def warning(self, event, **fields):
            told.append((event, fields))

    monkeypatch.setattr("relay.ops.guard.log", Log())
    return told


@pytest.fixture
async def signed(aiohttp_client, make_app):
    return await aiohttp_client(make_app(Secret("t0ken-right")))


async def test_a_wrong_token_is_counted_told_and_answered_late(signed, metrics, slept, lines):
    answer = await signed.get("/api/events", headers={"Authorization": "Bearer t0ken-wrong"})
    assert answer.status == 401
    assert slept == [1.0]
    assert refusals(metrics, "token_wrong") == 1
    [(event, fields)] = lines
    assert (event, fields["path"]) == ("ops.refused", "/api/events")
    assert "t0ken" not in str(fields)


async def test_many_wrong_tokens_are_few_lines(signed, metrics, lines):
    for _ in range(60):
        await signed.get("/", headers={"Authorization": "Bearer x"})
    assert refusals(metrics, "token_wrong") == 60
    assert 20 <= len(lines) < 60


async def test_the_right_token_is_not_held_up(signed, slept, lines):
    assert (await signed.get("/api/events", headers={"Authorization": "Bearer t0ken-right"})).status == 200
    assert (await signed.get("/api/events")).status == 401
    assert (slept, lines) == ([], [])


async def test_every_wrong_one_is_held_up_however_many_there_are(aiohttp_client, memory, desk, status, metrics):
    gate, waiting = asyncio.Event(), []

    async def sleep(seconds):
        waiting.append(seconds)
        await gate.wait()

    app = make_ops_app(
        memory,
        memory,
        desk,
        holders=lambda: make_holders(Secret("right"), {}),
        status=status,
        metrics=metrics,
        version="1",
        encode=encode,
        clock=lambda: NOW,
        sleep=sleep,
    )
    http = await aiohttp_client(app)
    asked = [asyncio.create_task(http.get("/", headers={"Authorization": "Bearer x"})) for _ in range(40)]
    async with asyncio.timeout(20):
        while len(waiting) < 40:
            await asyncio.sleep(0.01)
    assert not any(task.done() for task in asked)
    gate.set()
    assert {(await task).status for task in asked} == {401}


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
@pytest.mark.parametrize("path", ["/", "/openapi.json", "/api/events", "/api/results?follow=0"])
async def test_a_page_of_another_site_cannot_read(http, metrics, site, path):
    assert (await http.get(path, headers=CROSS | {"Sec-Fetch-Site": site})).status == 403
    assert refusals(metrics, "site") == 1


async def test_a_link_elsewhere_leads_to_the_page_and_to_nothing_else(http):
    assert (await http.get("/", headers=VISIT)).status == 200
    assert (await http.get("/", headers=VISIT | {"Sec-Fetch-Dest": "iframe"})).status == 403
    assert (await http.get("/api/events", headers=VISIT)).status == 403
    assert (await http.post("/api/sources/helpdesk/pause", headers=VISIT)).status == 403


@pytest.mark.parametrize("site", ["same-origin", "none"])
async def test_our_own_page_and_an_address_typed_in_may_read(http, site):
    assert (await http.get("/api/events", headers=CROSS | {"Sec-Fetch-Site": site})).status == 200


async def test_the_token_does_not_help_a_page_of_another_site(signed):
    headers = CROSS | {"Authorization": "Bearer t0ken-right"}
    assert (await signed.get("/api/events", headers=headers)).status == 403
