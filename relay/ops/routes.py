"""The table of the API: what the router serves and `/openapi.json` says, made from the same rows."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from pydantic import BaseModel

from relay.ops import ask, wire
from relay.ops.api import Api
from relay.visible import visible_json

Answer = BaseModel | web.StreamResponse


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `gives` is None for the stream of results; `problems` are the statuses besides 400, 401, 403."""

    method: str
    path: str
    name: str
    handle: Callable[[Api, web.Request], Awaitable[Answer]]
    summary: str
    gives: type[BaseModel] | None
    query: type[BaseModel] = ask.Nothing
    body: type[BaseModel] | None = None
    problems: tuple[int, ...] = (503,)

    def serve(self, api: Api) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """The handler for aiohttp."""

        async def serve(request: web.Request) -> web.StreamResponse:
            answer = await self.handle(api, request)
            if isinstance(answer, web.StreamResponse):
                return answer
            return web.json_response(answer.model_dump(by_alias=True), dumps=dumps)

        return serve


def dumps(document: object) -> str:
    """JSON as the API writes it."""
    return visible_json(json.dumps(document, ensure_ascii=False, separators=(",", ":")))


ROUTES: Final = (
    Route("GET", "/api/events", "listEvents", Api.events, "Events, newest first", wire.EventPage, ask.EventsAsk),
    Route(
        "GET",
        "/api/events/{id}",
        "showEvent",
        Api.event,
        "All about the event with this id, or with this dispatch: timeline, attempts, request and answer",
        wire.EventDetail,
        problems=(404, 503),
    ),
    Route(
        "POST",
        "/api/events/{id}/replay",
        "replayEvent",
        Api.replay,
        "Match an event with today's rules",
        wire.Replayed,
        body=ask.ReplayAsk,
        problems=(404, 409, 503),
    ),
    Route(
        "POST",
        "/api/dispatches/{id}/retry",
        "retryDispatch",
        Api.retry,
        "Start the next run of a dispatch that ended without a chat, or is parked",
        wire.Started,
        body=ask.RetryAsk,
        problems=(404, 409, 503),
    ),
    Route(
        "POST",
        "/api/dispatches/{id}/cancel",
        "cancelDispatch",
        Api.cancel,
        "End a dispatch; one whose outcome is open ends as soon as it is known to have no chat",
        wire.Started,
        problems=(404, 409, 503),
    ),
    Route(
        "GET",
        "/api/results",
        "followResults",
        Api.results,
        "Results as server-sent events; `id:` is the cursor, `Last-Event-ID` resumes",
        None,
        ask.ResultsAsk,
    ),
    Route(
        "POST",
        "/api/try",
        "tryEvent",
        Api.attempt,
        "What the rules would make of a delivery, or of a kept event; nothing is kept or sent",
        wire.Trial,
        body=ask.TryAsk,
        problems=(404, 503),
    ),
    Route("GET", "/api/sources", "listSources", Api.sources, "The configured sources", wire.Sources),
    Route(
        "POST",
        "/api/sources/{name}/pause",
        "pauseSource",
        Api.pause,
        "Stop taking events from a source, on all replicas and over restarts",
        wire.SourceState,
        problems=(404, 503),
    ),
    Route(
        "POST",
        "/api/sources/{name}/resume",
        "resumeSource",
        Api.resume,
        "Take events from a source again",
        wire.SourceState,
        problems=(404, 503),
    ),
    Route(
        "POST",
        "/api/sources/{name}/readmit",
        "readmitRequests",
        Api.readmit,
        "Judge the refused requests of a source that are kept again, and take in what is right now",
        wire.Readmission,
        ask.ReadmitAsk,
        problems=(404, 409, 503),
    ),
    Route(
        "POST",
        "/api/sources/{name}/forget",
        "forgetSecret",
        Api.forget,
        "Forget the secret that a handshake brought, so that the next one is taken",
        wire.Forgotten,
        problems=(404, 503),
    ),
    Route(
        "GET",
        "/api/sources/{name}/secret",
        "showSecret",
        Api.secret,
        "The secret that a handshake brought, for vendors that want it pasted back",
        wire.LearnedSecret,
        problems=(404, 503),
    ),
    Route("GET", "/api/rules", "listRules", Api.rules, "The rules, in the order in which they are tried", wire.Rules),
    Route(
        "GET",
        "/api/rejected",
        "listRejected",
        Api.rejected,
        "Refused requests, newest first",
        wire.Rejections,
        ask.RejectedAsk,
    ),
)
