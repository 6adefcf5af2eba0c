"""The part of Cargo's API that Relay uses."""

from typing import Protocol

from relay.model import Chat, Message, Page


class Chats(Protocol):
    """Makes chats and finds them.

    Every method raises:

    - `Retryable`: certainly not done, and may pass (no byte of the request was sent, 425, 429).
    - `Denied`: 401, 403.
    - `Permanent`: other 4xx, except 408.
    - `Unknown`: may have been done (timeout, reset, 408, every 5xx, a redirect, an answer that does not match the
      reference). The reading methods can simply be called again.
    """

    async def create(self, body: bytes) -> Chat:
        """`POST /ai/chats` with `body`, the JSON to send, which includes the stamp."""
        ...

    async def say(self, chat_uuid: str, text: str, agent_uuid: str | None) -> str:
        """`POST /ai/messages` with one text part. Returns the uuid of the user's message.

        `Permanent.code` is `lastMessageNotFinished` while another message of the chat is being processed.
        """
        ...

    async def chats(self, trigger_type: str, after: int, before: int, offset: int) -> Page:
        """One page of `GET /ai/chats/list`; `after` and `before` are milliseconds since the epoch.

        Cargo decides the order and the page size. Rows that cannot be read are missing in the page's `chats` but count
        in its `rows`.
        """
        ...

    async def messages(self, chat_uuid: str) -> list[Message]:
        """`GET /ai/messages/list`: the messages of a chat, in no particular order."""
        ...

    async def probe(self) -> None:
        """`GET /ai/chats/list?limit=1`: returns when Cargo answers and accepts Relay's token."""
        ...
