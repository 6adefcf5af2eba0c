"""The timeline of an event: everything that is known to have happened, in the order in which it happened."""

from collections.abc import Iterator
from dataclasses import dataclass

from relay.model import AttemptView, EventDetail, Failure, Result
from relay.units import show


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened. `at` is milliseconds since the epoch; `what` is a stable dotted word."""

    at: int
    what: str
    dispatch_id: str | None = None
    rule: str | None = None
    detail: str | None = None


def trace(found: EventDetail) -> list[Step]:
    """The steps of an event and its dispatches, oldest first, each after its cause."""
    event = found.event
    steps = [Step(event.received_at, f"event.{found.status}", detail=event.unreadable)]
    rules = {view.id: view.rule for view in found.dispatches}
    steps += [Step(view.created_at, "rule.matched", view.id, view.rule) for view in found.dispatches]
    for attempt in found.attempts:
        steps += _attempt(attempt, rules.get(attempt.dispatch_id))
    steps += [_told(view.result, found, rules) for view in found.results]
    return sorted(steps, key=lambda step: step.at)


def _told(result: Result, found: EventDetail, rules: dict[str, str]) -> Step:
    """A result is made just before the commit that ends its attempt; it is shown after that end."""
    causes = [view.created_at for view in found.dispatches if view.id == result.dispatch_id]
    causes += [
        attempt.ended_at
        for attempt in found.attempts
        if attempt.dispatch_id == result.dispatch_id and attempt.ended_at and attempt.started_at <= result.time
    ]
    what = result.type.removeprefix("relay.")
    rule = rules.get(result.dispatch_id or "")
    return Step(max(result.time, *causes, found.event.received_at), what, result.dispatch_id, rule, result.chat_uuid)


def _attempt(attempt: AttemptView, rule: str | None) -> Iterator[Step]:
    which = f"run {attempt.run}, attempt {attempt.number}"
    yield Step(attempt.started_at, f"{attempt.kind}.attempted", attempt.dispatch_id, rule, which)
    if attempt.ended_at is not None:
        took = show(attempt.ended_at - attempt.started_at)
        outcome = _why(attempt.failure) or attempt.chat_uuid
        detail = f"{which}: {attempt.verdict} after {took}" + (f", {outcome}" if outcome else "")
        yield Step(attempt.ended_at, f"{attempt.kind}.answered", attempt.dispatch_id, rule, detail)


def _why(failure: Failure | None) -> str | None:
    if failure is None:
        return None
    return f"{failure.message} ({failure.status})" if failure.status else failure.message
