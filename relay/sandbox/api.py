"""The handlers of Cargo's paths."""

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from pydantic import ValidationError
from pydantic_core import to_json

from relay.sandbox.dice import Dice
from relay.sandbox.render import answer, refuse, show_chat, show_message
from relay.sandbox.store import ChatStore, StoredChat, StoredMessage
from relay.sandbox.strike import BEFORE, strike, throttle
from relay.sandbox.wire import (
    NEW_CHAT,
    NEW_MESSAGE,
    ChatChanges,
    ChatQuery,
    MessageQuery,
    NewChat,
    NewMessage,
    ToCancel,
    gather,
    load,
)

CHATS: Final = "/v1/ai/chats"


@dataclass(slots=True)
class Counts:
    """The requests by path, and the maximum number of chat creations that started within one second."""

    requests: Counter[str] = field(default_factory=Counter)
    busiest: int = 0
    _starts: deque[float] = field(default_factory=deque)

    def arrive(self, method: str, path: str, now: float) -> None:
        """Count a request that arrives at `now` (seconds), before any latency."""
        self.requests[f"{method} {path}"] += 1
        if method == "POST" and path == CHATS:
            self._start(now)

    def _start(self, now: float) -> None:
        self._starts.append(now)
        while self._starts[0] <= now - 1:
            self._starts.popleft()
        self.busiest = max(self.busiest, len(self._starts))

    def reset(self) -> None:
        """Reset all counts to zero."""
        self.requests.clear()
        self._starts.clear()
        self.busiest = 0


class SandboxApi:
    """The handlers of Cargo's paths. `pending` and `generating` are the durations (ms) of these states of a message.

    With `agents` (uuids in lower case) all other agents are refused.
    """

    def __init__(
        self,
        store: ChatStore,
        dice: Dice,
        *,
        clock: Callable[[], float],
        ids: Callable[[], str],
        pending: int,
        generating: int,
        agents: frozenset[str] = frozenset(),
    ) -> None:
        self.store = store
        self.dice = dice
        self.counts = Counts()
        self.stopping = asyncio.Event()
        self._clock = clock
        self._ids = ids
        self._pending = pending
        self._generating = generating
        self._agents = agents

    def now(self) -> int:
        """Milliseconds since the epoch."""
        return int(self._clock() * 1_000)

    def routes(self) -> list[web.RouteDef]:
        """The routes under `/v1`, see Cargo's reference."""
        return [
            web.post(CHATS, self.create_chat),
            web.get("/v1/ai/chats/list", self.list_chats, allow_head=False),
            web.get("/v1/ai/chats/{uuid}", self.get_chat, allow_head=False),
            web.put("/v1/ai/chats/{uuid}", self.change_chat),
            web.delete("/v1/ai/chats/{uuid}", self.delete_chat),
            web.post("/v1/ai/messages", self.create_message),
            web.get("/v1/ai/messages/list", self.list_messages, allow_head=False),
            web.post("/v1/ai/messages/cancel", self.cancel_messages),
            web.get("/v1/ai/messages/{uuid}", self.get_message, allow_head=False),
            web.delete("/v1/ai/messages/{uuid}", self.delete_message),
        ]

    async def create_chat(self, request: web.Request) -> web.Response:
        raw = await request.read()
        if not self.dice.admits(self._clock()):
            return throttle(self.dice.faults)
        fault = self.dice.roll("chats")
        if fault in BEFORE:
            return await self._strike(fault, request)
        body = load(raw)
        new_chat = NEW_CHAT.validate_python(body)
        if self._agents and new_chat.agent_uuid is not None and new_chat.agent_uuid.lower() not in self._agents:
            return refuse(404, "Agent not found", "agentNotFound")
        chat = self._make(new_chat, body["trigger"], stamped=fault != "no_stamp")
        if fault is None or fault == "no_stamp":
            return answer(f'{{"chat": {show_chat(chat, self.now())}}}')
        if fault == "bad_uuid":
            return answer(f'{{"chat": {show_chat(chat, self.now(), uuid="not-a-uuid")}}}')
        return await self._strike(fault, request)

    async def get_chat(self, request: web.Request) -> web.Response:
        chat = self._named(request)
        if chat is None:
            return refuse(404, "Chat not found", "chatNotFound")
        return answer(f'{{"chat": {show_chat(chat, self.now())}}}')

    async def change_chat(self, request: web.Request) -> web.Response:
        """Give a chat another name; what else a body has is ignored, as Cargo documents none of it."""
        changes = ChatChanges.model_validate(load(await request.read()))
        chat = self._named(request)
        if chat is None:
            return refuse(404, "Chat not found", "chatNotFound")
        if "name" in changes.model_fields_set:
            chat.name = changes.name
        return answer(f'{{"chat": {show_chat(chat, self.now())}}}')

    async def delete_chat(self, request: web.Request) -> web.Response:
        chat = self._named(request)
        if chat is None:
            return refuse(404, "Chat not found", "chatNotFound")
        self.store.delete(chat)
        return answer("{}")

    async def list_chats(self, request: web.Request) -> web.Response:
        statuses = [*request.query.getall("messageStatuses", []), *request.query.getall("messageStatuses[]", [])]
        query = ChatQuery.model_validate(gather(request.query, statuses))
        if self.dice.fails_list():
            return refuse(self.dice.faults.status, "Something went wrong on our side", "internalError")
        now = self.now()
        page = self.store.page(query, now, int(self.dice.faults.list_lag * 1_000))
        return answer(f'{{"chats": [{", ".join(show_chat(chat, now) for chat in page)}]}}')

    async def create_message(self, request: web.Request) -> web.Response:
        raw = await request.read()
        fault = self.dice.roll("messages")
        if fault in BEFORE:
            return await self._strike(fault, request)
        body = load(raw)
        new_message = NEW_MESSAGE.validate_python(body)
        chat = self._chat_of(new_message)
        now = self.now()
        if chat is None:
            return refuse(404, "Chat not found", "chatNotFound")
        if chat.messages and not chat.messages[-1].is_finished(now):
            return refuse(409, "The last message in this chat has not finished yet", "lastMessageNotFinished")
        messages = self._say(chat, new_message, body["parts"], now)
        if fault is None or fault in ("no_stamp", "bad_uuid"):
            pair = zip(("userMessage", "assistantMessage"), messages, strict=True)
            return answer(json.dumps({name: show_message(message, now) for name, message in pair}))
        return await self._strike(fault, request)

    async def list_messages(self, request: web.Request) -> web.Response:
        query = MessageQuery.model_validate(dict(request.query))
        chat = self.store.chat(query.chat_uuid)
        if chat is None:
            return refuse(404, "Chat not found", "chatNotFound")
        now = self.now()
        return answer(json.dumps({"messages": [show_message(message, now) for message in chat.messages]}))

    async def get_message(self, request: web.Request) -> web.Response:
        message = self._said(request)
        if message is None:
            return refuse(404, "Message not found", "messageNotFound")
        return answer(json.dumps({"message": show_message(message, self.now())}))

    async def delete_message(self, request: web.Request) -> web.Response:
        message = self._said(request)
        if message is None:
            return refuse(404, "Message not found", "messageNotFound")
        self.store.unsay(message)
        return answer("{}")

    async def cancel_messages(self, request: web.Request) -> web.Response:
        """End messages that are not finished; none where one of them is not there."""
        uuids = ToCancel.model_validate(load(await request.read())).uuids
        messages = [message for uuid in uuids if (message := self.store.message(uuid)) is not None]
        if len(messages) < len(uuids):
            return refuse(404, "Message not found", "messageNotFound")
        for message in messages:
            message.cancel(self.now())
        return answer("{}")

    def _named(self, request: web.Request) -> StoredChat | None:
        """The chat that a path names."""
        return self.store.chat(request.match_info["uuid"].lower())

    def _said(self, request: web.Request) -> StoredMessage | None:
        """The message that a path names."""
        return self.store.message(request.match_info["uuid"].lower())

    async def _strike(self, fault: str, request: web.Request) -> web.Response:
        return await strike(fault, request, self.dice.faults, self.stopping)

    def _make(self, new_chat: NewChat, trigger: dict[str, Any], *, stamped: bool = True) -> StoredChat:
        meta = trigger.get("meta")
        stamp = meta.get("relay") if isinstance(meta, dict) else None
        if stamp and not stamped:
            trigger = {**trigger, "meta": {key: value for key, value in trigger["meta"].items() if key != "relay"}}
        chat = StoredChat(
            uuid=self._ids(),
            trace_uuid=self._ids(),
            name=new_chat.name,
            agent_uuid=new_chat.agent_uuid,
            release_uuid=new_chat.release_uuid,
            trigger_type=new_chat.trigger.type,
            trigger=to_json(trigger).decode(),
            dispatch=stamp.get("dispatch") if isinstance(stamp, dict) else None,
            created_at=self.now(),
        )
        self.store.add(chat)
        return chat

    def _chat_of(self, new_message: NewMessage) -> StoredChat | None:
        """The chat of a message. A message without a chat opens a new one, as in Cargo's app."""
        if new_message.chat_uuid is not None:
            return self.store.chat(new_message.chat_uuid)
        new_chat = {
            "trigger": {"type": "app"},
            "agentUuid": new_message.agent_uuid,
            "releaseUuid": new_message.release_uuid,
        }
        return self._make(NEW_CHAT.validate_python(new_chat), {"type": "app"})

    def _say(
        self, chat: StoredChat, new_message: NewMessage, parts: list[Any], now: int
    ) -> tuple[StoredMessage, StoredMessage]:
        agent = new_message.agent_uuid or chat.agent_uuid
        release = new_message.release_uuid or chat.release_uuid
        ready = now + self._pending
        done = ready + self._generating
        reply = [{"type": "text", "text": "This is the simulator's answer."}]
        user = StoredMessage(self._ids(), chat.uuid, "user", agent, release, parts, now, now, now)
        assistant = StoredMessage(self._ids(), chat.uuid, "assistant", agent, release, reply, now, ready, done)
        self.store.say(chat, (user, assistant))
        return user, assistant


def explain(error: ValidationError) -> str:
    """Describe the faults of a body or query in one line."""
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()[:10])
