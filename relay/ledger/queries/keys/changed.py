"""`changed`: the values of the last event that the rule saw for the key, as a hash."""

from typing import Any

from relay.ledger.queries.keys.memory import KeyRow, KnownKey
from relay.ledger.queries.keys.step import Ruling
from relay.ledger.terms import Terms
from relay.model import Why


def step(ruling: Ruling, plan: Any, known: KnownKey | None, now: int, terms: Terms) -> KeyRow | None:
    """Skip the event when its values are the last ones, or when they are the first and those do not count."""
    if known is None and plan["first"] == "skip":
        ruling.leave_out(Why.UNCHANGED, "the values were seen for the first time")
    elif known is not None and known.value == plan["hash"]:
        ruling.leave_out(Why.UNCHANGED, "the values are those of the last event")
    return KeyRow(ruling.rule, now + terms.remember, value=plan["hash"])
