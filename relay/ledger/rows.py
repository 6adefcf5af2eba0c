"""Between the records of the model and the rows of the tables."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import to_json
from sqlalchemy import RowMapping

from relay.ledger.schema import dispatches, events
from relay.ledger.sql import Row
from relay.model import About, Claim, Dispatch, Entry, Event, Failure, ParkReason, Result, ResultType, State

encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
"""Compact JSON. Raises ValueError for NaN, RecursionError for what is nested too deep."""

UNDER_WAY: Final = frozenset({State.READY, State.HELD})
"""The states in which a new dispatch has a row of work."""

NEWS: Final = (
    *(dispatches.c[name] for name in ("id", "event_id", "rule", "body", "message", "trigger_type", "name")),
    *(dispatches.c[name] for name in ("agent_uuid", "on_unknown", "run", "chat_uuid", "chat_agent")),
    *(events.c[name] for name in ("source", "external_id", "type", "correlation_id", "reply_to", "traceparent")),
    events.c.received_at,
)
"""The columns of a dispatch and its event that a claim is made of."""


def event_row(entry: Entry) -> Row:
    event = entry.event
    return {
        "id": event.id,
        "source": event.source,
        "origin": event.origin,
        "external_id": event.external_id,
        "type": event.type,
        "subject": event.subject,
        "time": event.time,
        "received_at": event.received_at,
        "content_type": event.content_type,
        "headers": to_json(dict(event.headers)).decode(),
        "raw": event.raw,
        "data": _data(event),
        "digest": event.digest,
        "traceparent": event.traceparent,
        "correlation_id": event.correlation_id,
        "reply_to": event.reply_to,
        "status": entry.status.value,
        "unreadable": event.unreadable,
    }


def _data(event: Event) -> str | None:
    """The parsed body, kept beside the raw bytes only when it is more than their parse."""
    return None if event.verbatim or event.unreadable is not None else encode(event.data)


def event_of(row: RowMapping) -> Event:
    """The event as it came in, from a row of `events`."""
    data = None
    if row["unreadable"] is None:
        data = json.loads(row["raw"] if row["data"] is None else row["data"])
    return Event(
        id=row["id"],
        source=row["source"],
        external_id=row["external_id"],
        type=row["type"],
        data=data,
        raw=row["raw"],
        digest=row["digest"],
        received_at=row["received_at"],
        origin=row["origin"],
        subject=row["subject"],
        time=row["time"],
        content_type=row["content_type"],
        headers=json.loads(row["headers"]),
        traceparent=row["traceparent"],
        correlation_id=row["correlation_id"],
        reply_to=row["reply_to"],
        unreadable=row["unreadable"],
    )


def dispatch_row(dispatch: Dispatch, now: int) -> Row:
    """A new row of `dispatches`; one that has ended while being accepted has its end at once."""
    failure = dispatch.failure
    live = dispatch.state in UNDER_WAY
    return {
        "id": dispatch.id,
        "event_id": dispatch.event_id,
        "source": dispatch.source,
        "rule": dispatch.rule,
        "body": dispatch.body,
        "message": dispatch.message,
        "trigger_type": dispatch.trigger_type,
        "name": dispatch.name,
        "agent_uuid": dispatch.agent_uuid,
        "on_unknown": dispatch.on_unknown,
        "run": dispatch.run,
        "created_at": now,
        "state": None if live else dispatch.state.value,
        "park": _park(dispatch),
        **failure_row(failure),
        "updated_at": now,
    }


def _park(dispatch: Dispatch) -> str | None:
    if dispatch.state is not State.PARKED:
        return None
    return ParkReason(dispatch.failure.code if dispatch.failure else ParkReason.UNKNOWN).value


def work_row(dispatch: Dispatch, now: int) -> Row:
    """The row of work of a dispatch that is `ready` or `held`."""
    return {
        "dispatch_id": dispatch.id,
        "run": dispatch.run,
        "state": dispatch.state.value,
        "due_at": now if dispatch.state is State.READY else None,
    }


def dispatch_of(row: RowMapping) -> Dispatch:
    """The dispatch of a row with the columns of `NEWS`; its state is not among them."""
    return Dispatch(
        id=row["id"],
        event_id=row["event_id"],
        source=row["source"],
        rule=row["rule"],
        body=row["body"],
        message=row["message"],
        trigger_type=row["trigger_type"],
        name=row["name"],
        agent_uuid=row["agent_uuid"],
        on_unknown=row["on_unknown"],
        run=row["run"],
    )


def about_of(row: RowMapping) -> About:
    """What results say of the event, from a row with the columns of `NEWS`."""
    return About(
        event_id=row["event_id"],
        source=row["source"],
        external_id=row["external_id"],
        event_type=row["type"],
        correlation_id=row["correlation_id"],
        reply_to=row["reply_to"],
        traceparent=row["traceparent"],
        received_at=row["received_at"],
    )


def claim_of(work: Mapping[Any, Any], news: RowMapping, *, lease: int, waited: int, start_in: int = 0) -> Claim:
    """A claim from a row of `work` and one with the columns of `NEWS`."""
    return Claim(
        dispatch=dispatch_of(news),
        state=State(work["state"]),
        fence=work["fence"],
        lease=lease,
        attempt=work["number"],
        attempts=work["attempts"],
        waited=waited,
        about=about_of(news),
        chat_uuid=news["chat_uuid"],
        agent_uuid=news["chat_agent"] or news["agent_uuid"],
        doubt=bool(work["doubt"]),
        start_in=start_in,
    )


def failure_row(failure: Failure | None) -> Row:
    return {
        "failure_code": failure and failure.code,
        "failure_status": failure and failure.status,
        "failure_message": failure and failure.message,
    }


def failure_of(row: Mapping[Any, Any]) -> Failure | None:
    if row["failure_code"] is None:
        return None
    return Failure(row["failure_code"], row["failure_message"] or "", row["failure_status"])


def result_row(result: Result, now: int) -> Row:
    return {
        "id": result.id,
        "type": result.type.value,
        "source": result.source,
        "event_id": result.event_id,
        "dispatch_id": result.dispatch_id,
        "time": result.time,
        "routing_key": result.routing_key,
        "data": encode(dict(result.data)),
        "correlation_id": result.correlation_id,
        "reply_to": result.reply_to,
        "traceparent": result.traceparent,
        "chat_uuid": result.chat_uuid,
        "created_at": now,
    }


def result_of(row: RowMapping) -> Result:
    """The result of a row of `results`."""
    return Result(
        id=row["id"],
        type=ResultType(row["type"]),
        source=row["source"],
        event_id=row["event_id"],
        time=row["time"],
        routing_key=row["routing_key"],
        data=json.loads(row["data"]),
        dispatch_id=row["dispatch_id"],
        correlation_id=row["correlation_id"],
        reply_to=row["reply_to"],
        traceparent=row["traceparent"],
        chat_uuid=row["chat_uuid"],
    )
