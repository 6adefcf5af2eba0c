"""Answers: receipts as JSON, refusals as `application/problem+json` (RFC 9457)."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from pydantic_core import to_json

from relay.errors import Rejected
from relay.model import EventStatus, Receipt
from relay.schemes import Reply

_INERT: Final = {"X-Content-Type-Options": "nosniff"}
"""What a handshake echoes is a stranger's: no browser may take it for a page."""


def answer(receipts: Sequence[Receipt]) -> web.Response:
    """202 when something is new, 200 when all was known already."""
    known = all(receipt.status is EventStatus.DUPLICATE for receipt in receipts)
    document = {"events": [_show(receipt) for receipt in receipts]}
    return web.Response(
        body=to_json(document),
        status=200 if known else 202,
        content_type="application/json",
    )


def problem(status: int, reason: str, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """A refusal; `reason` is its stable name, `detail` for a person."""
    document = {
        "type": f"/problems/{reason}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    return web.Response(
        body=json.dumps(document).encode(),
        status=status,
        content_type="application/problem+json",
        headers=headers,
    )


def reply(said: Reply) -> web.Response:
    """An answer in the vendor's own form."""
    kind = {"Content-Type": said.type} if said.body else {}
    return web.Response(body=said.body, status=said.status, headers={**said.headers, **kind, **_INERT})


def refusal(error: Rejected, challenge: str | None, methods: Iterable[str] = ("POST",)) -> web.Response:
    """The answer to a refused request; its hint is the operator's and stays here."""
    headers: dict[str, str] = {}
    if error.status == 401 and challenge:
        headers["WWW-Authenticate"] = challenge
    if error.status == 405:
        headers["Allow"] = ", ".join(sorted(methods))
    return problem(error.status, error.reason, str(error), headers)


def later(reason: str, detail: str, seconds: float, status: int = 503) -> web.Response:
    """503, or 429 where it is the sender's own doing: come back after so many seconds."""
    return problem(status, reason, detail, {"Retry-After": str(max(1, math.ceil(seconds)))})


def _show(receipt: Receipt) -> dict[str, Any]:
    return {
        "id": receipt.id,
        "externalId": receipt.external_id,
        "status": str(receipt.status),
        "type": receipt.type,
        "dispatches": [{"id": dispatch, "rule": rule} for dispatch, rule in receipt.dispatches],
    }
