"""Errors as `application/problem+json` (RFC 9457), which say what happened and what to do."""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Middleware

from relay.errors import Conflict, NotFound, Overloaded, Refused, RelayError, Retryable, Unavailable
from relay.visible import visible_json

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_TITLES: Final = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    409: "Not possible in this state",
    413: "Too large",
    422: "Has faults",
    503: "Not available now",
}
_STATUSES: Final[tuple[tuple[type[RelayError], int], ...]] = (
    (NotFound, 404),
    (Conflict, 409),
    (Refused, 400),
    (Overloaded, 503),
    (Unavailable, 503),
    (Retryable, 503),
)
_RETRY_AFTER: Final = {"Retry-After": "5"}


class BadRequest(RelayError):
    """The request is malformed."""


class NotAllowed(RelayError):
    """Who asks may not do this."""


class FaultyInput(RelayError):
    """What was sent has faults. `faults` are JSON values (`relay.ops.wire.FaultyKey`)."""

    def __init__(self, message: str, faults: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(message)
        self.faults = list(faults)


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> web.Response:
    """An error response. `detail` is for a person; `more` are members of this kind of error."""
    document = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
        **more,
    }
    return web.Response(
        text=visible_json(json.dumps(document, ensure_ascii=False)),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a request is not answered: its status, and what happened for a person. `more` is of this kind of error."""

    status: int
    detail: str
    headers: Mapping[str, str] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The kind of trouble in some words."""
        return _TITLES.get(self.status, "Error")


def explain(request: web.Request, error: Exception) -> Trouble | None:
    """What one of Relay's errors or aiohttp's HTTP exceptions means, None for any other."""
    if isinstance(error, BadRequest):
        return Trouble(400, str(error))
    if isinstance(error, NotAllowed):
        return Trouble(403, str(error))
    if isinstance(error, FaultyInput):
        return Trouble(422, str(error), more={"faults": error.faults})
    if isinstance(error, web.HTTPMethodNotAllowed):
        allowed = ", ".join(sorted(error.allowed_methods))
        return Trouble(405, f"{request.path} does not allow {request.method}; use {allowed}", {"Allow": allowed})
    if isinstance(error, web.HTTPNotFound):
        return Trouble(404, f"there is nothing at {request.path}; /openapi.json lists all paths")
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return Trouble(413, str(error.text))
    status = next((status for kind, status in _STATUSES if isinstance(error, kind)), None)
    return None if status is None else Trouble(status, str(error), _RETRY_AFTER if status == 503 else None)


def make_problems(show: Callable[[web.Request, Trouble], Awaitable[web.Response | None]]) -> Middleware:
    """A middleware that answers with what `show` makes of trouble, else with a problem response."""

    @web.middleware
    async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except (RelayError, web.HTTPException) as error:
            trouble = explain(request, error)
            if trouble is None:
                raise
            shown = await show(request, trouble)
            return shown or problem(trouble.status, trouble.detail, trouble.headers, **trouble.more)

    return problems
