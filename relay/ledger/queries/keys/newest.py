"""`newest`: the greatest number that the rule saw for the key."""

from decimal import Decimal
from typing import Any

from relay.ledger.queries.keys.memory import KeyRow, KnownKey
from relay.ledger.queries.keys.step import Ruling
from relay.ledger.terms import Terms
from relay.model import Why


def step(ruling: Ruling, plan: Any, known: KnownKey | None, now: int, terms: Terms) -> KeyRow | None:
    """Skip an event that is older than the newest one; an equal one is not older.

    Numbers are compared as they are written: a float would take two of them for one.
    """
    number, greatest = str(plan["by"]), None if known is None else known.value
    if greatest is not None and Decimal(number) < Decimal(greatest):
        ruling.leave_out(Why.STALE, f"{number} is older than {greatest}, the newest of its key")
        return None
    return KeyRow(ruling.rule, now + terms.remember, value=number)
