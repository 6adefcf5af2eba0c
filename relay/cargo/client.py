"""Calls to Cargo's API (https://docs.getcargo.ai/api-reference). Nothing is retried here."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Final, Self, TypeVar

from relay.cargo.exchange import CargoHttp
from relay.cargo.settings import CargoSettings, check_base, check_token
from relay.cargo.wire import read_chat, read_messages, read_page, read_said
from relay.model import Chat, Message, Page
from relay.proxy import Proxy
from relay.secret import Secret
from relay.units import iso

_MOST: Final = 1 << 20
_MOST_LISTED: Final = 8 << 20
_PAGE: Final = 100
_Read = TypeVar("_Read")


def _unobserved(_: str, __: float) -> None:
    """Ignore the outcome."""


class Cargo:
    """Implements `relay.ports.Chats`. Use it with `async with`, which opens and closes the connections.

    `base_url` ends in `/v1`. `timeout` limits a whole call, in seconds; `connections` limits the open connections;
    `version` is sent in the User-Agent. `ca_file` is trusted in addition to the system's certificates. `cert_file` and
    `key_file` are presented to a server or proxy that requests a client certificate. `observe` receives the outcome of
    each call (`ok`, `retryable`, `denied`, `permanent`, `unknown`) and its duration in seconds. `clock` returns seconds
    since the epoch. Raises Misconfigured for settings that can never work; for the files only on `async with`.
    """

    def __init__(
        self,
        base_url: str,
        token: Secret,
        *,
        timeout: float,
        connections: int,
        version: str = "0",
        workspace_uuid: str | None = None,
        ca_file: str | None = None,
        proxy: Proxy | None = None,
        cert_file: str | None = None,
        key_file: str | None = None,
        observe: Callable[[str, float], None] = _unobserved,
        clock: Callable[[], float] = time.time,
    ) -> None:
        settings = CargoSettings(
            base=check_base(base_url),
            token=check_token(token),
            timeout=timeout,
            connections=connections,
            version=version,
            workspace_uuid=workspace_uuid,
            ca_file=ca_file,
            proxy=proxy,
            cert_file=cert_file,
            key_file=key_file,
        )
        self._clock = clock
        self._settings = settings
        self._exchange = CargoHttp(settings, observe, clock)

    def use(self, token: Secret, workspace_uuid: str | None) -> None:
        """Call with another token, or another workspace, from the next call on. Raises Misconfigured."""
        self._settings = replace(self._settings, token=check_token(token), workspace_uuid=workspace_uuid)
        self._exchange.use(self._settings)

    async def __aenter__(self) -> Self:
        await self._exchange.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._exchange.__aexit__(*exc)

    async def create(self, body: bytes) -> Chat:
        """`POST /ai/chats`."""
        return await self._exchange.call("POST", "ai/chats", self._read_chat, body=body, most=_MOST)

    async def say(self, chat_uuid: str, text: str, agent_uuid: str | None) -> str:
        """`POST /ai/messages`."""
        message: dict[str, object] = {"chatUuid": chat_uuid, "parts": [{"type": "text", "text": text}]}
        if agent_uuid is not None:
            message["agentUuid"] = agent_uuid
        body = json.dumps(message).encode()
        return await self._exchange.call("POST", "ai/messages", read_said, body=body, most=_MOST)

    async def chats(self, trigger_type: str, after: int, before: int, offset: int) -> Page:
        """`GET /ai/chats/list`."""
        return await self._list(
            {
                "triggerType": trigger_type,
                "createdAfter": iso(after),
                "createdBefore": iso(before),
                "limit": str(_PAGE),
                "offset": str(offset),
            }
        )

    async def messages(self, chat_uuid: str) -> list[Message]:
        """`GET /ai/messages/list`."""
        query = {"chatUuid": chat_uuid}
        return await self._exchange.call("GET", "ai/messages/list", read_messages, query=query, most=_MOST_LISTED)

    async def probe(self) -> None:
        """`GET /ai/chats/list?limit=1`."""
        await self._list({"limit": "1"})

    def skew(self) -> float | None:
        """By how many seconds this machine's clock is before that of the latest answer, None when it had no time."""
        if self._exchange.dated is None:
            return None
        date, came_at = self._exchange.dated
        try:
            return came_at - parsedate_to_datetime(date).timestamp()
        except ValueError:
            return None

    async def look(self, path: str, read: Callable[[bytes], _Read]) -> _Read:
        """`GET` of what exists in the workspace, as one of the functions of `relay.cargo.inventory` reads it."""
        return await self._exchange.call("GET", path, read, most=_MOST_LISTED)

    async def _list(self, query: dict[str, str]) -> Page:
        return await self._exchange.call("GET", "ai/chats/list", self._read_page, query=query, most=_MOST_LISTED)

    def _read_chat(self, raw: bytes) -> Chat:
        return read_chat(raw, self._now())

    def _read_page(self, raw: bytes) -> Page:
        return read_page(raw, self._now())

    def _now(self) -> int:
        return int(self._clock() * 1_000)
