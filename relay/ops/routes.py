"""The table of the API: what the router serves and `/openapi.json` says, made from the same rows."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web
from pydantic import BaseModel

from relay.ops import ask, wire
from relay.ops.api import Api

Answer = BaseModel | web.StreamResponse


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `gives` is None for the stream of results; `problems` are the statuses besides 400, 401, 403."""

    method: str
    path: str
    name: str
    handle: Callable[[web.Request], Awaitable[Answer]]
    summary: str
    gives: type[BaseModel] | None
    query: type[BaseModel] = ask.Nothing
    body: type[BaseModel] | None = None
    problems: tuple[int, ...] = (503,)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """The handler for aiohttp."""
        answer = await self.handle(request)
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.json_response(answer.model_dump(by_alias=True), dumps=dumps)


def dumps(document: object) -> str:
    """JSON as the API writes it."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def list_routes(api: Api) -> list[Route]:
    """Every operation under `/api`."""
    return [
        Route("GET", "/api/events", "listEvents", api.events, "Events, newest first", wire.EventPage, ask.EventsAsk),
        Route(
            "GET",
            "/api/events/{id}",
            "showEvent",
            api.event,
            "All about the event with this id, or with this dispatch: timeline, attempts, request and answer",
            wire.EventDetail,
            problems=(404, 503),
        ),
        Route(
            "POST",
            "/api/events/{id}/replay",
            "replayEvent",
            api.replay,
            "Match an event with today's rules",
            wire.Replayed,
            body=ask.ReplayAsk,
            problems=(404, 409, 503),
        ),
        Route(
            "POST",
            "/api/dispatches/{id}/retry",
            "retryDispatch",
            api.retry,
            "Start the next run of a dispatch that ended without a chat, or is parked",
            wire.Started,
            problems=(404, 409, 503),
        ),
        Route(
            "POST",
            "/api/dispatches/{id}/cancel",
            "cancelDispatch",
            api.cancel,
            "End a dispatch; one whose outcome is open ends as soon as it is known to have no chat",
            wire.Started,
            problems=(404, 409, 503),
        ),
        Route(
            "GET",
            "/api/results",
            "followResults",
            api.results,
            "Results as server-sent events; `id:` is the cursor, `Last-Event-ID` resumes",
            None,
            ask.ResultsAsk,
        ),
        Route(
            "POST",
            "/api/try",
            "tryEvent",
            api.attempt,
            "What the rules would make of a delivery; nothing is kept or sent",
            wire.Trial,
            body=ask.TryAsk,
            problems=(404, 503),
        ),
        Route("GET", "/api/sources", "listSources", api.sources, "The configured sources", wire.Sources),
        Route(
            "POST",
            "/api/sources/{name}/pause",
            "pauseSource",
            api.pause,
            "Stop taking events from a source, on all replicas and over restarts",
            wire.SourceState,
            problems=(404, 503),
        ),
        Route(
            "POST",
            "/api/sources/{name}/resume",
            "resumeSource",
            api.resume,
            "Take events from a source again",
            wire.SourceState,
            problems=(404, 503),
        ),
        Route(
            "GET", "/api/rules", "listRules", api.rules, "The rules, in the order in which they are tried", wire.Rules
        ),
        Route(
            "GET",
            "/api/rejected",
            "listRejected",
            api.rejected,
            "Refused requests, newest first",
            wire.Rejections,
            ask.RejectedAsk,
        ),
    ]
