"""The stamp by which a chat is found again: `trigger.meta.relay` (DESIGN, promise 3)."""

import json
from typing import Final

from relay.model import Dispatch

STAMPABLE: Final = frozenset({"connector"})
"""Trigger types that have a `meta` (cargo-api, `POST /ai/chats`)."""


def stamp_body(dispatch: Dispatch) -> bytes:
    """The body of `POST /ai/chats` as it is sent: the kept one with the stamp of this run."""
    if dispatch.body is None:
        raise ValueError(f"dispatch {dispatch.id} has no body to send")
    if dispatch.trigger_type not in STAMPABLE:
        return dispatch.body.encode()
    body = json.loads(dispatch.body)
    meta = body["trigger"].setdefault("meta", {})
    meta["relay"] = {"dispatch": dispatch.id, "run": dispatch.run, "event": dispatch.event_id}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
