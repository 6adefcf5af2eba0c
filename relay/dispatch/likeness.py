"""Which chats may be the one of a dispatch though they have no stamp: Cargo may not carry stamps back."""

import json

from relay.model import Chat, Dispatch


def resembles(chat: Chat, dispatch: Dispatch) -> bool:
    """Whether name, agent and connector, as far as both sides tell them, are the same.

    Cargo names a chat that was given no name, may choose an agent that was not asked for, and may leave out of a list
    what is null: only what both tell can set them apart.
    """
    told = (chat.name, chat.agent_uuid, chat.connector_uuid)
    return all(one == other for one, other in zip(_asked(dispatch), told, strict=True) if one and other)


def _asked(dispatch: Dispatch) -> tuple[str | None, str | None, str | None]:
    """What the creation said; uuids in lower case, as those of chats are."""
    trigger = json.loads(dispatch.body or "{}").get("trigger", {})
    return dispatch.name, _lower(dispatch.agent_uuid), _lower(trigger.get("connectorUuid"))


def _lower(uuid: str | None) -> str | None:
    return uuid and uuid.lower()
