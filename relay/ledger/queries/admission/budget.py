"""`budget`: chats and credits of a rule in the present hour, day or month, and whether they were told as used up.

A value has, for chats and for credits, the start of the window that is counted and how much of it is used. A window
begins when the calendar's has; one that begins earlier, because the clock was set back, is not begun anew.
"""

from typing import Any, Final

from relay.ledger.queries.admission.step import ClaimRuling, Moment, Stay
from relay.model import Failure, ParkReason, Spending, SpendingLevel, State
from relay.rules.calendar import window
from relay.rules.zones import require_zone

KINDS: Final = ("chats", "credits")


def judge(plan: Any, known: Any, moment: Moment) -> ClaimRuling:
    """Count the chat where neither its chats nor its credits are used up. What makes no chat asks for credits alone."""
    value = known or {}
    now = moment.now
    kinds = ("credits",) if moment.follows else KINDS
    full = [kind for kind in kinds if plan[kind] and used(plan, value, kind, now) >= plan[kind][0]]
    if full and not moment.renews:
        until = max(_window(plan, kind, now)[1] for kind in full)
        counts = " and ".join(f"{plan[kind][0]}/{plan[kind][1]} {kind}" for kind in full)
        message = f"its rule has used up its budget of {counts} ({plan['zone']})"
        if plan["then"] == "park":
            failure = Failure(ParkReason.BUDGET.value, f"{message}: retry it when the window has turned, or cancel it")
            return ClaimRuling(Stay(State.PARKED, failure, ParkReason.BUDGET))
        return ClaimRuling(Stay(State.HELD, Failure(ParkReason.BUDGET.value, message), until=until))
    if moment.follows or not plan["chats"]:
        return ClaimRuling()
    return ClaimRuling(None, put(plan, value, "chats", used(plan, value, "chats", now) + 1, now), expiry(plan, now))


def used(plan: Any, value: Any, kind: str, now: int) -> float:
    """How much of the present window is used."""
    start, count = value.get(kind) or (0, 0)
    return count if start >= _window(plan, kind, now)[0] else 0


def put(plan: Any, value: Any, kind: str, count: float, now: int) -> dict[str, Any]:
    """The value with this much used of the present window."""
    start = max(_window(plan, kind, now)[0], (value.get(kind) or (0,))[0])
    return {**value, kind: [start, count]}


def expiry(plan: Any, now: int) -> int:
    """When the value is of no use any more."""
    return max(_window(plan, kind, now)[1] for kind in KINDS if plan[kind])


def measure(plan: Any, known: Any, credits_used: float | None, now: int) -> tuple[Spending, dict[str, Any]]:
    """What is used, and the value after it. `credits_used` are what Cargo tells of the window, None if not asked now.

    A level is raised once in a window: that of the budget which reaches it first. Credits do not fall within a window,
    also when a chat was deleted at Cargo.
    """
    value = dict(known or {})
    if credits_used is not None and plan["credits"]:
        value = put(plan, value, "credits", max(credits_used, used(plan, value, "credits", now)), now)
        value["asked"] = now
    shares = {kind: used(plan, value, kind, now) / plan[kind][0] for kind in KINDS if plan[kind]}
    raised = None
    for kind, share in shares.items():
        start = _window(plan, kind, now)[0]
        level = 2 if share >= 1 else 1 if share >= plan["warn"] else 0
        told = value.get("told", {}).get(kind) or [0, 0]
        if level > (told[1] if told[0] >= start else 0):
            value["told"] = {**value.get("told", {}), kind: [start, level]}
            raised = SpendingLevel.SPENT if level == 2 else raised or SpendingLevel.WARNED
    asked = value.get("asked")
    asked_ago = None if asked is None or asked > now else now - asked
    since = _window(plan, "credits", now)[0] if plan["credits"] else now
    until = max([now, *(_window(plan, kind, now)[1] for kind, share in shares.items() if share >= plan["warn"])])
    return Spending(shares, since, now, until, asked_ago, raised), value


def _window(plan: Any, kind: str, now: int) -> tuple[int, int]:
    return window(now, plan[kind][1], require_zone(plan["zone"]))
