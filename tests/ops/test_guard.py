"""Who is let in to the ops listener."""

import pytest

from relay.secret import Secret

PATHS = ["/", "/openapi.json", "/api/events", "/api/results?follow=0", "/api/nothing"]


@pytest.fixture
async def signed(aiohttp_client, make_app):
    return await aiohttp_client(make_app(Secret("t0ken-ä")))


@pytest.mark.parametrize("path", PATHS[1:])
async def test_with_a_token_everything_needs_it(signed, path):
    answer = await signed.get(path)
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "t0ken" not in await answer.text()


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Basic t0ken-ä", "t0ken-ä", "Bearer \udcff"])
async def test_a_wrong_token_is_refused(signed, given):
    headers = {"Authorization": given}
    assert (await signed.get("/api/events", headers=headers)).status == 401


@pytest.mark.parametrize("given", ["Bearer t0ken-ä", "bearer  t0ken-ä"])
async def test_the_token_lets_in_from_anywhere(signed, given):
    headers = {"Authorization": given, "Host": "relay.example.com"}
    assert (await signed.get("/api/events", headers=headers)).status == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8081", "127.0.0.1.evil.example", "192.0.2.1", "", "[x"])
async def test_without_a_token_a_foreign_host_is_refused(http, host):
    answer = await http.get("/api/events", headers={"Host": host})
    assert answer.status == 403


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8081", "LOCALHOST", "127.0.0.1:9", "[::1]:8081", "a.localhost"]
)
async def test_without_a_token_this_machine_is_let_in(http, host):
    assert (await http.get("/api/events", headers={"Host": host})).status == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1", ""])
async def test_a_page_of_another_site_cannot_post(http, origin, desk):
    answer = await http.post("/api/sources/helpdesk/pause", headers={"Origin": origin})
    assert answer.status == 403
    assert desk.paused == set()


async def test_a_page_of_this_site_can_post(http, desk):
    origin = str(http.make_url("")).rstrip("/")
    assert (await http.post("/api/sources/helpdesk/pause", headers={"Origin": origin})).status == 200
    assert desk.paused == {"helpdesk"}


@pytest.mark.parametrize("path", PATHS)
async def test_nothing_is_cached_framed_or_guessed(http, path):
    headers = (await http.get(path)).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
