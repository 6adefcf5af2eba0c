"""The simulator's own paths: faults, chats and statistics."""

from aiohttp import web

from relay.sandbox.api import SandboxApi
from relay.sandbox.faults import WIRE, Faults
from relay.sandbox.render import answer, show_made


class Controls:
    """The handlers of `/_faults`, `/_chats` and `/_stats`. They need no token."""

    def __init__(self, api: SandboxApi) -> None:
        self._api = api

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_faults", self.show_faults),
            web.put("/_faults", self.put_faults),
            web.delete("/_faults", self.reset_faults),
            web.get("/_chats", self.show_chats),
            web.delete("/_chats", self.forget_chats),
            web.get("/_stats", self.show_stats),
        ]

    async def show_faults(self, _: web.Request) -> web.Response:
        return answer(WIRE.dump_json(self._api.dice.faults).decode())

    async def put_faults(self, request: web.Request) -> web.Response:
        """Replace all faults. Faults that are left out get their defaults."""
        faults = WIRE.validate_json(await request.read())
        self._api.dice.load(faults)
        return await self.show_faults(request)

    async def reset_faults(self, request: web.Request) -> web.Response:
        self._api.dice.load(Faults())
        return await self.show_faults(request)

    async def show_chats(self, request: web.Request) -> web.Response:
        """All chats, oldest first; with `?dispatch=` only those with this stamp."""
        now = self._api.now()
        chats = self._api.store.made(request.query.get("dispatch"))
        return answer(f'{{"chats": [{", ".join(show_made(chat, now) for chat in chats)}]}}')

    async def forget_chats(self, _: web.Request) -> web.Response:
        """Delete all chats and reset the counts."""
        self._api.store.forget()
        self._api.counts.reset()
        self._api.dice.struck.clear()
        return web.Response(status=204)

    async def show_stats(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "created": self._api.store.created,
                "requests": dict(self._api.counts.requests),
                "struck": dict(self._api.dice.struck),
                "max_starts_per_second": self._api.counts.busiest,
            }
        )
