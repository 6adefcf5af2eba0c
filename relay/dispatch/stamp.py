"""The stamp by which the chat of a dispatch is found when an answer was lost: `trigger.meta.relay`."""

import json
from typing import Any, Final

from pydantic_core import from_json, to_json

from relay.model import Dispatch

STAMPABLE: Final = frozenset({"connector"})
"""Trigger types whose body has a `meta` object at Cargo."""


def stamp_body(dispatch: Dispatch) -> bytes:
    """The stored body of `POST /ai/chats` with the stamp of this run. Raises `ValueError` if there is no body."""
    if dispatch.body is None:
        raise ValueError(f"dispatch {dispatch.id} has no body to send")
    if dispatch.trigger_type not in STAMPABLE:
        return dispatch.body.encode()
    try:
        return to_json(_stamped(dispatch, from_json(dispatch.body)))
    except ValueError:  # nested deeper than pydantic_core allows; json takes it, but is four times slower
        body = _stamped(dispatch, json.loads(dispatch.body))
        return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _stamped(dispatch: Dispatch, body: dict[str, Any]) -> dict[str, Any]:
    meta = body["trigger"].setdefault("meta", {})
    meta["relay"] = {"dispatch": dispatch.id, "run": dispatch.run, "event": dispatch.event_id}
    return body
