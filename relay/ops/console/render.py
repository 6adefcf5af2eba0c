"""Renders templates as pages, under a policy that lets a browser load our own files and nothing else."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, unquote

import aiohttp_jinja2
from aiohttp import web
from jinja2 import PackageLoader, StrictUndefined, Template, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from relay.ops.access import Role
from relay.ops.console.assets import Assets
from relay.ops.console.page import Console, ConsolePage
from relay.ops.console.standing import stand
from relay.ops.console.text import (
    clock_time,
    finalize,
    form_value,
    json_text,
    make_ago,
    moment,
    number,
    text,
    took,
    whole_text,
    with_query,
    words,
)
from relay.ops.guard import caller_of, csrf_of
from relay.units import show

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_NOTICE: Final = "relay-notice"
_SLICE: Final = 0.001
"""Seconds of rendering at a time: a list takes some 5 ms, for which no sender's answer should wait."""
_CONSOLE: Final = web.AppKey("console", Console)
_PAGES: Final = web.AppKey("pages", tuple[ConsolePage, ...])


def set_up(app: web.Application, console: Console, assets: Assets, pages: tuple[ConsolePage, ...]) -> None:
    """Give the application its templates."""
    app[_CONSOLE], app[_PAGES] = console, pages
    environment = aiohttp_jinja2.setup(
        app,
        loader=PackageLoader("relay.ops.console", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        default_helpers=False,
    )
    environment.filters.update(
        text=text,
        form_value=form_value,
        moment=moment,
        clock_time=clock_time,
        ago=_ago,
        number=number,
        words=words,
        span=show,
        whole_text=whole_text,
        tojson_text=json_text,
    )
    environment.globals.update(
        static=assets.address, has_static=assets.has, version=console.version, with_query=with_query, took=took
    )


async def render(request: web.Request, template: str, values: Mapping[str, Any], status: int = 200) -> web.Response:
    """A page. A notice that waits for the next page is on it."""
    console = request.app[_CONSOLE]
    caller = caller_of(request)
    parts = () if caller is None else console.api.parts(request, console.status)
    values = {
        "path": request.path,
        "pages": request.app[_PAGES],
        "caller": caller,
        "may_operate": caller is not None and caller.role >= Role.OPERATE,
        "csrf": csrf_of(request),
        "notice": unquote(request.cookies.get(_NOTICE, "")),
        "now": console.clock(),
        "standing": stand(console.status, console.watch.last, parts),
        **values,
    }
    page = await _write(aiohttp_jinja2.get_env(request.app).get_template(template), values)
    response = web.Response(text=page, content_type="text/html", status=status)
    response.headers["Content-Security-Policy"] = POLICY
    if values["notice"]:
        response.del_cookie(_NOTICE, path="/")
    return response


async def _write(template: Template, values: Mapping[str, Any]) -> str:
    """The text of a page, made piece by piece between what else the event loop has to do."""
    pieces = []
    until = time.perf_counter() + _SLICE
    for piece in template.generate(values):
        pieces.append(piece)
        if time.perf_counter() > until:
            await asyncio.sleep(0)
            until = time.perf_counter() + _SLICE
    return "".join(pieces)


def go(place: str, notice: str = "") -> web.Response:
    """Sends the browser on to another page, which shows `notice`."""
    response = web.Response(status=303, headers={"Location": place})
    if notice:
        response.set_cookie(_NOTICE, quote(notice[:1_000]), max_age=60, httponly=True, samesite="Strict", path="/")
    return response


@pass_context
def _ago(context: Context, value: str | int | None) -> Markup:
    return make_ago(context["now"], value)
