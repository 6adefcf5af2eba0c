"""The timeline of an event: what happened, in order.

All times but that of the event are from the ledger's clock, at the commit that recorded the step. The event arrived
before its first dispatch was committed, whatever the clock of its replica said.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from relay.model import Act, AttemptView, EventDetail, Failure, ResultType, ResultView
from relay.units import show

_AFTER_ATTEMPTS: Final = 1 << 31
_KINDS: Final = {"follow": -1, "chat": 0, "message": 1}
"""Attempts in the order in which a dispatch makes them: a follow-up whose chat is gone makes a new one."""
_MESSAGE: Final = frozenset({ResultType.SENT, ResultType.UNSENT})


@dataclass(frozen=True, slots=True)
class TimelineStep:
    """One line of the timeline. `at` is milliseconds since the epoch; `what` is a stable dotted name."""

    at: int
    what: str
    dispatch_id: str | None = None
    rule: str | None = None
    detail: str | None = None


_Placed = tuple[tuple[int, ...], TimelineStep]
"""A step and its sort key (time, run, chat or message, attempt, start or end).

Causes precede effects of the same millisecond."""


def trace(view: EventDetail) -> list[TimelineStep]:
    """The steps of an event and its dispatches, oldest first, each after its cause."""
    event = view.event
    rules = {dispatch.id: dispatch.rule for dispatch in view.dispatches}
    placed: list[_Placed] = [
        (
            (dispatch.created_at, 0),
            TimelineStep(dispatch.created_at, "rule.matched", dispatch.id, dispatch.rule),
        )
        for dispatch in view.dispatches
    ]
    for attempt in view.attempts:
        placed += _attempt(attempt, rules.get(attempt.dispatch_id))
    placed += [_published(result_view, rules) for result_view in view.results]
    placed += [_acted(act, rules) for act in view.acts]
    steps = [step for _, step in sorted(placed, key=lambda pair: pair[0])]
    received_at = min([event.received_at, *(step.at for step in steps[:1])])
    return [TimelineStep(received_at, f"event.{view.status}", detail=event.unreadable), *steps]


def _acted(act: Act, rules: dict[str, str]) -> _Placed:
    """The step of an act. What an act makes in its own transaction comes after it."""
    dispatch_id = act.target if act.target in rules else None
    detail = f"by {act.actor}" + (f", {act.detail}" if act.detail else "")
    return (act.at, -1), TimelineStep(act.at, act.act, dispatch_id, rules.get(act.target), detail)


def _published(view: ResultView, rules: dict[str, str]) -> _Placed:
    """The step of a result, which is committed together with the end of its attempt."""
    result = view.result
    step = TimelineStep(
        view.at,
        result.type.removeprefix("relay."),
        result.dispatch_id,
        rules.get(result.dispatch_id or ""),
        result.chat_uuid,
    )
    return (view.at, _run(view), int(result.type in _MESSAGE), _AFTER_ATTEMPTS), step


def _run(view: ResultView) -> int:
    """The run of a result, from its id: `<dispatch id>.<run>`, `<dispatch id>.<run>.parked` and so on."""
    prefix = f"{view.result.dispatch_id}."
    run = view.result.id.removeprefix(prefix).partition(".")[0]
    return int(run) if run.isdecimal() else 0


def _attempt(attempt: AttemptView, rule: str | None) -> Iterator[_Placed]:
    label = f"run {attempt.run}, attempt {attempt.number}"
    place = (attempt.run, _KINDS[attempt.kind], attempt.number)
    start = TimelineStep(attempt.started_at, f"{attempt.kind}.attempted", attempt.dispatch_id, rule, label)
    yield (attempt.started_at, *place, 0), start
    if attempt.ended_at is not None:
        duration = show(attempt.ended_at - attempt.started_at)
        outcome = _why(attempt.failure) or attempt.chat_uuid
        detail = f"{label}: {attempt.verdict} after {duration}" + (f", {outcome}" if outcome else "")
        end = TimelineStep(attempt.ended_at, f"{attempt.kind}.answered", attempt.dispatch_id, rule, detail)
        yield (attempt.ended_at, *place, 1), end


def _why(failure: Failure | None) -> str | None:
    if failure is None:
        return None
    return f"{failure.message} ({failure.status})" if failure.status else failure.message
