"""`loop`: dispatches of one key that would go to Cargo, and since when there are too many."""

from typing import Any

from relay.ledger.queries.admission import ring
from relay.ledger.queries.admission.step import ClaimRuling, Moment, Stay
from relay.model import Failure, ParkReason, State
from relay.units import show


def judge(plan: Any, known: Any, moment: Moment) -> ClaimRuling:
    """Trip when more than `trips` would go within its time; from then on park, until none came for that time.

    A dispatch counts once: not again when its claim was given back, and not when a person sends it.
    """
    if moment.run > 1 or not moment.is_fresh:
        return ClaimRuling()
    now, (most, period) = moment.now, plan["trips"]
    value = known or {}
    last = value.get("last")
    if last is not None and min(last, now) > now - period:
        return _trip(now, most, period)
    starts = [] if last is not None else ring.recent(value.get("at", ()), now, period)
    if ring.total(starts) >= most:
        return _trip(now, most, period, begins=True)
    return ClaimRuling(None, {"at": ring.add(starts, now, most, period)}, now + period)


def _trip(now: int, most: int, period: int, *, begins: bool = False) -> ClaimRuling:
    message = (
        f"more than {most} dispatches of its key came within {show(period)} (loop): see whether what the agent does "
        f"makes these events; retry it to send it, or cancel it. The key is open again {show(period)} after the last"
    )
    stay = Stay(State.PARKED, Failure(ParkReason.LOOP.value, message), ParkReason.LOOP, begins=begins)
    return ClaimRuling(stay, {"last": now}, now + period)
