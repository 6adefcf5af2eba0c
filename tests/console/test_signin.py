"""Sessions: who gets in, for how long, and what another site can do with a browser that has signed in."""

from hypothesis import given
from hypothesis import strategies as st

from relay.ops.access import make_holders
from relay.ops.session import LIFETIME, read_session, write_session
from relay.secret import Secret
from tests.console.conftest import TOKENS
from tests.console.reading import csrf_in
from tests.ops.desk import NOW


async def test_a_page_leads_to_sign_in_and_sign_in_to_the_page(world, signed):
    client = await signed("read")
    client.session.cookie_jar.clear()
    answer = await client.get("/events?source=helpdesk")
    assert answer.url.path == "/signin"
    place = answer.url.query["next"]
    answer = await client.post("/signin", data={"token": " token-of-read ", "next": place})
    assert (answer.status, answer.url.path_qs) == (200, "/events?source=helpdesk")
    assert (await client.get("/signin?next=/refused")).url.path == "/refused"


async def test_the_cookie_is_for_this_site_alone(world, signed):
    client = await signed("read")
    sent = {"data": {"token": "token-of-read"}, "allow_redirects": False}
    plain = (await client.post("/signin", **sent)).headers["Set-Cookie"]
    assert "HttpOnly" in plain
    assert "SameSite=Strict" in plain
    assert f"Max-Age={LIFETIME // 1_000}" in plain
    assert "Secure" not in plain
    for headers in ({"X-Forwarded-Proto": "https"}, {"Origin": "https://relay.example", "Host": "relay.example"}):
        assert "Secure" in (await client.post("/signin", headers=headers, **sent)).headers["Set-Cookie"]


async def test_a_wrong_token_is_held_up_and_kept_as_an_act(world, signed):
    client = await signed("read")
    client.session.cookie_jar.clear()
    for token in ("token-of-nobody", "", "é"):
        answer = await client.post("/signin", data={"token": token}, allow_redirects=False)
        assert (answer.status, "Set-Cookie" in answer.headers) == (401, False)
    assert world.slept == [1.0] * 3
    assert world.desk.strangers == ["127.0.0.1"] * 3
    assert (await (await signed("read")).post("/signin", data={"token": "guess"})).status == 401, "of a session too"
    for _ in range(40):
        await client.post("/signin", data={"token": "x"})
    assert len(world.desk.strangers) < 43, "a flood of guesses fills no ledger"


async def test_a_session_ends_with_its_time_and_with_its_token(world, signed):
    client = await signed("operate")
    world.now = NOW + LIFETIME - 1
    assert (await client.get("/api/rules")).status == 200
    world.now = NOW + LIFETIME
    assert (await client.get("/api/rules")).status == 401
    world.now = NOW
    world.tokens["operate"] = (Secret("another"), "operate")
    assert (await client.get("/api/rules")).status == 401
    assert (await client.get("/", allow_redirects=False)).headers["Location"] == "/signin"


async def test_a_role_that_was_lowered_is_lowered_at_once(world, signed):
    client = await signed("operate")
    world.tokens["operate"] = (TOKENS["operate"][0], "read")
    csrf = {"X-CSRF-Token": csrf_in(await (await client.get("/")).text())}
    assert (await client.post("/api/sources/helpdesk/pause", headers=csrf)).status == 403


async def test_every_replica_knows_the_session(signed, aiohttp_client, make_console):
    first = await signed("read")
    other = await aiohttp_client(make_console())
    cookie = first.session.cookie_jar.filter_cookies(first.make_url("/"))["relay-session"].value
    answer = await other.get("/api/rules", headers={"Cookie": f"relay-session={cookie}"})
    assert answer.status == 200


async def test_a_change_needs_the_csrf_token_or_a_bearer(world, signed):
    client, path = await signed("operate"), "/api/sources/helpdesk/pause"
    for headers in ({}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "0" * 64}):
        assert (await client.post(path, headers=headers)).status == 403
    assert (await client.post(path, data={"csrf": "wrong"})).status == 403
    assert world.desk.paused == set()
    csrf = csrf_in(await (await client.get("/")).text())
    assert (await client.post(path, headers={"X-CSRF-Token": csrf})).status == 200
    other = await signed("operate")
    other.session.cookie_jar.clear()
    assert (await other.post(path, headers={"Authorization": "Bearer token-of-operate"})).status == 200


async def test_of_two_proofs_the_bearer_counts(signed):
    client = await signed("admin")
    headers = {"Authorization": "Bearer token-of-nobody"}
    assert (await client.get("/api/rules", headers=headers)).status == 401


def cookie_of(client):
    [cookie] = [f"{each.key}={each.value}" for each in client.session.cookie_jar if each.key == "relay-session"]
    return {"Cookie": cookie}


async def sign_out(client):
    csrf = csrf_in(await (await client.get("/")).text())
    return await client.post("/signout", data={"csrf": csrf})


async def test_signing_out_ends_it_in_this_browser(signed):
    client = await signed("read")
    assert (await client.post("/signout", allow_redirects=False)).status == 403
    answer = await sign_out(client)
    assert answer.url.path == "/signin"
    assert "You are signed out" in await answer.text()
    assert (await client.get("/api/rules")).status == 401


async def test_signing_out_ends_every_copy_of_the_cookie_and_no_other_session(world, signed):
    client, other = await signed("read"), await signed("read")
    copy = cookie_of(client)
    await sign_out(client)
    assert (await client.get("/api/rules", headers=copy)).status == 401
    assert (await client.get("/", headers=copy, allow_redirects=False)).headers["Location"] == "/signin"
    assert (await other.get("/api/rules")).status == 200, "of the same token, at the same time"
    [until] = world.memory.sessions_ended.values()
    assert until == NOW + LIFETIME


async def test_signing_out_holds_on_every_replica_a_second_later(world, signed, aiohttp_client, make_console):
    client, other = await signed("read"), await aiohttp_client(make_console())
    copy = cookie_of(client)
    assert (await other.get("/api/rules", headers=copy)).status == 200
    await sign_out(client)
    world.monotonic += 1.0
    assert (await other.get("/api/rules", headers=copy)).status == 401
    assert (await (await aiohttp_client(make_console())).get("/api/rules", headers=copy)).status == 401


async def test_signing_in_anew_ends_the_session_before_it(signed, console):
    client = await signed("read")
    copy = cookie_of(client)
    await client.post("/signin", data={"token": "token-of-operate"})
    assert (await console.get("/api/rules", headers=copy)).status == 401
    assert (await client.get("/api/rules")).status == 200


async def test_while_the_ledger_is_away_sessions_go_on_that_it_knew_and_none_is_ended(
    world, signed, aiohttp_client, make_console
):
    client = await signed("read")
    csrf = csrf_in(await (await client.get("/")).text())
    other = await aiohttp_client(make_console())
    world.memory.away = True
    world.monotonic += 60.0
    assert (await client.get("/openapi.json")).status == 200
    assert (await client.post("/signout", data={"csrf": csrf})).status == 503
    assert (await client.get("/openapi.json")).status == 200, "one can try again"
    assert (await other.get("/openapi.json", headers=cookie_of(client))).status == 503, "nobody knows"
    await other.post("/signin", data={"token": "token-of-read"}, headers=cookie_of(client))
    assert (await other.get("/openapi.json")).status == 200, "a new one is known here"


async def test_a_stream_ends_with_the_session_and_with_its_token(world, signed):
    """Else it would go on for as long as whoever has copied the cookie likes."""
    client = await signed("read")
    streams = [await client.get(path) for path in ("/api/results", "/events/live")]
    await sign_out(client)
    assert [len(await stream.read()) > 0 for stream in streams] == [True, True]
    bearer = {"Authorization": "Bearer token-of-read"}
    client.session.cookie_jar.clear()
    streams = [await client.get(path, headers=bearer) for path in ("/api/results", "/events/live")]
    world.tokens["read"] = (TOKENS["read"][0], "operate")
    assert [len(await stream.read()) > 0 for stream in streams] == [True, True], "it may see other things now"


async def test_a_link_of_another_site_goes_over_a_page_of_ours(signed):
    """With it a browser sends no cookie, so nobody can tell yet whether somebody has signed in."""
    client = await signed("read")
    client.session.cookie_jar.clear()
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    answer = await client.get("/events?text=%22%3E&since=1h", headers=visit, allow_redirects=False)
    assert answer.status == 200
    assert 'content="0; url=/signin?next=%2Fevents%3Ftext%3D%2522%253E%26amp%3Bsince' not in await answer.text()
    assert "url=/signin?next=%2Fevents%3Ftext%3D%2522%253E%26since%3D1h" in await answer.text()


async def test_a_part_of_a_page_takes_the_whole_page_to_sign_in(signed):
    client = await signed("read")
    client.session.cookie_jar.clear()
    headers = {"HX-Request": "true", "HX-Current-URL": "http://relay.example/events?source=a"}
    answer = await client.get("/events", headers=headers, allow_redirects=False)
    assert (answer.status, answer.headers["HX-Redirect"]) == (401, "/signin?next=%2Fevents%3Fsource%3Da")


async def test_sign_in_leads_nowhere_else(signed):
    client = await signed("read")
    for place in ("//evil.example", "/\\evil.example", "https://evil.example", "/\n/x", "", "x", "/ö"):
        answer = await client.post("/signin", data={"token": "token-of-read", "next": place}, allow_redirects=False)
        assert answer.headers["Location"] == "/"


HOLDERS = make_holders(Secret("the-first"), {**TOKENS, "käthe.x": (Secret("t"), "read")})


@given(st.data())
def test_what_was_not_signed_by_us_is_no_session(data):
    cookie = write_session(data.draw(st.sampled_from(HOLDERS)), NOW)
    assert read_session(HOLDERS, cookie, NOW) is not None
    forged = data.draw(
        st.one_of(
            st.text(),
            st.builds(lambda a, b, c: f"{a}.{b}.{c}", st.text(), st.text(), st.text()),
            st.builds(
                lambda at, c: cookie[:at] + c + cookie[at + 1 :], st.integers(0, len(cookie) - 1), st.characters()
            ),
        )
    )
    assert forged == cookie or read_session(HOLDERS, forged, NOW) is None


def test_a_session_of_one_token_is_none_of_another():
    for holder in HOLDERS:
        others = tuple(other for other in HOLDERS if other is not holder)
        assert read_session(others, write_session(holder, NOW), NOW) is None
