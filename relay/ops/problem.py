"""Errors as `application/problem+json` (RFC 9457): what happened and what to do."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from relay.errors import Conflict, NotFound, Overloaded, Refused, RelayError, Unavailable
from relay.visible import visible_json

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_TITLES: Final = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed from here",
    404: "Not found",
    405: "Method not allowed",
    409: "Not possible in this state",
    413: "Too large",
    503: "Not available now",
}
_STATUSES: Final[tuple[tuple[type[RelayError], int], ...]] = (
    (NotFound, 404),
    (Conflict, 409),
    (Refused, 400),
    (Overloaded, 503),
    (Unavailable, 503),
)
_RETRY_AFTER: Final = {"Retry-After": "5"}


class BadRequest(RelayError):
    """The request cannot be understood."""


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error answer. `detail` is for a person."""
    document = {
        "type": "about:blank",
        "title": _TITLES.get(status, "Error"),
        "status": status,
        "detail": detail,
    }
    return web.Response(
        text=visible_json(json.dumps(document, ensure_ascii=False)),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn the errors of the house and aiohttp's own refusals into problem answers."""
    try:
        return await handler(request)
    except BadRequest as error:
        return problem(400, str(error))
    except RelayError as error:
        status = next((status for kind, status in _STATUSES if isinstance(error, kind)), None)
        if status is None:
            raise
        return problem(status, str(error), _RETRY_AFTER if status == 503 else None)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        return problem(405, f"{request.path} takes {allowed}", {"Allow": allowed})
    except web.HTTPNotFound:
        return problem(404, f"there is nothing at {request.path}; /openapi.json lists what is")
    except web.HTTPRequestEntityTooLarge as error:
        return problem(413, str(error.text))
