"""Finds chats without a stamp that may belong to a dispatch, in case Cargo does not return stamps."""

import json
from dataclasses import dataclass
from typing import Self

from relay.model import Chat, Dispatch


@dataclass(frozen=True, slots=True)
class Likeness:
    """The properties that distinguish chats. UUIDs are in lower case; None means the property is not given."""

    name: str | None
    agent_uuid: str | None
    connector_uuid: str | None

    @classmethod
    def of(cls, dispatch: Dispatch) -> Self:
        """The properties that the dispatch's create request asks for."""
        trigger = json.loads(dispatch.body or "{}").get("trigger", {})
        return cls(dispatch.name, _lower(dispatch.agent_uuid), _lower(trigger.get("connectorUuid")))

    def fits(self, chat: Chat) -> bool:
        """Whether name, agent and connector agree, compared only where both sides give them.

        Cargo names a chat whose request has no name, may choose an agent that the request does not name, and may omit
        null fields from a list. So only a property that both sides give can show that two chats differ.
        """
        pairs = ((self.name, chat.name), (self.agent_uuid, chat.agent_uuid), (self.connector_uuid, chat.connector_uuid))
        return all(requested == listed for requested, listed in pairs if requested and listed)


def _lower(uuid: str | None) -> str | None:
    return uuid and uuid.lower()
