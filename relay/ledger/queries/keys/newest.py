"""`newest`: the greatest number that the rule saw for the key."""

from typing import Any

from relay.ledger.queries.keys.memory import KeyRow, KnownKey
from relay.ledger.queries.keys.step import Ruling
from relay.ledger.terms import Terms
from relay.model import Why


def step(ruling: Ruling, plan: Any, known: KnownKey | None, now: int, terms: Terms) -> KeyRow | None:
    """Skip an event that is older than the newest one; an equal one is not older."""
    number, greatest = float(plan["by"]), None if known is None else float(known.value or "-inf")
    if greatest is not None and number < greatest:
        ruling.leave_out(Why.STALE, f"{plan['by']} is older than {greatest:.15g}, the newest of its key")
        return None
    return KeyRow(ruling.rule, now + terms.remember, value=repr(number))
