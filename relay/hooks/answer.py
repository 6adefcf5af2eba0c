"""Responses: receipts as JSON, refusals as `application/problem+json` (RFC 9457)."""

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
"""Handshakes echo untrusted text, which browsers must not interpret as a page."""


def answer(receipts: Sequence[Receipt]) -> web.Response:
    """202 when an event is new, 200 when all are duplicates."""
    all_duplicates = all(receipt.status is EventStatus.DUPLICATE for receipt in receipts)
    document = {"events": [_show(receipt) for receipt in receipts]}
    return web.Response(
        body=to_json(document),
        status=200 if all_duplicates else 202,
        content_type="application/json",
    )


def problem(status: int, reason: str, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    """A refusal. `reason` is its stable name, `detail` is for a person."""
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


def reply(vendor_reply: Reply) -> web.Response:
    """A response in the vendor's format."""
    kind = {"Content-Type": vendor_reply.type} if vendor_reply.body else {}
    return web.Response(
        body=vendor_reply.body, status=vendor_reply.status, headers={**vendor_reply.headers, **kind, **_INERT}
    )


def refusal(error: Rejected, challenge: str | None, methods: Iterable[str] = ("POST",)) -> web.Response:
    """The response to a refused request. The hint is for the operator and is not sent."""
    headers: dict[str, str] = {}
    if error.status == 401 and challenge:
        headers["WWW-Authenticate"] = challenge
    if error.status == 405:
        headers["Allow"] = ", ".join(sorted(methods))
    return problem(error.status, error.reason, str(error), headers)


def later(reason: str, detail: str, seconds: float, status: int = 503) -> web.Response:
    """503, or 429 when the sender is the cause, with `seconds` as Retry-After."""
    return problem(status, reason, detail, {"Retry-After": str(max(1, math.ceil(seconds)))})


def _show(receipt: Receipt) -> dict[str, Any]:
    return {
        "id": receipt.id,
        "externalId": receipt.external_id,
        "status": str(receipt.status),
        "type": receipt.type,
        "dispatches": [{"id": dispatch, "rule": rule} for dispatch, rule in receipt.dispatches],
    }
