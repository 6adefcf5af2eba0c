"""What became of it? One event, with everything that belongs to it."""

from base64 import b64decode
from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from aiohttp import web

from relay.ops.console.outcome import is_under_way, may_do, tell_dispatch, tell_event
from relay.ops.console.page import Console, Values
from relay.ops.console.payload import ShownPayload, find_used, show_json, show_text
from relay.ops.trial import Explained
from relay.ops.wire import DispatchDetail, EventDetail, Step
from relay.units import parse_iso, show

_SANDBOX = {"Content-Security-Policy": "default-src 'none'; sandbox"}


async def show_event(console: Console, request: web.Request) -> Values:
    """The page of an event, by its id or the id of one of its dispatches."""
    event, explained = await console.api.event_explained(request)
    return _became(console, event) | {"explained": explained, "body": _show_body(event, explained)}


async def show_became(console: Console, request: web.Request) -> Values | web.Response:
    """What became of it alone, for a page that follows it; 204 while that is what the page has `seen`.

    Why rules want it does not change, and takes long. A page that is replaced loses what is read in it.
    """
    event = await console.api.event(request)
    values = _became(console, event)
    return web.Response(status=204) if request.query.get("seen") == values["seen"] else values


def _became(console: Console, event: EventDetail) -> dict[str, Any]:
    changing = repr((event.dispatches, event.attempts, event.timeline))
    return {
        "event": event,
        "outcome": tell_event(event.status, event.received_at, event.dispatches),
        "under_way": is_under_way(event.dispatches),
        "steps": _time(event.timeline),
        "dispatches": [_present(console, event, dispatch) for dispatch in event.dispatches],
        "place": f"/events/{quote(event.id, safe='')}",
        "seen": blake2b(changing.encode(), digest_size=8).hexdigest(),
    }


async def show_raw(console: Console, request: web.Request) -> web.Response:
    """The whole body as it came; masked JSON for whom something of it is hidden."""
    event = await console.api.event(request)
    if event.raw_base64 is not None:
        return web.Response(body=b64decode(event.raw_base64), content_type="application/octet-stream", headers=_SANDBOX)
    if event.raw is not None:
        return web.Response(text=event.raw, content_type="text/plain", headers=_SANDBOX)
    return web.json_response(event.data, headers=_SANDBOX)


async def show_request(console: Console, request: web.Request) -> web.Response:
    """The whole body that a dispatch sends to Cargo."""
    return web.json_response((await console.api.dispatch(request)).request, headers=_SANDBOX)


def _time(timeline: Sequence[Step]) -> list[tuple[Step, str, str]]:
    """Each step with the time since the step before it, and since the event came."""
    if not timeline:
        return []
    start = parse_iso(timeline[0].at)
    spans = [show(max(0, parse_iso(after.at) - parse_iso(before.at))) for before, after in pairwise(timeline)]
    return [
        (step, span, show(max(0, parse_iso(step.at) - start)))
        for step, span in zip(timeline, ("", *spans), strict=True)
    ]


def _present(console: Console, event: EventDetail, dispatch: DispatchDetail) -> dict[str, Any]:
    """A dispatch with its outcome, its request, its attempts and what may be done with it."""
    return {
        "it": dispatch,
        "outcome": tell_dispatch(dispatch),
        "may": may_do(dispatch),
        "request": None if dispatch.request is None else show_json(dispatch.request),
        "attempts": [attempt for attempt in event.attempts if attempt.dispatch_id == dispatch.id],
        "agent_at": console.agent_at(dispatch.agent_uuid),
    }


def _show_body(event: EventDetail, explained: Explained) -> ShownPayload:
    """The payload, with the values marked that the rules looked at or wrote into a chat."""
    if event.data is not None:
        named = {path for rule in explained.rules for each in rule.conditions for path in each.values}
        texts = [dispatch.rule_version.text for dispatch in event.dispatches if dispatch.rule_version]
        return show_json(event.data, find_used(event.data, named, texts))
    return show_text(event.raw if event.raw is not None else event.raw_base64 or "")
