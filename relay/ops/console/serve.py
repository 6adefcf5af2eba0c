"""Puts the console into the application of the ops listener."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from relay.ops.access import Role
from relay.ops.console.assets import read_assets
from relay.ops.console.live import Live
from relay.ops.console.page import Console, ConsolePage, Form, PageAct, Values
from relay.ops.console.pages import ACTS, PAGES
from relay.ops.console.render import go, render, set_up
from relay.ops.console.signin import SignIn
from relay.ops.guard import SIGN_IN, STATIC, require_role
from relay.ops.problem import Trouble
from relay.ops.site import is_data

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_FORMS: Final = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


def add_console(app: web.Application, console: Console) -> None:
    """Add all pages, acts and files."""
    assets = read_assets()
    set_up(app, console, assets, PAGES)
    app.router.add_get(STATIC + "{name:.+}", assets.serve)
    sign = SignIn(console)
    app.router.add_get(SIGN_IN, sign.show)
    app.router.add_post(SIGN_IN, sign.sign_in)
    app.router.add_post("/signout", sign.sign_out)
    live = Live(console.api)
    app.on_shutdown.append(live.close)
    app.router.add_get("/events/live", live.send)  # before the page of an event
    for page in PAGES:
        app.router.add_get(page.path, _show(console, page))
        if page.answer is not None:
            app.router.add_post(page.path, _answer(console, page.template, page.answer))
    for act in ACTS:
        app.router.add_get(act.path, _ask(console, act))
        app.router.add_post(act.path, _do(console, act))


async def show_trouble(request: web.Request, trouble: Trouble) -> web.Response | None:
    """Trouble as a page for whoever looks at pages, None for programs."""
    if is_data(request) or "text/html" not in request.headers.get("Accept", ""):
        return None
    response = await render(request, "trouble.html", {"trouble": trouble}, status=trouble.status)
    response.headers.update(trouble.headers or {})
    return response


def _show(console: Console, page: ConsolePage) -> Handler:
    async def show(request: web.Request) -> web.StreamResponse:
        if "" in request.query.values():  # a form sends its empty fields too; an address has those that say something
            return go(str(request.rel_url.with_query([pair for pair in request.query.items() if pair[1]])))
        shown = await page.show(console, request)
        return shown if isinstance(shown, web.StreamResponse) else await render(request, page.template, shown)

    return show


def _answer(console: Console, template: str, answer: Callable[..., Awaitable[Values]]) -> Handler:
    async def post(request: web.Request) -> web.StreamResponse:
        return await render(request, template, await answer(console, request, await _fields(request)))

    return post


def _ask(console: Console, act: PageAct) -> Handler:
    async def ask(request: web.Request) -> web.StreamResponse:
        require_role(request, Role.OPERATE)
        return await render(request, "confirm.html", {"question": await act.ask(console, request)})

    return ask


def _do(console: Console, act: PageAct) -> Handler:
    async def do(request: web.Request) -> web.StreamResponse:
        require_role(request, Role.OPERATE)
        done = await act.do(console, request, await _fields(request))
        return go(done.place, done.notice)

    return do


async def _fields(request: web.Request) -> Form:
    """The fields of the form that was sent."""
    fields = await request.post() if request.content_type in _FORMS else {}
    return {name: str(value) for name, value in fields.items()}
