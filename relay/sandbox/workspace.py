"""The simulator's workspace: its agents, their releases, and its connectors."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from relay.sandbox.render import answer, refuse
from relay.sandbox.store import USER, WORKSPACE

RELEASE: Final = "5f0c7a52-9d1e-4c3b-8f60-2a7b9c1d0e4f"
"""The release of every agent whose releases nobody has set."""


@dataclass(frozen=True, slots=True)
class Workspace:
    """What exists. `agents` maps an agent to its deployed release (None: it is not deployed).

    `releases` maps a release to its agent and its status, `deleted` are agents and connectors that were deleted.
    Without `agents`, and without `connectors`, any uuid exists and is deployed, and no list is served. All are in lower
    case.
    """

    agents: Mapping[str, str | None] | None = None
    connectors: Sequence[str] | None = None
    releases: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    deleted: frozenset[str] = frozenset()

    def routes(self) -> list[web.RouteDef]:
        """The routes of Cargo that tell what exists."""
        return [
            web.get("/v1/userManagement/users/current", self._user, allow_head=False),
            web.get("/v1/workspaceManagement/workspaces/current", self._workspace, allow_head=False),
            web.get("/v1/ai/agents/list", self._list_agents, allow_head=False),
            web.get("/v1/ai/agents/{uuid}", self._get_agent, allow_head=False),
            web.get("/v1/ai/releases/deployed", self._get_deployed, allow_head=False),
            web.get("/v1/ai/releases/{uuid}", self._get_release, allow_head=False),
            web.get("/v1/connection/connectors/list", self._list_connectors, allow_head=False),
            web.get("/v1/connection/connectors/{uuid}", self._get_connector, allow_head=False),
        ]

    async def _user(self, _: web.Request) -> web.Response:
        return _give("user", {"uuid": USER, "email": "simulator@example.com"})

    async def _workspace(self, _: web.Request) -> web.Response:
        return _give("workspace", {"uuid": WORKSPACE, "name": "Simulator"})

    async def _list_agents(self, _: web.Request) -> web.Response:
        if self.agents is None:
            return refuse(404, "Not found", "notFound")
        return _give("agents", [self._agent(uuid) for uuid in self.agents])

    async def _get_agent(self, request: web.Request) -> web.Response:
        uuid = _uuid(request)
        if self.agents is not None and uuid not in self.agents:
            return refuse(404, "Agent not found", "agentNotFound")
        return _give("agent", self._agent(uuid))

    async def _get_deployed(self, request: web.Request) -> web.Response:
        agent = request.query.get("agentUuid", "").lower()
        release = self._deployed(agent)
        if release is None:
            return refuse(404, "Release not found", "releaseNotFound")
        return _give("release", _show_release(release, agent, "deployed"))

    async def _get_release(self, request: web.Request) -> web.Response:
        uuid = _uuid(request)
        if uuid in self.releases:
            return _give("release", _show_release(uuid, *self.releases[uuid]))
        owner = next((agent for agent, release in (self.agents or {}).items() if release == uuid), None)
        if owner is None:
            return refuse(404, "Release not found", "releaseNotFound")
        return _give("release", _show_release(uuid, owner, "deployed"))

    async def _list_connectors(self, _: web.Request) -> web.Response:
        if self.connectors is None:
            return refuse(404, "Not found", "notFound")
        return _give("connectors", [self._connector(uuid) for uuid in self.connectors])

    async def _get_connector(self, request: web.Request) -> web.Response:
        uuid = _uuid(request)
        if self.connectors is not None and uuid not in self.connectors:
            return refuse(404, "Connector not found", "connectorNotFound")
        return _give("connector", self._connector(uuid))

    def _deployed(self, agent: str) -> str | None:
        return RELEASE if self.agents is None else self.agents.get(agent)

    def _agent(self, uuid: str) -> dict[str, Any]:
        release = self._deployed(uuid)
        deployed = None if release is None else _show_release(release, uuid, "deployed")
        return {**self._named(uuid, "Agent"), "deployedRelease": deployed}

    def _connector(self, uuid: str) -> dict[str, Any]:
        named = self._named(uuid, "Connector")
        return {**named, "slug": named["name"].lower(), "integrationSlug": "http", "rateLimit": None}

    def _named(self, uuid: str, kind: str) -> dict[str, Any]:
        gone = "2026-01-01T00:00:00.000Z" if uuid in self.deleted else None
        return {"uuid": uuid, "workspaceUuid": WORKSPACE, "name": f"{kind} {uuid[:4]}", "deletedAt": gone}


def _show_release(uuid: str, agent: str, status: str) -> dict[str, Any]:
    return {"uuid": uuid, "agentUuid": agent, "version": 1, "status": status}


def _uuid(request: web.Request) -> str:
    return request.match_info["uuid"].lower()


def _give(name: str, value: Any) -> web.Response:
    return answer(json.dumps({name: value}))
