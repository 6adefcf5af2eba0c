"""Tokens with roles: each route asks for one, each answer says who may, and acts have their names."""

import pytest

from relay.ops.access import Role
from relay.ops.routes import ROUTES
from relay.secret import Secret
from tests.ops.desk import make_failed

TOKENS = {name: (Secret(f"token-of-{name}"), name) for name in ("read", "operate", "admin")}
OPERATES = {
    "cancelJob",
    "startJob",
    *("replayEvent", "retryDispatch", "cancelDispatch", "pauseSource", "resumeSource", "readmitRequests"),
    *("pauseRule", "resumeRule"),
    *("requeueDead", "acknowledgeProblem", "resolveProblem"),
}
ADMINISTERS = {"showSecret", "forgetSecret", "reloadConfig", "eraseEvents"}


@pytest.fixture
async def client(aiohttp_client, make_app):
    return await aiohttp_client(make_app(Secret("the-first"), TOKENS))


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_every_route_asks_for_the_role_of_the_contract():
    asked = {route.name: route.role for route in ROUTES}
    assert {name for name, role in asked.items() if role is Role.OPERATE} == OPERATES
    assert {name for name, role in asked.items() if role is Role.ADMIN} == ADMINISTERS
    assert {name for name, role in asked.items() if role is Role.READ} == set(asked) - OPERATES - ADMINISTERS


@pytest.mark.parametrize("route", [route for route in ROUTES if route.gives is not None], ids=lambda route: route.name)
@pytest.mark.parametrize("holder", TOKENS)
async def test_a_token_opens_what_its_role_allows_and_no_more(client, route, holder):
    path = route.path.replace("{id}", "0190-9").replace("{name}", "helpdesk")
    answer = await client.request(route.method, path, headers=bearer(f"token-of-{holder}"), json={})
    if Role[holder.upper()] >= route.role:
        assert answer.status != 403
    else:
        assert answer.status == 403
        assert f"has the role {holder}; this needs {route.role.word}" in (await answer.json())["detail"]


async def test_an_act_has_the_name_of_who_holds_the_token(client, memory, desk):
    event, dispatch, *_ = make_failed(1)
    memory.add(event, dispatch)
    for token in ("token-of-operate", "the-first"):
        answer = await client.post(f"/api/dispatches/{dispatch.id}/cancel", headers=bearer(token), json={})
        assert answer.status == 200
    assert desk.bys == ["operate", "token"]


@pytest.mark.parametrize("headers", [{}, bearer("token-of-nobody"), {"Authorization": "Basic token-of-read"}])
async def test_without_a_token_of_anybody_nothing_is_open(client, headers):
    for path in ("/api/rules", "/api/problems", "/openapi.json"):
        assert (await client.get(path, headers=headers)).status == 401


async def test_tokens_alone_are_enough(aiohttp_client, make_app):
    client = await aiohttp_client(make_app(None, TOKENS))
    assert (await client.get("/api/rules")).status == 401
    assert (await client.get("/api/rules", headers=bearer("token-of-read"))).status == 200
