"""Judges what comes in and what is made of it: sources, rules, secrets."""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from relay.app.doctor.line import Found, Judgement, act, look, ok
from relay.config import AmqpSource, WebhookSource
from relay.model import LedgerHealth
from relay.units import iso, show

Source = WebhookSource | AmqpSource
_MOST: Final = 20
"""Lines of one check; the rest is counted."""


def judge_sources(sources: Mapping[str, Source], health: LedgerHealth, paused: Collection[str]) -> Found:
    """Sources without an event, or silent for longer than their `expect`."""
    lines: list[Judgement] = []
    for name, source in sources.items():
        last = health.last.get(name)
        if name in paused:
            lines.append(look(f"{name} is paused by a person", f"resume it: POST /api/sources/{name}/resume"))
        elif last is None:
            lines.append(look(f"{name} has no event in the ledger", _advise(source)))
        elif source.expect is not None and health.now - last > source.expect:
            silent = f"{name} is silent since {iso(last)}, longer than its `expect` of {show(source.expect)}"
            lines.append(act(silent, f"look at the sender; `relay events --source {name}`"))
    return _cut(lines) or [ok(f"{_count(sources, 'source')}, each with events")]


def _advise(source: Source) -> str:
    if isinstance(source, AmqpSource):
        return f"see whether anything publishes to queue {source.queue!r}"
    return f"`relay sources {source.scheme}` has the steps; refused requests are at `GET /api/rejected`"


def judge_rules(rules: Sequence[str], health: LedgerHealth) -> Found:
    """Rules that made none of the newest dispatches, and skipped nothing lately."""
    idle = [rule for rule in rules if rule not in health.recent and rule not in health.skipped]
    if not idle:
        return [ok(f"{_count(rules, 'rule')}, each at work")]
    if not health.looked_at or health.since is None:
        return [
            look("nothing was dispatched yet, so nothing is known", "`relay try` shows what rules make of an event")
        ]
    what = f"none of the newest {health.looked_at} dispatches (since {iso(health.since)})"
    todo = "`relay try` says why it does not match; remove it if it is of no use any more"
    return _cut([look(f"{rule} made {what}", todo) for rule in idle])


def judge_secrets(sources: Mapping[str, Source], uses: Mapping[str, Sequence[int]] | None) -> Found:
    """Sources with several secrets whose sender still signs with an old one. The first secret is the new one.

    `uses` has when each secret of a source last proved a request to this replica since its start or its latest reload,
    0 for never; None without a relay.
    """
    several = [name for name, source in sources.items() if isinstance(source, WebhookSource) and len(source.live) > 1]
    if not several:
        return [ok("no source has a second one")]
    if uses is None:
        what = f"{', '.join(several)}: which of the secrets is used knows only the running relay"
        return [look(what, "ask it with --url")]
    lines: list[Judgement] = []
    for name in several:
        used = uses.get(name, ())
        if not any(used):
            what = f"{name}: no request has come to this replica since its start or reload, so its secret is not known"
            lines.append(look(what, "ask again after one, or another replica"))
        elif not used[0]:
            old = max(used)
            what = f"{name}: only an old secret is used, last at {iso(old)}, the new one (the first) never"
            lines.append(act(what, "give the sender the new secret before the old one is removed or ends"))
        elif max(used[1:]) > used[0]:
            lines.append(look(f"{name}: both are used, the old one last", "see that each sender has the new secret"))
    return _cut(lines) or [ok(f"{', '.join(several)}: the new one is used, the old one may be removed")]


def _cut(lines: list[Judgement]) -> list[Judgement]:
    if len(lines) <= _MOST:
        return lines
    return [*lines[:_MOST], look(f"{len(lines) - _MOST} more like these", "mend these first")]


def _count(things: Collection[object], name: str) -> str:
    return f"{len(things)} {name}" + ("" if len(things) == 1 else "s")
