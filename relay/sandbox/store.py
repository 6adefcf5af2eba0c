"""Stores the simulator's chats and messages in memory."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from relay.sandbox.wire import ChatQuery


@dataclass(slots=True)
class StoredMessage:
    """A message. An assistant's message is `pending`, then `generating`, then `success`, or `cancelled` before it.

    Times are ms.
    """

    uuid: str
    chat_uuid: str
    type: str
    agent_uuid: str | None
    release_uuid: str | None
    parts: list[Any]
    created_at: int
    generates_at: int
    finishes_at: int
    cancelled: bool = False

    def status(self, now: int) -> str:
        if now >= self.finishes_at:
            return "cancelled" if self.cancelled else "success"
        return "generating" if now >= self.generates_at else "pending"

    def is_finished(self, now: int) -> bool:
        return now >= self.finishes_at

    def cancel(self, now: int) -> None:
        """End it now, unless it has finished."""
        if not self.is_finished(now):
            self.finishes_at, self.cancelled = now, True


@dataclass(slots=True)
class StoredChat:
    """A chat. `trigger` is JSON text, because it is only sent back. `dispatch` is Relay's stamp, if any."""

    uuid: str
    trace_uuid: str
    name: str | None
    agent_uuid: str | None
    release_uuid: str | None
    trigger_type: str
    trigger: str
    dispatch: str | None
    created_at: int
    messages: list[StoredMessage] = field(default_factory=list)


class ChatStore:
    """At most `keep` chats by uuid, in the order of creation.

    A page of a list has `page` rows unless the query sets a limit, and at most `most`. Cargo documents neither number.
    """

    def __init__(self, keep: int, page: int = 50, most: int = 100) -> None:
        self._keep = keep
        self._page = page
        self._most = most
        self._chats: OrderedDict[str, StoredChat] = OrderedDict()
        self._messages: dict[str, StoredMessage] = {}
        self.created = 0

    def add(self, chat: StoredChat) -> None:
        self.created += 1
        self._chats[chat.uuid] = chat
        if len(self._chats) > self._keep:
            self.delete(next(iter(self._chats.values())))

    def delete(self, chat: StoredChat) -> None:
        """Delete a chat with its messages."""
        del self._chats[chat.uuid]
        for message in chat.messages:
            del self._messages[message.uuid]

    def unsay(self, message: StoredMessage) -> None:
        """Delete a message."""
        del self._messages[message.uuid]
        self._chats[message.chat_uuid].messages.remove(message)

    def say(self, chat: StoredChat, messages: Iterable[StoredMessage]) -> None:
        for message in messages:
            chat.messages.append(message)
            self._messages[message.uuid] = message

    def forget(self) -> None:
        """Delete all chats and messages, and reset the count."""
        self._chats.clear()
        self._messages.clear()
        self.created = 0

    def chat(self, uuid: str) -> StoredChat | None:
        return self._chats.get(uuid)

    def message(self, uuid: str) -> StoredMessage | None:
        return self._messages.get(uuid)

    def made(self, dispatch: str | None) -> list[StoredChat]:
        """All chats, or those with this stamp, oldest first."""
        return [chat for chat in self._chats.values() if dispatch is None or chat.dispatch == dispatch]

    def page(self, query: ChatQuery, now: int, lag: int) -> list[StoredChat]:
        """A page of the matching chats that are older than `lag` ms, newest first."""
        limit = min(query.limit or self._page, self._most)
        matching = (chat for chat in self._between(query, now - lag) if _matches(chat, query, now))
        return list(islice(matching, query.offset, query.offset + limit))

    def _between(self, query: ChatQuery, until: int) -> Iterator[StoredChat]:
        for chat in reversed(self._chats.values()):
            if query.created_after is not None and chat.created_at <= query.created_after:
                return
            if chat.created_at <= until and (query.created_before is None or chat.created_at < query.created_before):
                yield chat


def _matches(chat: StoredChat, query: ChatQuery, now: int) -> bool:
    last = chat.messages[-1].status(now) if chat.messages else None
    return (
        query.trigger_type in (None, chat.trigger_type)
        and query.agent_uuid in (None, chat.agent_uuid)
        and query.release_uuid in (None, chat.release_uuid)
        and query.user_uuid in (None, USER)
        and (query.name is None or query.name.lower() in (chat.name or "").lower())
        and (not query.message_statuses or last in query.message_statuses)
    )


WORKSPACE = "5f0c1a7e-3b1d-4c58-9d0a-6a2f4f6f1b10"
USER = "c8a7f1d2-94be-4e0f-8f3a-2b7d5e6a9c01"
"""The only workspace and the only user."""
