"""Signing in with a token, and out again."""

import re
from contextlib import suppress
from typing import Final

from aiohttp import web

from relay.errors import Unavailable
from relay.ops.access import find_holder
from relay.ops.console.page import Console
from relay.ops.console.render import go, render
from relay.ops.guard import COOKIE, caller_of, session_of
from relay.ops.session import LIFETIME, write_session
from relay.ops.site import is_https

_PLACE: Final = re.compile(r"/(?![/\\])[\x21-\x7e]*")
"""A page of ours. Browsers read `//host` and `/\\host` as another site."""


class SignIn:
    """`/signin` and `/signout`."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def show(self, request: web.Request) -> web.Response:
        """The form; whoever has signed in goes on."""
        place = _place(request.query.get("next"))
        if caller_of(request) is not None:
            return go(place)
        return await render(request, "signin.html", {"next": place, "fault": ""})

    async def sign_in(self, request: web.Request) -> web.Response:
        """Compare the token that was sent, and begin a session. A wrong one is held up, and is an act."""
        form = await request.post()
        place = _place(str(form.get("next", "/")))
        holders = self._console.holders()
        holder = find_holder(holders, str(form.get("token", "")).strip())
        if holder is None and holders:  # also of a session, which would else guess the tokens of others
            if await self._console.guesses.hold_up(request):
                await self._console.operations.note_refused_sign_in(request.remote or "unknown")
            return await render(
                request, "signin.html", {"next": place, "fault": "This token is not known."}, status=401
            )
        await self._leave(request)
        response = go(place)
        if holder is not None:
            cookie = write_session(holder, self._console.clock())
            self._console.sessions.begin(cookie)
            response.set_cookie(
                COOKIE,
                cookie,
                max_age=LIFETIME // 1_000,
                path="/",
                httponly=True,
                samesite="Strict",
                secure=is_https(request),
            )
        return response

    async def sign_out(self, request: web.Request) -> web.Response:
        """End the session, wherever a copy of its cookie is, and take the cookie from this browser.

        Raises `Unavailable` while the ledger is away: then the cookie stays too, so that one can try again.
        """
        if (session := session_of(request)) is not None:
            await self._console.sessions.end(session)
        response = go("/signin", "You are signed out.")
        response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict", secure=is_https(request))
        return response

    async def _leave(self, request: web.Request) -> None:
        """End the session that the next one takes the place of. Nobody is kept from signing in by that."""
        if (session := session_of(request)) is not None:
            with suppress(Unavailable):
                await self._console.sessions.end(session)


def _place(given: str | None) -> str:
    return given if given is not None and _PLACE.fullmatch(given) else "/"
