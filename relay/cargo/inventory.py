"""Reads what exists in a workspace: agents, releases, connectors.

The envelopes of these answers are not documented: an object may stand alone or under its name, a list likewise.
"""

from typing import Annotated, Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from relay.cargo.wire import CargoModel, Lenient, Text, Uuid, load_answer
from relay.errors import Unknown


class DeployedRelease(CargoModel):
    """The release that an agent answers with."""

    uuid: Uuid


class AgentRow(CargoModel):
    """An agent. `deployed_release` is None where it is not deployed."""

    uuid: Uuid
    name: Annotated[Text | None, Lenient] = None
    deployed_release: Annotated[DeployedRelease | None, Lenient] = None
    deleted_at: Annotated[Text | None, Lenient] = None


class ReleaseRow(CargoModel):
    """A release of an agent. `status` is `draft`, `deployed` or `archived`."""

    uuid: Uuid
    agent_uuid: Annotated[Uuid | None, Lenient] = None
    status: Annotated[Text | None, Lenient] = None


class ConnectorRow(CargoModel):
    """A connector."""

    uuid: Uuid
    name: Annotated[Text | None, Lenient] = None
    deleted_at: Annotated[Text | None, Lenient] = None


_Row = TypeVar("_Row", AgentRow, ReleaseRow, ConnectorRow)
_AGENT: Final = TypeAdapter(AgentRow)
_RELEASE: Final = TypeAdapter(ReleaseRow)
_CONNECTOR: Final = TypeAdapter(ConnectorRow)


def read_agent(raw: bytes) -> AgentRow:
    """An agent. Raises Unknown."""
    return _one(raw, "agent", _AGENT)


def read_agents(raw: bytes) -> list[AgentRow]:
    """All agents. Raises Unknown, also where one of them cannot be read: it might be the one that is looked for."""
    return _all(raw, "agents", _AGENT)


def read_release(raw: bytes) -> ReleaseRow:
    """A release. Raises Unknown."""
    return _one(raw, "release", _RELEASE)


def read_connector(raw: bytes) -> ConnectorRow:
    """A connector. Raises Unknown."""
    return _one(raw, "connector", _CONNECTOR)


def read_connectors(raw: bytes) -> list[ConnectorRow]:
    """All connectors. Raises Unknown as `read_agents`."""
    return _all(raw, "connectors", _CONNECTOR)


def _one(raw: bytes, name: str, form: TypeAdapter[_Row]) -> _Row:
    document = _document(raw, name)
    if isinstance(document, dict) and isinstance(document.get(name), dict):
        document = document[name]
    return _validate(form, document, name)


def _all(raw: bytes, name: str, form: TypeAdapter[_Row]) -> list[_Row]:
    document = _document(raw, name)
    if isinstance(document, dict):
        document = document.get(name)
    if not isinstance(document, list):
        raise Unknown(f"Cargo's answer has no list `{name}`")
    return [_validate(form, row, name) for row in document]


def _document(raw: bytes, name: str) -> Any:
    try:
        return load_answer(raw)
    except ValueError:
        raise Unknown(f"Cargo's answer is not JSON, so that it has no `{name}`") from None


def _validate(form: TypeAdapter[_Row], document: Any, name: str) -> _Row:
    try:
        return form.validate_python(document)
    except ValidationError:  # it quotes the answer
        raise Unknown(f"Cargo's answer has no `{name}` with a uuid") from None
