"""What stands now: what the ledger would say to the dispatches of a dry run, if they came at this moment."""

from collections.abc import Sequence
from typing import Any

from relay.app.dry import try_events
from relay.effort import Aside
from relay.intake.entry import make_dispatch
from relay.model import Entry, Event, EventStatus, Ids, Standing, held_key
from relay.ports import Archive
from relay.rules import Rendered, RuleSet
from relay.units import iso


async def foretell(events: Sequence[Event], rules: RuleSet, archive: Archive, ids: Ids, aside: Aside) -> dict[str, Any]:
    """The verdict of every rule on events, with what the ledger would say under `now`. Nothing is stored.

    What rules make of events is found out by `aside`, since it takes a second and more with a thousand rules.
    """
    trial, matched = await aside.run_heavy(
        lambda: (try_events(events, rules), [_match(each, rules) for each in events])
    )
    for event, rendered, tried in zip(events, matched, trial["events"], strict=True):
        found = {standing.rule: show_standing(standing) for standing in await _stand(event, rendered, archive, ids)}
        for verdict in tried["rules"]:
            verdict["now"] = found.get(verdict["rule"])
    return trial


def _match(event: Event, rules: RuleSet) -> Sequence[Rendered]:
    """The chats that could be made of it."""
    matched = () if event.unreadable is not None else rules.match(event).rendered
    return [rendered for rendered in matched if rendered.failure is None]


async def _stand(event: Event, matched: Sequence[Rendered], archive: Archive, ids: Ids) -> Sequence[Standing]:
    dispatches = tuple([make_dispatch(ids(), event, rendered) for rendered in matched])
    return await archive.foresee(Entry(event, EventStatus.ACCEPTED, dispatches)) if dispatches else ()


def show_standing(standing: Standing) -> dict[str, Any]:
    """Ready for JSON."""
    dispatch, skip = standing.dispatch, standing.skip
    hold = None if dispatch is None else dispatch.hold
    failure = None if dispatch is None else dispatch.failure
    held = None
    if dispatch is not None and hold is not None and hold.by is not None:
        held = {
            "by": hold.by.value,
            "key": held_key(dispatch.plan or {}, hold.by),
            "until": None if hold.until is None else iso(hold.until),
            "cause": standing.cause,
        }
    return {
        "state": None if dispatch is None else dispatch.state.value,
        "skip": None if skip is None else skip.document(),
        "why": None if failure is None else failure.message,
        "by": None if failure is None or standing.cause is None else {"dispatchId": standing.cause},
        "since": None if standing.since is None else iso(standing.since),
        "held": held,
        "chatUuid": None if hold is None else hold.chat_uuid,
    }
