"""A Cargo in memory that takes 0.3 s for a chat and carries stamps back."""

import asyncio
import json
from collections import Counter
from itertools import count

from relay.model import Chat, Message, Page


class Cargo:
    """`made` counts the chats by dispatch, `said` the user messages by chat."""

    def __init__(self, clock, takes=0.3):
        self.made = Counter()
        self.said = Counter()
        self._clock = clock
        self._takes = takes
        self._chats = []
        self._numbers = count(1)

    async def create(self, body):
        asked = json.loads(body)
        await asyncio.sleep(self._takes)
        stamp = asked["trigger"]["meta"]["relay"]
        chat = Chat(
            f"chat-{next(self._numbers)}",
            self._clock(),
            name=asked.get("name"),
            trigger_type="connector",
            stamp=(stamp["dispatch"], stamp["run"]),
        )
        self._chats.append(chat)
        self.made[stamp["dispatch"]] += 1
        return chat

    async def say(self, chat_uuid, text, agent_uuid):
        await asyncio.sleep(self._takes)
        self.said[chat_uuid] += 1
        return f"message-{next(self._numbers)}"

    async def chats(self, trigger_type, after, before, offset):
        await asyncio.sleep(0.05)
        rows = [chat for chat in self._chats if after <= chat.created_at <= before][offset : offset + 20]
        return Page(tuple(rows), len(rows))

    async def messages(self, chat_uuid):
        return [Message(f"m-{number}", "user", "success") for number in range(self.said[chat_uuid])]

    async def probe(self):
        await asyncio.sleep(0.05)
