"""`relay check --online` against Cargo: what rules name by a constant uuid, each at its line."""

import json

import pytest
from aiohttp import web

from relay.app import check_online
from relay.cargo.inventory import read_agent, read_agents, read_connectors
from relay.config import load, locate
from relay.errors import Unknown
from relay.sandbox import Faults, Workspace, make_app, run

AGENT = "11111111-1111-4111-8111-111111111111"
OTHER = "22222222-2222-4222-8222-222222222222"
RELEASE = "33333333-3333-4333-8333-333333333333"
DRAFT = "44444444-4444-4444-8444-444444444444"
CONNECTOR = "55555555-5555-4555-8555-555555555555"
CONFIG = """\
cargo: {{token: t, base_url: "{cargo}"}}
ledger: {{url: "sqlite:///{folder}/relay.db"}}
vars: {{agent: {agent}}}
sources: {{helpdesk: {{type: webhook, scheme: none}}}}
rules:
  - name: urgent
    chat:
      agentUuid: {named}
      {release}
      trigger:
        type: connector
        connectorUuid: {connector}
        meta: {{}}
"""


@pytest.fixture
def check(tmp_path):
    """The findings of a configuration against a workspace: (line, key, text, whether it is a fault)."""

    async def ask(workspace, *, agent=AGENT, named="'{{ vars.agent }}'", release="", connector=CONNECTOR, **faults):
        async with await run(make_app(Faults(**faults), token="t", workspace=workspace)) as cargo:
            loaded = configure(tmp_path, f"{cargo.url}/v1", agent, named, release, connector)
            found = await check_online(loaded.settings, loaded.proxy)
        lines = locate(loaded.origin, [(each.place, each.what) for each in found])
        return [
            (line.fault.mark.line, line.fault.key, line.fault.message, each.fault)
            for line, each in zip(lines, found, strict=True)
        ]

    return ask


def configure(folder, cargo, agent=AGENT, named="'{{ vars.agent }}'", release="", connector=CONNECTOR):
    path = folder / "relay.yaml"
    given = {"cargo": cargo, "folder": folder, "agent": agent, "named": named, "release": release or "# none"}
    path.write_text(CONFIG.format(**given, connector=connector))
    return load([path], {})


def workspace(**changes):
    return Workspace(**({"agents": {AGENT: RELEASE, OTHER: None}, "connectors": [CONNECTOR]} | changes))


async def test_what_is_there_and_deployed_is_well(check):
    assert await check(workspace()) == []
    assert await check(workspace(), named=AGENT.upper(), release=f"releaseUuid: {RELEASE}") == []


async def test_an_agent_that_no_list_has_is_a_fault_at_its_line_with_those_that_there_are(check):
    [found] = await check(workspace(), agent=DRAFT)
    assert found[:2] == (3, "vars.agent")
    assert found[2].startswith(f"Cargo has no agent {DRAFT}: it has 'Agent 1111' ({AGENT}), 'Agent 2222'")
    assert found[3]
    [found] = await check(workspace(agents={}), named=DRAFT)
    assert found[:2] == (8, "rules[urgent].chat.agentUuid")
    assert "is the token of another workspace?" in found[2]


async def test_an_agent_that_is_not_deployed_is_a_fault_unless_a_release_is_named(check):
    [found] = await check(workspace(), agent=OTHER)
    assert (found[0], found[3]) == (3, True)
    assert f"agent 'Agent 2222' ({OTHER}) is not deployed" in found[2]
    pinned = workspace(releases={RELEASE: (OTHER, "deployed")})
    assert await check(pinned, agent=OTHER, release=f"releaseUuid: {RELEASE}") == []


async def test_the_agent_of_a_trigger_is_looked_for_as_well(tmp_path):
    trigger = f"{{type: chat, uuid: {DRAFT}, agentUuid: {OTHER}, messageUuid: null}}"
    path = tmp_path / "relay.yaml"
    async with await run(make_app(Faults(), token="t", workspace=workspace())) as cargo:
        given = {"cargo": f"{cargo.url}/v1", "folder": tmp_path, "agent": AGENT, "named": AGENT, "release": "# none"}
        text = CONFIG.format(**given, connector=CONNECTOR)
        path.write_text(text[: text.index("trigger:")] + f"trigger: {trigger}\n")
        loaded = load([path], {})
        [found] = await check_online(loaded.settings, None)
    assert (found.key, found.fault) == ("rules[urgent].chat.trigger.agentUuid", True)
    assert f"agent 'Agent 2222' ({OTHER}) is not deployed" in found.what


async def test_a_deleted_agent_or_connector_is_a_fault(check):
    found = await check(workspace(deleted=frozenset({AGENT, CONNECTOR})))
    assert [(line, "was deleted" in text, fault) for line, _, text, fault in found] == [
        (3, True, True),
        (12, True, True),
    ]


async def test_a_release_of_another_agent_or_that_is_a_draft_is_a_fault(check):
    releases = {DRAFT: (AGENT, "draft"), RELEASE: (OTHER, "deployed")}
    [found] = await check(workspace(releases=releases), release=f"releaseUuid: {DRAFT}")
    assert found == (9, "rules[urgent].chat.releaseUuid", f"release {DRAFT} is draft: deploy it, or name another", True)
    [found] = await check(workspace(releases=releases), release=f"releaseUuid: {RELEASE}")
    assert f"is of agent {OTHER}, not of {AGENT}" in found[2]


async def test_a_404_proves_nothing(check):
    """Neither of a release, of which there is no list, nor of anything where no list is served."""
    [found] = await check(workspace(), release=f"releaseUuid: {DRAFT}")
    assert (found[0], found[3]) == (9, False)
    assert f"whether Cargo has release {DRAFT} is not known (Cargo answered 404" in found[2]
    assert await check(Workspace()) == []


async def test_a_403_proves_nothing(tmp_path):
    async with await run(forbidding()) as cargo:
        loaded = configure(tmp_path, f"{cargo.url}/v1")
        found = await check_online(loaded.settings, None)
    assert [(each.key, each.fault) for each in found] == [
        ("vars.agent", False),
        ("rules[urgent].chat.trigger.connectorUuid", False),
    ]
    assert "Cargo answered 403" in found[0].what


def forbidding():
    """A Cargo whose token may look for chats and nothing else."""

    async def chats(_):
        return web.json_response({"chats": []})

    async def forbid(_):
        return web.json_response({"reason": "forbidden"}, status=403)

    app = web.Application()
    app.add_routes([web.get("/v1/ai/chats/list", chats), web.get("/{path:.*}", forbid)])
    return app


async def test_a_uuid_that_a_template_makes_is_not_asked_for(check):
    assert await check(workspace(agents={}), named="'{{ data.agent }}'") == []


async def test_a_token_that_is_refused_is_one_fault_at_its_line(check):
    [found] = await check(workspace(), denied=401)
    assert (found[0], found[1], found[3]) == (1, "cargo.token", True)
    assert "Cargo answered 401" in found[2]


async def test_a_cargo_that_is_away_is_one_fault(tmp_path):
    [found] = await check_online(configure(tmp_path, "http://127.0.0.1:9/v1").settings, None)
    assert found.key == "cargo.base_url"
    assert "could not be reached" in found.what


def test_either_envelope_is_read():
    row = {"uuid": AGENT, "name": "A", "deployedRelease": {"uuid": RELEASE, "version": 3}, "new": 1}
    for document in ({"agent": row}, row):
        assert read_agent(json.dumps(document).encode()).deployed_release.uuid == RELEASE
    for document in ({"agents": [row]}, [row]):
        assert [agent.name for agent in read_agents(json.dumps(document).encode())] == ["A"]


@pytest.mark.parametrize("raw", [b"", b"<html>", b"{}", b'{"connectors": 1}', b'[{"name": "x"}]', b"[1]"])
def test_what_is_no_list_of_them_proves_nothing(raw):
    with pytest.raises(Unknown):
        read_connectors(raw)
