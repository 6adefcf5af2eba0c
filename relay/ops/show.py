"""Converts the ledger's views to the documents of the API."""

import json
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import yaml

from relay import model
from relay.ops import setup, watched, wire
from relay.ops.timeline import trace
from relay.units import iso


def replicas(found: Sequence[model.Replica]) -> setup.Replicas:
    """The replicas, the oldest first."""
    return setup.Replicas(
        replicas=[
            setup.Replica(
                name=each.name, version=each.version, started_at=iso(each.started_at), seen_at=iso(each.seen_at)
            )
            for each in found
        ]
    )


def page(events: model.EventPage) -> wire.EventPage:
    documents = [_event(view) for view in events.events]
    return wire.EventPage(events=documents, cursor=events.cursor, notice=events.notice)


def detail(view: model.EventDetail, hidden: Sequence[str] = ()) -> wire.EventDetail:
    """An event with its timeline, dispatches, attempts and results; without its bytes where paths are `hidden`."""
    event = view.event
    raw, raw_base64 = (None, None) if hidden else _text(event.raw)
    return wire.EventDetail(
        id=event.id,
        source=event.source,
        origin=event.origin,
        external_id=event.external_id,
        type=event.type,
        subject=event.subject,
        time=_moment(event.time),
        status=view.status,
        received_at=iso(event.received_at),
        content_type=event.content_type,
        headers=dict(event.headers),
        data=event.data,
        raw=raw,
        raw_base64=raw_base64,
        hidden=list(hidden),
        unreadable=event.unreadable,
        correlation_id=event.correlation_id,
        reply_to=event.reply_to,
        traceparent=event.traceparent,
        timeline=[
            wire.Step(at=iso(step.at), what=step.what, dispatch_id=step.dispatch_id, rule=step.rule, detail=step.detail)
            for step in trace(view)
        ],
        skips=[wire.Skip(**skip.document()) for skip in view.skips],
        dispatches=[
            _dispatch_detail(dispatch, view.versions.get(dispatch.rule_version or "")) for dispatch in view.dispatches
        ],
        attempts=[_attempt(attempt) for attempt in view.attempts],
        results=[_result(result) for result in view.results],
    )


def erased(done: model.Erased) -> watched.EventsErased:
    return watched.EventsErased(
        erased=done.events,
        cancelled=done.cancelled,
        requests=done.requests,
        chats=list(done.chats),
        left=[
            watched.EventSpared(event_id=each.event_id, dispatch_id=each.dispatch_id, state=each.state)
            for each in done.left
        ],
        compacted=done.compacted,
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


def problem(found: model.Problem) -> watched.Problem:
    return watched.Problem.model_validate(found.document())


def problems(page: model.ProblemPage) -> watched.ProblemPage:
    return watched.ProblemPage(problems=[problem(found) for found in page.problems], cursor=page.cursor)


def acts(page: model.ActPage) -> watched.ActPage:
    return watched.ActPage(acts=[_act(act) for act in page.acts], cursor=page.cursor)


def _act(act: model.Act) -> watched.Act:
    return watched.Act(id=act.id, at=iso(act.at), actor=act.actor, act=act.act, target=act.target, detail=act.detail)


def dead(page: model.DeadPage) -> wire.DeadPage:
    return wire.DeadPage(dead=[_letter(letter) for letter in page.letters], cursor=page.cursor)


def _letter(letter: model.DeadLetter) -> wire.DeadLetter:
    return wire.DeadLetter(
        id=letter.id,
        at=iso(letter.at),
        source=letter.source,
        queue=letter.queue,
        reason=letter.reason,
        error=letter.error,
        routing_key=letter.routing_key,
        message_id=letter.message_id,
        type=letter.type,
        content_type=letter.content_type,
        headers=dict(letter.headers),
        size=letter.size,
        digest=letter.digest,
        requeued_at=_moment(letter.requeued_at),
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


def _dispatch_detail(view: model.DispatchView, version: model.RuleVersion | None) -> wire.DispatchDetail:
    request = None if view.body is None else json.loads(view.body)
    shown = None if version is None else wire.KeptVersion(hash=version.hash, text=_yaml(version.text))
    return wire.DispatchDetail(
        **_dispatch(view), request=request, message=view.message, follow=view.follow, rule_version=shown
    )


def _yaml(text: str) -> str:
    """A rule's JSON as an operator writes rules."""
    return yaml.safe_dump(json.loads(text), allow_unicode=True, sort_keys=False, width=100)


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
        "held": _held(view.held),
        "due_at": _moment(view.due_at),
        "created_at": iso(view.created_at),
        "updated_at": iso(view.updated_at),
        "labels": dict(view.labels.values) if view.labels else {},
        "left_out": [
            wire.LeftOut(label=name, why=why) for name, why in (view.labels.left_out if view.labels else {}).items()
        ],
        "result": view.outlet and wire.ResultOutlet(exchange=view.outlet.exchange, routing_key=view.outlet.routing_key),
    }


def _held(held: model.Held | None) -> wire.HeldBack | None:
    if held is None:
        return None
    return wire.HeldBack(by=held.by, key=held.key, until=_moment(held.until), cause=held.cause)


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


def results(page: model.ResultPage) -> wire.ResultPage:
    cursor = None if page.cursor is None else str(page.cursor)
    return wire.ResultPage(results=[_result(view) for view in page.results], cursor=cursor)


def _result(view: model.ResultView) -> wire.ResultState:
    return wire.ResultState(
        id=view.result.id,
        type=view.result.type,
        time=iso(view.result.time),
        exchange=view.result.exchange,
        routing_key=view.result.routing_key,
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
