"""`once`: the dispatch that has the key."""

from typing import Any

from relay.ledger.queries.keys.memory import KeyRow, KnownKey
from relay.ledger.queries.keys.step import Ruling
from relay.ledger.terms import Terms


def step(ruling: Ruling, plan: Any, known: KnownKey | None, now: int, terms: Terms) -> KeyRow | None:
    """Suppress a dispatch whose key is taken. The time counts from the first event, so that it always ends."""
    if known is not None and known.dispatch_id is not None and not known.is_free:
        ruling.suppress(known.dispatch_id, f"the chat of its key (once) is that of dispatch {known.dispatch_id}")
        return None
    return KeyRow(ruling.rule, now + (plan["within"] or terms.remember), dispatch_id=ruling.id)
