"""The JSON of rules with what they did, of rates per step, and of usage per day."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from pydantic import Field

from relay.errors import Conflict
from relay.model import Load, Loads, Measured, RateQuery, Usage, Why
from relay.ops.ask import Ask, Moment, Words, read_moment
from relay.ops.wire import Moment as At
from relay.ops.wire import OpenDocument, Wire
from relay.units import duration, iso

_DAY: Final = 86_400_000
_MOST_STEPS: Final = 1_500
_WHYS: Final = tuple(str(why) for why in Why)


class RuleCounts(Wire):
    """What a rule did: `ended` counts dispatches that ended without a chat on purpose, `skips` events by reason."""

    chats: int
    failed: int
    parked: int
    ended: int
    skips: dict[str, int]


class Rule(OpenDocument):
    """A rule. One that is paused and no longer configured has `inForce` false, and only a name.

    `held` and `parked` are dispatches that wait now, `lastDay` what the rule did in the last 24 hours.
    """

    name: str
    in_force: bool = True
    paused: bool = False
    sources: list[str] = Field(default=[])
    types: list[str] = Field(default=[])
    when: str | None = None
    stop: bool = False
    hash: str | None = None
    held: int = 0
    parked: int = 0
    last_day: RuleCounts


class Rules(Wire):
    """The rules, in the order in which they are tried.

    `counted` is `all`, or `some` where more is held or parked than is counted: then the numbers are the least.
    """

    rules: list[Rule]
    counted: str


class RuleDetail(Rule):
    """A rule, with its `text` as YAML: the keys that differ from their defaults."""

    text: str | None


class RuleState(Wire):
    """A rule after it was paused or resumed."""

    name: str
    paused: bool


class RatesAsk(Ask):
    """Of what, from when to when, in which steps: at most 1,500 of them, else each is as long as needed."""

    since: Annotated[Moment, Field(description="an ISO 8601 time, or how long ago, for example 24h")] = "1h"
    until: Annotated[Moment | None, Field(description="an ISO 8601 time, or how long ago; default: now")] = None
    step: Annotated[
        str,
        Field(pattern=r"^[1-9][0-9]{0,3}[mhd]$", description="for example 1m, 15m, 1d; longer where it makes too many"),
    ] = "1m"
    source: Annotated[Words | None, Field(description="only of this source")] = None
    rule: Annotated[Words | None, Field(description="only of this rule")] = None

    def query(self, now: int) -> RateQuery:
        """The ledger's query, whose span begins with a whole step. Raises BadRequest, Conflict."""
        if self.source is not None and self.rule is not None:
            raise Conflict("what is counted is of a source or of a rule: give one of both")
        since = read_moment("since", self.since, now) or 0
        until = read_moment("until", self.until, now)
        until = now + 1 if until is None else until
        step = duration(self.step)
        step *= max(1, -(-(until - since) // (step * _MOST_STEPS)))
        kind = "source" if self.source else "rule" if self.rule else "all"
        return RateQuery(since // step * step, until, step, kind, self.source or self.rule or "")


class RateStep(Wire):
    """What was counted in a step that begins at `at`.

    Events are accepted, unmatched, duplicate or unreadable, requests `refused`, dispatches became `chats`, failed,
    parked, or `ended` without a chat on purpose. `p50Ms` and `p99Ms` are times from an event to its result.
    """

    at: At
    accepted: int
    unmatched: int
    duplicate: int
    unreadable: int
    refused: int
    chats: int
    failed: int
    parked: int
    ended: int
    skips: dict[str, int]
    p50_ms: int | None
    p99_ms: int | None


class Rates(Wire):
    """What was counted per step, oldest first. Steps in which nothing happened are left out; `total` is of all."""

    since: At
    until: At
    step_seconds: int
    source: str | None
    rule: str | None
    total: RateStep
    rates: list[RateStep]


class UsageAsk(Ask):
    """Of which days (UTC), and of which rule."""

    since: Annotated[Moment, Field(description="an ISO 8601 time, or how long ago, for example 30d")] = "7d"
    until: Annotated[Moment | None, Field(description="an ISO 8601 time, or how long ago; default: now")] = None
    rule: Annotated[Words | None, Field(description="only of this rule")] = None

    def span(self, now: int) -> tuple[int, int]:
        """The first moment of the first day, and the end. Raises BadRequest."""
        until = read_moment("until", self.until, now)
        return (read_moment("since", self.since, now) or 0) // _DAY * _DAY, now + 1 if until is None else until


class UsedDay(Wire):
    """What a rule used on a day. `credits` are null where Cargo was not asked, `askedAt` is when it was."""

    day: Annotated[str, Field(examples=["2026-11-23"])]
    rule: str
    chats: int
    credits: float | None
    asked_at: At | None


class UsageReport(Wire):
    """Chats and credits by day and rule, the last day first; days are of UTC."""

    usage: list[UsedDay]
    chats: int
    credits: float | None


def show_rules(described: Sequence[Mapping[str, Any]], loads: Loads, totals: Mapping[str, Measured]) -> Rules:
    return Rules(
        rules=[Rule.model_validate(_with_counts(each, loads, totals)) for each in described],
        counted="all" if loads.complete else "some",
    )


def show_rule(
    described: Mapping[str, Any], loads: Loads, totals: Mapping[str, Measured], text: str | None
) -> RuleDetail:
    return RuleDetail.model_validate(_with_counts(described, loads, totals) | {"text": text})


def _with_counts(described: Mapping[str, Any], loads: Loads, totals: Mapping[str, Measured]) -> dict[str, Any]:
    name = described["name"]
    load, rate = loads.by_rule.get(name, Load()), totals.get(name, Measured(0, {}))
    return {**described, "held": load.held, "parked": load.parked, "lastDay": _counts(rate)}


def _counts(rate: Measured) -> dict[str, Any]:
    counts = {name: rate.counts.get(name, 0) for name in ("chats", "failed", "parked", "ended")}
    return counts | {"skips": _skips(rate)}


def _skips(rate: Measured) -> dict[str, int]:
    return {why: rate.counts[why] for why in _WHYS if why in rate.counts}


def show_rates(query: RateQuery, rates: Sequence[Measured]) -> Rates:
    return Rates(
        since=iso(query.since),
        until=iso(query.until),
        step_seconds=query.step // 1_000,
        source=query.name if query.kind == "source" else None,
        rule=query.name if query.kind == "rule" else None,
        total=show_step(total_of(query.since, rates)),
        rates=[show_step(rate) for rate in rates],
    )


def total_of(at: int, rates: Sequence[Measured]) -> Measured:
    """The sum of all."""
    names = {name for rate in rates for name in rate.counts}
    return Measured(at, {name: sum(rate.counts.get(name, 0) for rate in rates) for name in names})


def show_step(rate: Measured) -> RateStep:
    names = ("accepted", "unmatched", "duplicate", "unreadable", "refused")
    counts = {name: rate.counts.get(name, 0) for name in names} | _counts(rate)
    return RateStep(at=iso(rate.at), p50_ms=rate.took(0.5), p99_ms=rate.took(0.99), **counts)


def show_usage(used: Sequence[Usage], rule: str | None) -> UsageReport:
    chosen = [each for each in used if rule in {None, each.rule}]
    spent = [each.credits for each in chosen if each.credits is not None]
    return UsageReport(
        usage=[_day(each) for each in chosen],
        chats=sum(each.chats for each in chosen),
        credits=sum(spent) if spent else None,
    )


def _day(used: Usage) -> UsedDay:
    asked_at = None if used.asked_at is None else iso(used.asked_at)
    return UsedDay(day=iso(used.day)[:10], rule=used.rule, chats=used.chats, credits=used.credits, asked_at=asked_at)
