"""The simulator's own paths: its faults, what it made, what it counted."""

from aiohttp import web

from relay.sandbox.api import SandboxApi
from relay.sandbox.faults import WIRE, Faults
from relay.sandbox.render import answer, show_made


class Controls:
    """Handlers of `/_faults`, `/_chats` and `/_stats`; they need no token."""

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
        """Put these faults in force in place of all others; what is left out is at its default."""
        faults = WIRE.validate_json(await request.read())
        self._api.dice.load(faults)
        return await self.show_faults(request)

    async def reset_faults(self, request: web.Request) -> web.Response:
        self._api.dice.load(Faults())
        return await self.show_faults(request)

    async def show_chats(self, request: web.Request) -> web.Response:
        """Every chat, oldest first; `?dispatch=` only those with this stamp."""
        now = self._api.now()
        made = self._api.store.made(request.query.get("dispatch"))
        return answer(f'{{"chats": [{", ".join(show_made(chat, now) for chat in made)}]}}')

    async def forget_chats(self, _: web.Request) -> web.Response:
        """Forget the chats and the counts."""
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
