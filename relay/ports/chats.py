"""Cargo, as far as Relay needs it."""

from typing import Protocol

from relay.model import Chat, Message, Page


class Chats(Protocol):
    """Makes chats and looks for them.

    Every method raises: `Retryable` (surely not done, may pass: no byte of the request was sent, 425, 429), `Denied`
    (401, 403), `Permanent` (other 4xx except 408) and `Unknown` (timeout, reset, 408, every 5xx, a redirect, an
    answer that is not what the reference says). For the reading methods `Unknown` means: ask again.
    """

    async def create(self, body: bytes) -> Chat:
        """`POST /ai/chats` with `body`, JSON as it is to be sent, stamp included."""
        ...

    async def say(self, chat_uuid: str, text: str, agent_uuid: str | None) -> str:
        """`POST /ai/messages` with one text part; gives the user message's uuid.

        `Permanent.code` is `lastMessageNotFinished` when the chat has a message under way.
        """
        ...

    async def chats(self, trigger_type: str, after: int, before: int, offset: int) -> Page:
        """One page of `GET /ai/chats/list`; `after` and `before` are milliseconds since the epoch.

        Order and page size are Cargo's. Rows that cannot be read are left out of the page's chats, not of its rows.
        """
        ...

    async def messages(self, chat_uuid: str) -> list[Message]:
        """`GET /ai/messages/list`: the messages of a chat, in no certain order."""
        ...

    async def probe(self) -> None:
        """`GET /ai/chats/list?limit=1`: returns when Cargo answers and accepts our token."""
        ...
