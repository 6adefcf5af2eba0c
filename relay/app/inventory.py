"""Checks against Cargo: the token, and that what rules name by a constant uuid is there and deployed."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from relay.app.adapters import make_cargo
from relay.app.finding import Finding
from relay.cargo import Cargo
from relay.cargo import inventory as read
from relay.config import Settings
from relay.errors import Denied, Permanent, RelayError
from relay.proxy import Proxy
from relay.telemetry import Metrics

Path = tuple[str | int, ...]
_Row = TypeVar("_Row", read.AgentRow, read.ConnectorRow)

_CONSTANT: Final = re.compile(r"\s*\{\{-?\s*vars\.(\w+)\s*-?\}\}\s*")
_UUID: Final = re.compile(r"(?i)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_AT_ONCE: Final = 8
_TRIGGERS_AGENT: Final = "trigger.agentUuid"
"""The agent of the chat from which a trigger of type `chat` comes."""


@dataclass(frozen=True, slots=True)
class Named:
    """A constant uuid in a rule: where it stands (in `vars` if the rule names it there), as the key of messages."""

    uuid: str
    key: str
    path: Path

    def fault(self, what: str) -> Finding:
        return Finding(self.key, what, path=self.path)

    def doubt(self, what: str) -> Finding:
        return Finding(self.key, what, fault=False, path=self.path)


async def check_cargo(settings: Settings, proxy: Proxy | None) -> list[Finding]:
    """Check the token, then each agent, release and connector once per place where it is named."""
    async with make_cargo(settings, proxy, Metrics()) as cargo:
        if faults := await _check_token(cargo):
            return faults
        look = _Look(cargo)
        chats = [_constants(settings, number) for number in range(len(settings.rules))]
        checks: list[Awaitable[Finding | None]] = []
        for named in chats:
            agent, release, connector = (named.get(name) for name in ("agentUuid", "releaseUuid", "connectorUuid"))
            if (other := named.get(_TRIGGERS_AGENT)) is not None:
                checks.append(look.agent(other, pinned=False))
            if agent is not None:
                checks.append(look.agent(agent, pinned="releaseUuid" in named))
            if release is not None:
                checks.append(look.release(release, agent))
            if connector is not None:
                checks.append(look.connector(connector))
        found = await asyncio.gather(*checks)
    return list(dict.fromkeys(finding for finding in found if finding is not None))


async def _check_token(cargo: Cargo) -> list[Finding]:
    """Whether the token works. The call is the one by which the relay looks for chats, which it cannot do without."""
    try:
        await cargo.probe()
    except Denied as error:
        return [Finding("cargo.token", f"{error}: make a token in Cargo under Settings > API, and put it here")]
    except Permanent as error:
        return [Finding("cargo.base_url", f"{error}: write the URL of Cargo's API with its version")]
    except RelayError as error:
        return [Finding("cargo.base_url", f"{error}: correct the URL, or try again when Cargo answers")]
    return []


def _constants(settings: Settings, number: int) -> Mapping[str, Named | None]:
    """The uuids that a rule's chat names, by their keys; None for one that a template makes of the event."""
    chat = settings.rules[number].chat
    trigger = chat.get("trigger")
    given: list[tuple[str, Path, Any]] = [(name, (name,), chat.get(name)) for name in ("agentUuid", "releaseUuid")]
    if isinstance(trigger, Mapping):
        given.append(("connectorUuid", ("trigger", "connectorUuid"), trigger.get("connectorUuid")))
        given.append((_TRIGGERS_AGENT, ("trigger", "agentUuid"), trigger.get("agentUuid")))
    return {name: _named(settings, number, path, value) for name, path, value in given if value is not None}


def _named(settings: Settings, number: int, inside: Path, value: Any) -> Named | None:
    path: Path = ("rules", number, "chat", *inside)
    key = f"rules[{settings.rules[number].name}].chat.{'.'.join(map(str, inside))}"
    if isinstance(value, str) and (match := _CONSTANT.fullmatch(value)):
        path, key, value = ("vars", match[1]), f"vars.{match[1]}", settings.vars.get(match[1])
    return Named(value.lower(), key, path) if isinstance(value, str) and _UUID.fullmatch(value) else None


class _Look:
    """Asks Cargo what exists, each thing once."""

    def __init__(self, cargo: Cargo) -> None:
        self._cargo = cargo
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._asked: dict[str, asyncio.Future[Any]] = {}

    async def agent(self, named: Named, *, pinned: bool) -> Finding | None:
        """`pinned`: a release is named beside it, so that its own deployment does not matter."""
        row = await self._find(named, "agent", "ai/agents", read.read_agents, read.read_agent)
        if isinstance(row, Finding):
            return row
        if row.deleted_at is not None:
            return named.fault(f"agent {_title(row)} was deleted: name another agent")
        if row.deployed_release is None and not pinned:
            return named.fault(f"agent {_title(row)} is not deployed: deploy it in Cargo, or name a releaseUuid")
        return None

    async def connector(self, named: Named) -> Finding | None:
        row = await self._find(named, "connector", "connection/connectors", read.read_connectors, read.read_connector)
        if isinstance(row, Finding):
            return row
        if row.deleted_at is not None:
            return named.fault(f"connector {_title(row)} was deleted: name another connector")
        return None

    async def release(self, named: Named, agent: Named | None) -> Finding | None:
        row = await self._get(f"ai/releases/{named.uuid}", read.read_release)
        if isinstance(row, RelayError):
            return named.doubt(f"whether Cargo has release {named.uuid} is not known ({row}): look in Cargo")
        if row.status != "deployed":
            return named.fault(f"release {row.uuid} is {row.status or 'of no status'}: deploy it, or name another")
        if agent is not None and row.agent_uuid is not None and row.agent_uuid != agent.uuid:
            return named.fault(f"release {row.uuid} is of agent {row.agent_uuid}, not of {agent.uuid}: correct one")
        return None

    async def _find(
        self,
        named: Named,
        kind: str,
        path: str,
        read_all: Callable[[bytes], Sequence[_Row]],
        read_one: Callable[[bytes], _Row],
    ) -> _Row | Finding:
        """A row of the list, else what its own path answers. Only a list proves that it is not there."""
        rows = await self._get(f"{path}/list", read_all)
        if not isinstance(rows, RelayError):
            row: _Row | None = next((row for row in rows if row.uuid == named.uuid), None)
            return row or named.fault(f"Cargo has no {kind} {named.uuid}: {_advise(kind, rows)}")
        alone: _Row | RelayError = await self._get(f"{path}/{named.uuid}", read_one)
        if isinstance(alone, RelayError):
            return named.doubt(f"whether Cargo has {kind} {named.uuid} is not known ({alone}): look in Cargo")
        return alone

    async def _get(self, path: str, reader: Callable[[bytes], Any]) -> Any:
        """What a path answers, or the error; each path is asked once."""
        if path not in self._asked:
            self._asked[path] = asyncio.ensure_future(self._ask(path, reader))
        return await self._asked[path]

    async def _ask(self, path: str, reader: Callable[[bytes], Any]) -> Any:
        async with self._slots:
            try:
                return await self._cargo.look(path, reader)
            except RelayError as error:
                return error


def _title(row: read.AgentRow | read.ConnectorRow) -> str:
    return f"{row.name!r} ({row.uuid})" if row.name else row.uuid


def _advise(kind: str, rows: Sequence[_Row]) -> str:
    """Which there are, for whoever has copied the wrong one."""
    known = [_title(row) for row in rows if row.deleted_at is None]
    if not known:
        return f"it has no {kind} at all; is the token of another workspace?"
    return f"it has {', '.join(known[:5])}" + (f" and {len(known) - 5} more" if len(known) > 5 else "")
