"""Builds the result messages: ids, routing keys and data, as config/reference.md has them ("Results on RabbitMQ")."""

from collections.abc import Sequence
from typing import Any, Final

from relay.model.chat import Chat
from relay.model.dispatch import Dispatch, Failure
from relay.model.event import Event
from relay.model.result import About, Result, ResultType
from relay.model.skip import Skip
from relay.model.state import ParkReason, State
from relay.units import iso

_ENDS: Final = frozenset({State.EXPIRED, State.CANCELLED, State.SUPERSEDED, State.SUPPRESSED})


def created(about: About, dispatch: Dispatch, chat: Chat, *, attempts: int, reconciled: bool, now: int) -> Result:
    """`relay.chat.created`: the chat exists. `now` is milliseconds since the epoch."""
    data = _data(about, dispatch, attempts, chat) | {
        "reconciled": reconciled,
        "createdAt": iso(chat.created_at),
    }
    return _result(ResultType.CREATED, "chat.created", "", about, dispatch, data, now, chat.uuid)


def failed(about: About, dispatch: Dispatch, failure: Failure, *, attempts: int, now: int) -> Result:
    """`relay.chat.failed`: the dispatch ended without a chat.

    The message's `error.code` is the final state (`failed`, unless `failure.code` names another one), its
    `error.reason` is `failure.code`.
    """
    code = failure.code if failure.code in _ENDS else State.FAILED
    data = _data(about, dispatch, attempts) | {"error": _error(code, failure)}
    if dispatch.cause is not None:
        data["by"] = {"dispatchId": dispatch.cause}
    elif dispatch.cause_event is not None:
        data["by"] = {"eventId": dispatch.cause_event}
    return _result(ResultType.FAILED, "chat.failed", "", about, dispatch, data, now)


def parked(
    about: About, dispatch: Dispatch, reason: ParkReason, failure: Failure, *, attempts: int, now: int
) -> Result:
    """`relay.chat.parked`: the dispatch waits for a person."""
    data = _data(about, dispatch, attempts) | {"error": _error(reason, failure)}
    return _result(ResultType.PARKED, "chat.parked", ".parked", about, dispatch, data, now)


def sent(about: About, dispatch: Dispatch, chat_uuid: str, *, attempts: int, now: int) -> Result:
    """`relay.message.sent`: the rule's first message is in the chat."""
    data = {"chatUuid": chat_uuid} | _data(about, dispatch, attempts)
    return _result(ResultType.SENT, "message.sent", ".message", about, dispatch, data, now, chat_uuid)


def unsent(about: About, dispatch: Dispatch, chat_uuid: str, failure: Failure, *, attempts: int, now: int) -> Result:
    """`relay.message.failed`: the chat exists, but its first message was not sent."""
    data = {"chatUuid": chat_uuid} | _data(about, dispatch, attempts) | {"error": _error(State.FAILED, failure)}
    return _result(ResultType.UNSENT, "message.failed", ".message", about, dispatch, data, now, chat_uuid)


def unmatched(event: Event, skips: Sequence[Skip], *, now: int) -> Result:
    """`relay.event.unmatched`: for a caller with `reply_to` whose event no rule made a dispatch of."""
    about = event.about()
    return Result(
        id=f"{event.id}.unmatched",
        type=ResultType.UNMATCHED,
        source=event.source,
        event_id=event.id,
        time=now,
        routing_key=None,
        data=_event(about) | {"skips": [skip.document() for skip in skips]},
        correlation_id=event.correlation_id,
        reply_to=event.reply_to,
        traceparent=event.traceparent,
    )


def _event(about: About) -> dict[str, Any]:
    return {
        "source": about.source,
        "eventId": about.event_id,
        "externalId": about.external_id,
        "eventType": about.event_type,
        "correlationId": about.correlation_id,
        "receivedAt": iso(about.received_at),
    }


def _data(about: About, dispatch: Dispatch, attempts: int, chat: Chat | None = None) -> dict[str, Any]:
    chat_data: dict[str, Any] = {"chatUuid": chat.uuid} if chat else {}
    return (
        chat_data
        | {
            "agentUuid": (chat and chat.agent_uuid) or dispatch.agent_uuid,
            "name": (chat and chat.name) or dispatch.name,
            "rule": dispatch.rule,
            "dispatchId": dispatch.id,
            "run": dispatch.run,
            "attempts": attempts,
            "labels": dict(dispatch.labels.values) if dispatch.labels else {},
        }
        | _event(about)
    )


def _error(code: str, failure: Failure) -> dict[str, Any]:
    return {"code": code, "reason": failure.code, "status": failure.status, "message": failure.message}


def _result(
    kind: ResultType,
    key: str,
    suffix: str,
    about: About,
    dispatch: Dispatch,
    data: dict[str, Any],
    now: int,
    chat_uuid: str | None = None,
) -> Result:
    outlet = dispatch.outlet
    return Result(
        id=f"{dispatch.id}.{dispatch.run}{suffix}",
        type=kind,
        source=about.source,
        event_id=about.event_id,
        time=now,
        routing_key=(outlet.routing_key if outlet else None) or f"{key}.{about.source}.{dispatch.rule}",
        data=data,
        dispatch_id=dispatch.id,
        correlation_id=about.correlation_id or about.event_id,
        reply_to=about.reply_to,
        traceparent=about.traceparent,
        chat_uuid=chat_uuid,
        exchange=outlet.exchange if outlet else None,
    )
