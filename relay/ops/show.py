"""From the ledger's views to the documents of the API."""

import json
from base64 import b64encode
from typing import Any

from relay import model
from relay.ops import wire
from relay.ops.timeline import trace
from relay.units import iso


def page(events: model.EventPage) -> wire.EventPage:
    shown = [_event(view) for view in events.events]
    return wire.EventPage(events=shown, cursor=events.cursor, notice=events.notice)


def detail(found: model.EventDetail) -> wire.EventDetail:
    """All about one event."""
    event = found.event
    raw, raw_base64 = _text(event.raw)
    return wire.EventDetail(
        id=event.id,
        source=event.source,
        origin=event.origin,
        external_id=event.external_id,
        type=event.type,
        subject=event.subject,
        time=_moment(event.time),
        status=found.status,
        received_at=iso(event.received_at),
        content_type=event.content_type,
        headers=dict(event.headers),
        data=event.data,
        raw=raw,
        raw_base64=raw_base64,
        unreadable=event.unreadable,
        correlation_id=event.correlation_id,
        reply_to=event.reply_to,
        traceparent=event.traceparent,
        timeline=[
            wire.Step(at=iso(step.at), what=step.what, dispatch_id=step.dispatch_id, rule=step.rule, detail=step.detail)
            for step in trace(found)
        ],
        dispatches=[_dispatch_detail(view) for view in found.dispatches],
        attempts=[_attempt(view) for view in found.attempts],
        results=[_result(view) for view in found.results],
    )


def started(dispatch: model.Dispatch) -> wire.Started:
    return wire.Started(
        id=dispatch.id,
        event_id=dispatch.event_id,
        source=dispatch.source,
        rule=dispatch.rule,
        state=dispatch.state,
        run=dispatch.run,
    )


def rejection(view: model.RejectionView) -> wire.Rejection:
    refused = view.rejection
    return wire.Rejection(
        id=refused.id,
        at=iso(refused.at),
        source=refused.source,
        status=refused.status,
        reason=refused.reason,
        hint=refused.hint,
        remote=refused.remote,
        headers=dict(refused.headers),
        size=refused.size,
        digest=refused.digest,
        kept=view.kept_until is not None,
        kept_until=_moment(view.kept_until),
        readmitted=None if view.readmitted is None else list(view.readmitted),
    )


def _event(view: model.EventView) -> wire.Event:
    return wire.Event(
        id=view.id,
        source=view.source,
        external_id=view.external_id,
        type=view.type,
        subject=view.subject,
        status=view.status,
        received_at=iso(view.received_at),
        dispatches=[wire.Dispatch(**_dispatch(dispatch)) for dispatch in view.dispatches],
    )


def _dispatch_detail(view: model.DispatchView) -> wire.DispatchDetail:
    request = None if view.body is None else json.loads(view.body)
    return wire.DispatchDetail(**_dispatch(view), request=request, message=view.message)


def _dispatch(view: model.DispatchView) -> dict[str, Any]:
    return {
        "id": view.id,
        "event_id": view.event_id,
        "rule": view.rule,
        "source": view.source,
        "state": view.state,
        "run": view.run,
        "attempts": view.attempts,
        "chat_uuid": view.chat_uuid,
        "agent_uuid": view.agent_uuid,
        "name": view.name,
        "reconciled": view.reconciled,
        "duplicates": list(view.duplicates),
        "cancelling": view.cancelling,
        "failure": _fault(view.failure),
        "parked": view.park,
        "due_at": _moment(view.due_at),
        "created_at": iso(view.created_at),
        "updated_at": iso(view.updated_at),
    }


def _attempt(view: model.AttemptView) -> wire.Attempt:
    return wire.Attempt(
        dispatch_id=view.dispatch_id,
        run=view.run,
        kind=view.kind,
        number=view.number,
        started_at=iso(view.started_at),
        ended_at=_moment(view.ended_at),
        verdict=view.verdict,
        failure=_fault(view.failure),
        chat_uuid=view.chat_uuid,
    )


def _result(view: model.ResultView) -> wire.ResultState:
    return wire.ResultState(
        id=view.result.id,
        type=view.result.type,
        time=iso(view.result.time),
        data=dict(view.result.data),
        pending={destination or "exchange": error for destination, error in view.pending.items()},
        undeliverable=[destination or "exchange" for destination in view.undeliverable],
    )


def _fault(failure: model.Failure | None) -> wire.Fault | None:
    if failure is None:
        return None
    return wire.Fault(code=failure.code, message=failure.message, status=failure.status)


def _moment(milliseconds: int | None) -> str | None:
    return None if milliseconds is None else iso(milliseconds)


def _text(raw: bytes) -> tuple[str | None, str | None]:
    try:
        return raw.decode(), None
    except UnicodeDecodeError:
        return None, b64encode(raw).decode()
