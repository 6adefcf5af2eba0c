"""Logs and counts what became of an attempt."""

from relay.model import Claim, Dispatch, Failure, Move, Record, Recorded, State, Withheld
from relay.telemetry import Metrics, get_log, trace_id
from relay.units import iso

log = get_log()


def report(claim: Claim, record: Record, metrics: Metrics) -> None:
    """Log one move as it was recorded, and count it in the metrics."""
    move, how = record.move, record.how
    number = claim.attempt if claim.state is State.MESSAGING else claim.attempts
    line = about(claim) | {"attempt": number, "took_ms": move.took}
    if move.failure:
        line |= {"code": move.failure.code, "status": move.failure.status, "error": move.failure.message}
    if how is Recorded.LATE:
        log.warning("chat.late", what="the lease had expired; only the attempt was recorded", **line)
    elif how is Recorded.DUPLICATED:
        metrics.chat(claim.dispatch.rule, "duplicated")
        log.error("chat.duplicated", chat_uuid=move.chat and move.chat.uuid, **line)
    else:
        _report_step(claim, move, metrics, line)


def report_expired(dispatch: Dispatch, metrics: Metrics) -> None:
    """Log and count one dispatch that waited too long for its turn."""
    metrics.chat(dispatch.rule, "expired")
    log.warning(
        "chat.expired",
        event_id=dispatch.event_id,
        dispatch_id=dispatch.id,
        source=dispatch.source,
        rule=dispatch.rule,
        what="it waited longer for its turn than `expires` of its rule",
    )


def report_withheld(withheld: Withheld, metrics: Metrics) -> None:
    """Log and count one dispatch that a key of its rule kept from going to Cargo."""
    dispatch, failure = withheld.dispatch, withheld.failure
    line = {
        "event_id": dispatch.event_id,
        "dispatch_id": dispatch.id,
        "source": dispatch.source,
        "rule": dispatch.rule,
        "error": failure.message,
    }
    if withheld.to is State.PARKED:
        metrics.chat(dispatch.rule, "parked")
        if withheld.key is not None and withheld.quiet is not None:
            if not withheld.counted:
                metrics.problems.looped(
                    dispatch.rule, withheld.key, withheld.quiet, event_id=dispatch.event_id, dispatch_id=dispatch.id
                )
        else:
            metrics.problems.saw(
                "parked", rule=dispatch.rule, code=failure.code, event_id=dispatch.event_id, dispatch_id=dispatch.id
            )
        log.error("chat.parked", reason=failure.code, **line)
    elif withheld.to is State.SUPPRESSED:
        metrics.chat(dispatch.rule, "suppressed")
        log.info("chat.suppressed", **line)
    elif withheld.to is State.EXPIRED:
        report_expired(dispatch, metrics)
    else:
        log.debug("chat.held", by=failure.code, until=iso(withheld.until or 0), **line)


def _report_step(claim: Claim, move: Move, metrics: Metrics, line: dict[str, object]) -> None:
    rule = claim.dispatch.rule
    if move.chat is not None:
        metrics.chat(rule, "created")
        step = "chat.reconciled" if move.reconciled else "chat.created"
        log.info(step, chat_uuid=move.chat.uuid, **line)
    elif move.to is State.CANCELLED:
        metrics.chat(rule, "cancelled")
        log.info("chat.cancelled", what="a person cancelled it during the attempt", **line)
    elif claim.state is State.MESSAGING:
        ended = "message.failed" if move.failure else "message.sent"
        steps = {State.DONE: ended, State.FAILED: ended, State.READY: "message.displaced"}
        step = steps.get(move.to, "message.waiting")
        metrics.message(rule, step.removeprefix("message."))
        (log.debug if step == "message.sent" else log.warning)(step, chat_uuid=claim.chat_uuid, **line)
        if move.to is State.FAILED:  # a follow-up in a thread, without which the event has no answer
            metrics.chat(rule, "failed")
            _count(claim, "failures", None if move.failure is None else move.failure.code, metrics)
    elif move.to is State.FAILED:
        metrics.chat(rule, "failed")
        _count(claim, "failures", None if move.failure is None else move.failure.code, metrics)
        log.error("chat.failed", hint=_hint(move.failure), **line)
    elif move.to is State.PARKED:
        metrics.chat(rule, "parked")
        _count(claim, "parked", move.park, metrics)
        log.error("chat.parked", reason=move.park, **line)
    elif move.to is State.READY:
        log.info("chat.returned", what="claimed but not started: any replica may claim it now", **line)
    elif move.to is State.WAITING:
        log.warning("chat.waiting", due_in_ms=move.due_in, **line)
    elif claim.state is State.SENDING:
        log.warning("chat.unknown", what="the outcome is unknown; Relay searches for the chat in Cargo's list", **line)


def _count(claim: Claim, kind: str, code: str | None, metrics: Metrics) -> None:
    """Count the problem, with this dispatch as its example."""
    dispatch = claim.dispatch
    metrics.problems.saw(
        kind,
        rule=dispatch.rule,
        code=None if code is None else str(code),
        event_id=claim.about.event_id,
        dispatch_id=dispatch.id,
    )


def _hint(failure: Failure | None) -> str | None:
    """How to retry a request that Cargo rejected with a 4xx: the same body would be rejected again."""
    refused = failure is not None and failure.status is not None and 400 <= failure.status < 500
    return "correct the rule, then `relay retry --render`; a plain retry sends the same body" if refused else None


def about(claim: Claim) -> dict[str, object]:
    """The keys of a log line that say which dispatch it is about."""
    return {
        "event_id": claim.about.event_id,
        "dispatch_id": claim.dispatch.id,
        "source": claim.about.source,
        "rule": claim.dispatch.rule,
        "run": claim.dispatch.run,
        "trace_id": trace_id(claim.about.traceparent),
    }
