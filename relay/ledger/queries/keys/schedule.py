"""`schedule`: a dispatch is held till it opens, at the accept and again at each claim that comes when it is closed."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from relay.ledger.queries.keys.memory import KeyRow, KnownKey
from relay.ledger.queries.keys.step import Ruling
from relay.ledger.terms import Terms
from relay.model import HeldBy
from relay.rules.calendar import Calendar, read_schedule


def step(ruling: Ruling, plan: Any, known: KnownKey | None, now: int, terms: Terms) -> KeyRow | None:
    """Hold the dispatch till it opens. What something else holds first is looked at when it is claimed."""
    if (until := opens_at(plan, now)) > now:
        ruling.hold(HeldBy.SCHEDULE, until)
    return None


def opens_at(plan: Any, now: int) -> int:
    """When it opens next, in milliseconds; `now` itself when it is open."""
    try:
        return _schedule(tuple(plan["open"]), tuple(plan["except"])).opens_at(now)
    except ValueError:
        return now  # its last day is over, which the load refuses: better late than never


@lru_cache(maxsize=1_024)
def _schedule(open_: Sequence[str], closed: Sequence[str]) -> Calendar:
    return read_schedule(open_, closed)
