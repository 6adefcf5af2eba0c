"""A Cargo that may do what it was asked for and lose the answer, do it late, or show it late.

Never later than `settle` after the connection ended: that much the relay takes for granted. Its clock may be wrong.
"""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from itertools import count

from relay.dispatch import Policy
from relay.errors import Denied, Permanent, Retryable, Unknown
from relay.model import Chat, Message, Page

POLICY = Policy(timeout=30_000, first=1_000, cap=60_000, give_up_after=600_000, settle=60_000, random=lambda: 0.5)
PAGE = 2
REFUSALS = {
    "denied": Denied("no", status=401),
    "retryable": Retryable("busy", status=429),
    "permanent": Permanent("no", status=422),
    "unfinished": Permanent("wait", status=409, code="lastMessageNotFinished"),
}


@dataclass(eq=False)
class Call:
    """A creation, or a message in `chat`, on its way until `until`.

    `made` is what Cargo has made of it, a Chat or the message's uuid; `answer` what the caller gets, unless it is dead.
    """

    process: object
    task: "asyncio.Task[None]"
    answer: "asyncio.Future[object]"
    until: int
    body: dict = field(default_factory=dict)
    chat: str | None = None
    made: object = None


class Cargo:
    """Chats and messages as they are, and calls that wait until somebody answers them. `skew` is its clock's error."""

    def __init__(self, clock):
        self.clock = clock
        self.skew = 0
        self.chats = {}
        self.seen_from = {}
        self.made_for = Counter()
        self.said_in = {}
        self.asked_after = Counter()
        self.calls = []
        self.bell = asyncio.Event()
        self.list_fails = False
        self.denies = False
        self.numbers = count(1)

    async def wait(self, process, **rest):
        """What becomes of a new call of this process."""
        answer = asyncio.get_running_loop().create_future()
        call = Call(process, asyncio.current_task(), answer, self.clock() + POLICY.timeout, **rest)
        self.calls.append(call)
        self.bell.set()
        return await answer

    def do(self, call, late):
        """What is asked for comes to be, and is shown, `late` ms from now: once, and only while it is under way."""
        if call.made is None and self.clock() <= call.until:
            at = self.clock() + late
            call.made = self._make(call.body, at) if call.chat is None else self._say(call.chat, at)

    def _make(self, body, at):
        trigger = body["trigger"]
        stamp = None if body["kind"] == "bare" else trigger.get("meta", {}).get("relay")
        chat = Chat(
            uuid=f"chat-{next(self.numbers)}",
            created_at=at + self.skew,
            name=body.get("name") or "A name that Cargo gave",
            agent_uuid="agent-1",
            trigger_type=trigger["type"],
            stamp=stamp and (stamp["dispatch"], stamp["run"]),
        )
        self.chats[chat.uuid] = chat
        self.seen_from[chat.uuid] = at
        self.made_for[body["for"]] += 1
        return chat

    def _say(self, chat_uuid, at):
        message = f"message-{next(self.numbers)}"
        self.said_in.setdefault(chat_uuid, {})[message] = at
        return message

    def judge(self, call, how, late):
        """What the caller is told. `how` is `success`, `lost` or a refusal; what was lost is done `late` ms from now,
        or, with None, never."""
        if how == "success" or (how == "lost" and late is not None):
            self.do(call, 0 if how == "success" else late)
        if call.made is None and how in REFUSALS:
            return REFUSALS[how]
        return call.made if how == "success" and call.made else Unknown("cut off")

    def page(self, trigger_type, after, before, offset):
        if self.list_fails:
            raise Unknown("the list is away")
        shown = [
            chat
            for chat in self.chats.values()
            if chat.trigger_type == trigger_type
            and after <= chat.created_at <= before
            and self.seen_from[chat.uuid] <= self.clock()
        ]
        rows = shown[offset : offset + PAGE]
        return Page(tuple(rows), len(rows))

    def messages(self, chat_uuid):
        """Those that are shown by now; `asked_after` counts the looks by whether there was one."""
        if self.list_fails:
            raise Unknown("the list is away")
        said = self.said_in.get(chat_uuid, {})
        shown = [Message(uuid, "user", "success") for uuid, at in said.items() if at <= self.clock()]
        self.asked_after[bool(shown)] += 1
        return shown


@dataclass(eq=False)
class Connection:
    """Cargo as one relay reaches it (the port Chats)."""

    process: object
    cargo: Cargo

    async def create(self, body):
        return await self.cargo.wait(self.process, body=json.loads(body))

    async def say(self, chat_uuid, text, agent_uuid):
        return await self.cargo.wait(self.process, chat=chat_uuid)

    async def chats(self, trigger_type, after, before, offset):
        return self.cargo.page(trigger_type, after, before, offset)

    async def messages(self, chat_uuid):
        return self.cargo.messages(chat_uuid)

    async def probe(self):
        if self.cargo.denies:
            raise REFUSALS["denied"]
