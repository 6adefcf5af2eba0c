"""Chats and credits by rule and day."""

from collections import defaultdict
from typing import Any, Final

from aiohttp import web

from relay.ops.console.chart import shares
from relay.ops.console.page import Console, Values
from relay.ops.rated import UsageReport

_SPANS: Final = ("7d", "30d", "90d")


async def show(console: Console, request: web.Request) -> Values:
    """The page: the sums of rules, then the days."""
    report = await console.api.usage(request)
    return {"report": report, "rules": _by_rule(report), "query": request.query, "spans": _SPANS}


def _by_rule(report: UsageReport) -> list[dict[str, Any]]:
    """Chats and credits of each rule in the whole span, the busiest first."""
    chats: defaultdict[str, int] = defaultdict(int)
    spent: dict[str, float] = {}
    for day in report.usage:
        chats[day.rule] += day.chats
        if day.credits is not None:
            spent[day.rule] = spent.get(day.rule, 0.0) + day.credits
    ordered = sorted(chats, key=lambda rule: (-chats[rule], rule))
    parts = shares([chats[rule] for rule in ordered])
    return [
        {"rule": rule, "chats": chats[rule], "credits": spent.get(rule), "share": part}
        for rule, part in zip(ordered, parts, strict=True)
    ]
