"""What the ledger is to commit for one event under today's rules."""

from relay.model import Dispatch, Entry, Event, EventStatus, Ids, Result, State, tell
from relay.rules import Rendered, RuleSet
from relay.telemetry import get_log

log = get_log()


def make_entry(event: Event, rules: RuleSet, *, ids: Ids, now: int) -> Entry:
    """Match and render. A rule that fails on the event fails its own dispatch, told at once, and no other."""
    if event.unreadable is not None:
        return Entry(event, EventStatus.UNREADABLE)
    dispatches = tuple([make_dispatch(ids(), event, rendered) for rendered in rules.match(event, _doubt)])
    if dispatches:
        return Entry(event, EventStatus.ACCEPTED, dispatches, _ended(event, dispatches, now))
    told = (tell.unmatched(event, now=now),) if event.reply_to else ()
    return Entry(event, EventStatus.UNMATCHED, results=told)


def _doubt(event: Event, rule: str, error: str) -> None:
    log.warning("rule.unevaluable", event_id=event.id, source=event.source, rule=rule, error=error)


def make_dispatch(dispatch_id: str, event: Event, rendered: Rendered, *, run: int = 1) -> Dispatch:
    """The dispatch of one rendered rule; one that could not be rendered has ended before it began."""
    return Dispatch(
        dispatch_id,
        event.id,
        event.source,
        rendered.rule,
        rendered.body,
        rendered.message,
        rendered.trigger_type,
        rendered.name,
        rendered.agent_uuid,
        rendered.on_unknown,
        rendered.failure,
        State.FAILED if rendered.failure else State.READY,
        run,
    )


def _ended(event: Event, dispatches: tuple[Dispatch, ...], now: int) -> tuple[Result, ...]:
    ended = [(dispatch, dispatch.failure) for dispatch in dispatches if dispatch.failure is not None]
    return tuple([tell.failed(event.about(), dispatch, failure, attempts=0, now=now) for dispatch, failure in ended])
