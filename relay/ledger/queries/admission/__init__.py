"""What is decided at the claim: whether a dispatch goes to Cargo now (`loop`, `limit`, `budget` of its rule).

A dispatch is judged at the first call of a run. Where one is claimed as it is born (`relay.ledger.queries.born`), it is
judged the same way; if it does not go it is left to a claim, which says what becomes of it.
"""

from collections.abc import Mapping
from typing import Any, Final

from relay.ledger.queries.admission import budget, limit, loop
from relay.ledger.queries.admission.book import LOCKED, Book
from relay.ledger.queries.admission.plans import Plan, is_asked, items, places
from relay.ledger.queries.admission.silence import NOTHING_TO_SAY, is_silent
from relay.ledger.queries.admission.step import ClaimStep, Moment, Stay

JUDGES: Final[Mapping[str, ClaimStep]] = {"loop": loop.judge, "limit": limit.judge, "budget": budget.judge}
"""In the order in which a dispatch meets them."""

Changes = Mapping[bytes, tuple[Any, int]]
"""What is to be remembered: a value and when it expires, by hash."""


def judge(book: Book, rule: str, plan: Plan, moment: Moment) -> tuple[Stay | None, Changes]:
    """Whether a dispatch goes (None), and what is then to be remembered.

    Of its limits and its budget either all count the start or none does.
    """
    seen: dict[bytes, tuple[Any, int]] = {}
    started: dict[bytes, tuple[Any, int]] = {}
    for name, step in JUDGES.items():
        for place, item in items(rule, name, plan):
            ruling = step(item, book.get(place), moment)
            change = {} if ruling.value is None else {place: (ruling.value, ruling.expires_at)}
            if ruling.stay is not None:
                return ruling.stay, seen | change
            # The loop guard counts what would go, whatever a later key says; the others count what goes.
            (seen if name == "loop" else started).update(change)
    return None, seen | started


__all__ = [
    "LOCKED",
    "NOTHING_TO_SAY",
    "Book",
    "Changes",
    "Moment",
    "Plan",
    "Stay",
    "is_asked",
    "is_silent",
    "judge",
    "places",
]
