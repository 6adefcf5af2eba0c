"""Builds what the ledger commits for one event under the current rules."""

from relay.model import Dispatch, Entry, Event, EventStatus, Ids, Result, State, tell
from relay.rules import Rendered, RuleSet
from relay.telemetry import get_log

log = get_log()


def make_entry(event: Event, rules: RuleSet, *, ids: Ids, now: int, alone: bool = False) -> Entry:
    """Match and render. A rule that fails on the event fails only its own dispatch, and its result is added at once.

    `alone` renders chats that would gather several events, of this one.
    """
    if event.unreadable is not None:
        return Entry(event, EventStatus.UNREADABLE)
    matched = rules.match(event, _log_unevaluable, alone=alone)
    dispatches = tuple(
        [make_dispatch(ids(), event, made, version=rules.version(made.rule)) for made in matched.rendered]
    )
    rest = matched.skips, matched.cancels, rules.hash, matched.former_cancels
    if dispatches:
        return Entry(event, EventStatus.ACCEPTED, dispatches, _failed(event, dispatches, now), *rest)
    results = (tell.unmatched(event, matched.skips, now=now),) if event.reply_to else ()
    return Entry(event, EventStatus.UNMATCHED, (), results, *rest)


def _log_unevaluable(event: Event, rule: str, error: str) -> None:
    log.warning("rule.unevaluable", event_id=event.id, source=event.source, rule=rule, error=error)


def make_dispatch(
    dispatch_id: str, event: Event, rendered: Rendered, *, run: int = 1, version: str | None = None
) -> Dispatch:
    """The dispatch of one rendered rule. If rendering failed, its state is `FAILED` from the start.

    `version` is the hash of the rule's version.
    """
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
        rendered.plan,
        follow=rendered.follow,
        labels=rendered.labels,
        outlet=rendered.outlet,
        rule_version=version,
    )


def _failed(event: Event, dispatches: tuple[Dispatch, ...], now: int) -> tuple[Result, ...]:
    failures = [(dispatch, dispatch.failure) for dispatch in dispatches if dispatch.failure is not None]
    return tuple([tell.failed(event.about(), dispatch, failure, attempts=0, now=now) for dispatch, failure in failures])
