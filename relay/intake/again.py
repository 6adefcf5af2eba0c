"""Repeats work on request: replays an event or retries a dispatch."""

from collections.abc import Callable, Sequence

from relay.errors import Conflict
from relay.intake.entry import make_dispatch, make_entry
from relay.intake.report import line_of, report_new
from relay.model import ERASED, LOCAL, ActName, Deed, Dispatch, Event, Ids, State
from relay.ports import Archive
from relay.rules import RuleSet
from relay.telemetry import Metrics, get_log

log = get_log()


async def replay(
    archive: Archive,
    rules: RuleSet,
    event_id: str,
    *,
    again: bool,
    ids: Ids,
    clock: Callable[[], int],
    metrics: Metrics,
    by: str = LOCAL,
) -> list[tuple[str, str]]:
    """Match a stored event against the current rules and add the new dispatches. Returns pairs (dispatch id, rule).

    Skips rules that created or may have created a chat for the event, unless `again`. Raises `NotFound`, and
    `Conflict` when the event was never readable.
    """
    event = await archive.load(event_id)
    if event.unreadable == ERASED:
        raise Conflict(f"event {event_id} cannot be replayed: it was {ERASED}")
    if event.unreadable is not None:
        raise Conflict(f"event {event_id} cannot be replayed: it could not be read ({event.unreadable})")
    entry = make_entry(event, rules, ids=ids, now=clock(), alone=True)
    deed = Deed(by, ActName.EVENT_REPLAYED, event_id, "again" if again else None)
    added = await archive.extend(event_id, entry, again=again, deed=deed)
    log.info("event.replayed", event_id=event_id, source=event.source, dispatches=[dispatch.id for dispatch in added])
    line = line_of(event, event_id)
    for dispatch in added:
        report_new(dispatch, metrics, line)
    log_act(deed)
    return [(dispatch.id, dispatch.rule) for dispatch in added]


def log_act(deed: Deed) -> None:
    """Log that a person did something."""
    line = {"actor": deed.actor, "act": str(deed.act), "target": deed.target, "detail": deed.detail}
    log.info("act.done", **{name: value for name, value in line.items() if value is not None})


async def retry(
    archive: Archive, rules: RuleSet, dispatch_id: str, *, render: bool = False, by: str = LOCAL
) -> Dispatch:
    """Start the next run of a dispatch with its stored body, or with `render` with what its rule renders now.

    A dispatch without a body is always rendered; one that has gathered a window, of all its events. Raises `NotFound`
    when the dispatch, or its rule, does not exist, and `Conflict` when it cannot be retried or rendered.
    """
    event, dispatch = await archive.dispatch(dispatch_id)
    if event.unreadable == ERASED:
        raise Conflict(f"dispatch {dispatch_id} cannot be retried: its event {event.id} was {ERASED}")
    rendered = None
    if render or dispatch.body is None:
        rendered = _render(rules, [*await archive.regather(dispatch_id), event], dispatch)
    # The reconciler lists the chats of one trigger type, so a new type would hide a chat that the last run created.
    if rendered is not None and dispatch.state is State.PARKED and rendered.trigger_type != dispatch.trigger_type:
        raise Conflict(
            f"dispatch {dispatch_id} may have a chat with a trigger of type {dispatch.trigger_type}, and would be "
            f"looked for among those of type {rendered.trigger_type}; cancel it, then replay event {event.id}"
        )
    deed = Deed(by, ActName.DISPATCH_RETRIED, dispatch_id, "rendered" if rendered is not None else None)
    started = await archive.retry(dispatch_id, rendered, deed)
    log.info(
        "chat.retried",
        event_id=event.id,
        dispatch_id=dispatch_id,
        rule=started.rule,
        run=started.run,
        state=started.state,
        rendered=rendered is not None,
    )
    log_act(deed)
    return started


def _render(rules: RuleSet, gathered: Sequence[Event], dispatch: Dispatch) -> Dispatch:
    """The chat of the last of these events. Where its rule gathers, it sees all of them, but what was erased since."""
    events = [event for event in gathered if event.unreadable != ERASED]
    locked = next((event for event in events[:-1] if event.unreadable is not None), None)
    if locked is not None:
        raise Conflict(
            f"dispatch {dispatch.id} cannot be rendered: event {locked.id} of its window cannot be read: "
            f"{locked.unreadable}"
        )
    by_rule, version = rules.render_all(dispatch.rule, events), rules.version(dispatch.rule)
    rendered = make_dispatch(dispatch.id, events[-1], by_rule, run=dispatch.run, version=version)
    if rendered.failure is not None:
        raise Conflict(
            f"dispatch {dispatch.id} cannot be rendered: {rendered.failure.message}; correct the rule, then retry it"
        )
    return rendered
