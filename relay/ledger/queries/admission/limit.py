"""`limit`: starts of one key, in no window more than its rate, and when those that wait may look again."""

from typing import Any, Final

from relay.ledger.queries.admission import ring
from relay.ledger.queries.admission.step import ClaimRuling, Moment, Stay
from relay.model import Failure, ParkReason, State
from relay.units import show

_AHEAD: Final = 600_000
"""Milliseconds ahead of now for which waiting dispatches get places one after another, where a window is shorter."""


def judge(plan: Any, known: Any, moment: Moment) -> ClaimRuling:
    """Count the start where the window has room.

    A claim that is given back unbegun has counted all the same, since nobody can tell for certain: fewer start then,
    never more.
    """
    most, period = plan["rate"]
    value = known or {}
    starts = ring.recent(value.get("at", ()), moment.now, period)
    hint = value.get("hint")
    if ring.total(starts) < most:
        starts = ring.add(starts, moment.at, most, period)
        return ClaimRuling(None, {"at": starts, "hint": hint}, moment.at + period)
    message = f"its rule has made {most} chats within {show(period)} (limit)"
    if plan["then"] == "park":
        failure = Failure(ParkReason.LIMIT.value, f"{message}: retry it when there is room, or cancel it")
        return ClaimRuling(Stay(State.PARKED, failure, ParkReason.LIMIT))
    if plan["then"] == "drop":
        return ClaimRuling(Stay(State.SUPPRESSED, Failure(State.SUPPRESSED.value, message)))
    hint = next_place(starts, most, period, moment.now, hint)
    stay = Stay(State.HELD, Failure(ParkReason.LIMIT.value, message), until=hint[0])
    return ClaimRuling(stay, {"at": starts, "hint": hint}, max(hint[0], moment.now + period))


def next_place(starts: ring.Starts, most: int, period: int, now: int, hint: list[int] | None) -> list[int]:
    """When a place is free that nobody was told of yet: the time, and how many of that time were given.

    Without it all that wait would be claimed, and put back but for one, whenever one place is free. `hint` is the one
    that was given last. Beyond a time ahead it begins again with the first, since those that waited may be gone.
    """
    frees = _frees(starts, ring.total(starts) - most, period)
    last, used = hint or (0, 0)
    horizon = now + max(period, _AHEAD)
    lap = period * max(0, (last - frees[0][0]) // period)
    while frees[0][0] + lap <= horizon:
        for at, count in frees:
            place = at + lap
            if place > last:
                return [place, 1]
            if place == last and used < count:
                return [place, used + 1]
        lap += period
    return [frees[0][0], 1]


def _frees(starts: ring.Starts, surplus: int, period: int) -> list[tuple[int, int]]:
    """The times at which places are free again, with how many. The first `surplus` starts free none."""
    frees = []
    for at, count in starts:
        gone = min(surplus, count)
        surplus -= gone
        if count > gone:
            frees.append((at + period, count - gone))
    return frees
