"""Watches the budgets of rules: asks Cargo for the credits that their chats have used, and tells what is used up.

The ledger counts chats itself and keeps what Cargo says of credits, so that every replica decides by the same numbers.
A lease makes one replica at a time ask. What cannot be asked keeps the last number.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

from relay.dispatch.gate import Gate
from relay.dispatch.scan import SKEW
from relay.errors import Permanent, Retryable, Unavailable, Unknown
from relay.life import Stop
from relay.model import Spending, SpendingLevel
from relay.ports import Budgets, Chats
from relay.telemetry import Metrics, get_log

log = get_log()

Plans = Mapping[str, Mapping[str, Any]]
"""The budgets of the rules that have one, by rule, as `relay.rules.RuleSet.budgets` gives them."""

_TURN: Final = 5.0
_ASK: Final = 285_000
"""Milliseconds from one question for credits to the next: every 5 minutes with the time of a turn."""
_ASK_NEAR: Final = 25_000
"""The same past `warn` of a budget."""
_LEASE: Final = 60_000
_LEASE_NAME: Final = "budgets"
_FURTHEST: Final = 100_000
"""Rows of Cargo's list that are read for one trigger type: a list that ignores the offset has no end."""


class BudgetWatch:
    """Looks at every budget each 5 s, on each replica, and asks Cargo for credits when they are old.

    `plans` gives the budgets in force. `boottime` returns milliseconds on a clock that keeps counting while the machine
    is suspended.
    """

    def __init__(
        self,
        ledger: Budgets,
        chats: Chats,
        gate: Gate,
        plans: Callable[[], Plans],
        *,
        boottime: Callable[[], int],
        metrics: Metrics,
    ) -> None:
        self._ledger = ledger
        self._chats = chats
        self._gate = gate
        self._plans = plans
        self._boottime = boottime
        self._metrics = metrics
        self._tried: dict[str, int] = {}
        """When credits were asked last, by rule, in `boottime`: also where there was nothing to ask, or it failed."""
        self._hurried: set[str] = set()
        """The rules that are looked at again soon: those that had made no chat yet, and those in `_failing`."""
        self._shown: set[tuple[str, str]] = set()
        """The series of the metric: rules with what their budget is of."""
        self._failing: set[str] = set()
        """The rules whose credits could not be asked the last time."""
        self._stop = Stop()

    async def run(self, stop: Stop) -> None:
        """Take turns until `stop`."""
        self._stop = stop
        while not stop.asked:
            try:
                await self.turn()
            except Unavailable as error:
                log.warning("ledger.unavailable", part="budgets", error=str(error))
            await stop.sleep(_TURN)

    async def turn(self) -> None:
        """Look at each budget once."""
        plans = self._plans()
        for rule, kind in [series for series in self._shown if not plans.get(series[0], {}).get(series[1])]:
            self._shown.discard((rule, kind))
            self._metrics.budget.remove(rule, kind)  # else it would stay at what it was, and its alert with it
        for rule, plan in plans.items():
            spending = await self._measure(rule, plan, None)
            if plan["credits"] and not self._gate.paused and self._is_old(rule, plan, spending):
                await self._ask(rule, plan, spending)

    async def _measure(self, rule: str, plan: Mapping[str, Any], credits_used: float | None) -> Spending:
        spending = await self._ledger.measure(rule, plan, credits_used)
        for kind, share in spending.shares.items():
            self._metrics.budget.labels(rule, kind).set(share)
            self._shown.add((rule, kind))
        if spending.raised is not None:
            _tell(rule, plan, spending, spending.raised)
        return spending

    def _is_old(self, rule: str, plan: Mapping[str, Any], spending: Spending) -> bool:
        """Whether nobody has asked for the rule's credits for a while, neither this replica nor another."""
        wait = _ASK_NEAR if max(spending.shares.values()) >= plan["warn"] else _ASK
        tried = self._tried.get(rule)
        if tried is not None and self._boottime() - tried < (_ASK_NEAR if rule in self._hurried else wait):
            return False
        return spending.asked_ago is None or spending.asked_ago >= wait

    async def _ask(self, rule: str, plan: Mapping[str, Any], spending: Spending) -> None:
        if not await self._ledger.lease(_LEASE_NAME, _LEASE):
            return
        self._tried[rule] = self._boottime()
        self._hurried.add(rule)
        made = await self._ledger.chats_since(rule, spending.since)
        if not made:
            return  # the rule is not at work
        try:
            used = await self._credits(made, spending)
        except (Retryable, Unknown, Permanent) as error:
            if rule not in self._failing:
                what = "the credits of its budget could not be asked; the last number counts until they can be"
                log.warning("budget.unasked", rule=rule, error=str(error), what=what)
            self._failing.add(rule)
            return
        if used is not None:
            self._failing.discard(rule)
            self._hurried.discard(rule)
            await self._measure(rule, plan, used)

    async def _credits(self, made: Mapping[str, str], spending: Spending) -> float | None:
        """The credits of these chats, given with the types of their triggers; None when the relay stops meanwhile."""
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        for uuid, trigger_type in made.items():
            wanted[trigger_type].add(uuid)
        found: dict[str, float] = {}
        for trigger_type, uuids in wanted.items():
            offset = 0
            while uuids - found.keys():
                if wait := await self._ledger.pace(1):
                    await self._stop.sleep(wait / 1_000)
                if self._stop.asked or not await self._ledger.lease(_LEASE_NAME, _LEASE):
                    return None
                since, until = spending.since - SKEW, spending.now + SKEW
                page = await self._chats.chats(trigger_type, since, until, offset)
                if not page.rows or offset >= _FURTHEST:
                    break
                found |= {chat.uuid: chat.credits_used or 0.0 for chat in page.chats if chat.uuid in uuids}
                offset += page.rows
        return sum(found.values())


def _tell(rule: str, plan: Mapping[str, Any], spending: Spending, level: SpendingLevel) -> None:
    """The one place that learns, once in a window, that a budget is nearly used up, and that it is."""
    line = {
        "rule": rule,
        "then": plan["then"],
        "zone": plan["zone"],
        **{
            f"{kind}_used": f"{share:.0%} of {plan[kind][0]}/{plan[kind][1]}" for kind, share in spending.shares.items()
        },
    }
    if level is SpendingLevel.WARNED:
        log.warning("budget.warned", what="most of the rule's budget is used", **line)
    else:
        log.error("budget.spent", what="the rule's budget is used up: see `then` for what becomes of the rest", **line)
