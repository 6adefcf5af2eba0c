"""The stamp by which a chat is found again: `trigger.meta.relay` (DESIGN, promise 3)."""

import json
from typing import Any, Final

from pydantic_core import from_json, to_json

from relay.model import Dispatch

STAMPABLE: Final = frozenset({"connector"})
"""Trigger types that have a `meta` (cargo-api, `POST /ai/chats`)."""


def stamp_body(dispatch: Dispatch) -> bytes:
    """The body of `POST /ai/chats` as it is sent: the kept one with the stamp of this run."""
    if dispatch.body is None:
        raise ValueError(f"dispatch {dispatch.id} has no body to send")
    if dispatch.trigger_type not in STAMPABLE:
        return dispatch.body.encode()
    try:
        return to_json(_stamped(dispatch, from_json(dispatch.body)))
    except ValueError:  # it nests deeper than pydantic goes, which is four times as fast
        body = _stamped(dispatch, json.loads(dispatch.body))
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _stamped(dispatch: Dispatch, body: dict[str, Any]) -> dict[str, Any]:
    meta = body["trigger"].setdefault("meta", {})
    meta["relay"] = {"dispatch": dispatch.id, "run": dispatch.run, "event": dispatch.event_id}
    return body
