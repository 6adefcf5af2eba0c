"""Which chats may be the one of a dispatch though they have no stamp: Cargo may not carry stamps back."""

import json
from dataclasses import dataclass
from typing import Self

from relay.model import Chat, Dispatch


@dataclass(frozen=True, slots=True)
class Likeness:
    """What sets chats apart; uuids in lower case. None is what is not told."""

    name: str | None
    agent_uuid: str | None
    connector_uuid: str | None

    @classmethod
    def of(cls, dispatch: Dispatch) -> Self:
        """What the creation asked for."""
        trigger = json.loads(dispatch.body or "{}").get("trigger", {})
        return cls(dispatch.name, _lower(dispatch.agent_uuid), _lower(trigger.get("connectorUuid")))

    def fits(self, chat: Chat) -> bool:
        """Whether name, agent and connector are the same, as far as both sides tell them.

        Cargo names a chat that was given no name, may choose an agent that was not asked for, and may leave out of a
        list what is null: only what both tell can set them apart.
        """
        pairs = ((self.name, chat.name), (self.agent_uuid, chat.agent_uuid), (self.connector_uuid, chat.connector_uuid))
        return all(one == other for one, other in pairs if one and other)


def _lower(uuid: str | None) -> str | None:
    return uuid and uuid.lower()
