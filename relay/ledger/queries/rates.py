"""What is counted: rates per minute, usage per day. Counted in memory, written once a second, read as sums."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, delete, func, literal, select

from relay.ledger.engine.sql import Row, Upsert, padded, run, upsert, write_many
from relay.ledger.schema import dispatches, minutes, usage, work
from relay.ledger.terms import Terms
from relay.model import Load, Loads, Measured, RateQuery, State, Usage
from relay.telemetry import COUNTS, MinuteTally

MINUTE: Final = 60_000
DAY: Final = 86_400_000
KEPT: Final = 30 * DAY
"""How long minutes are kept."""
USAGE_KEPT: Final = 400 * DAY
_MOST: Final = 500
"""Minutes that are deleted in one turn, of all that was counted in them."""
_COUNTED: Final = 5_000
"""Dispatches that are counted at most to tell what rules hold."""

_SUMS: Final = tuple(func.sum(minutes.c[name]).label(name) for name in COUNTS)
_STEP: Final = (minutes.c.minute // bindparam("step")) * bindparam("step")
_RATES: Final = (
    select(_STEP.label("at"), *_SUMS)
    .where(
        minutes.c.kind == bindparam("of_kind"),
        minutes.c.name == bindparam("of_name"),
        minutes.c.minute >= bindparam("since"),
        minutes.c.minute < bindparam("until"),
    )
    .group_by("at")
    .order_by("at")
)
_TOTALS: Final = (
    select(minutes.c.name, *_SUMS)
    .where(minutes.c.kind == bindparam("of_kind"), minutes.c.minute >= bindparam("since"))
    .group_by(minutes.c.name)
)
_USAGE: Final = (
    select(
        usage.c.day,
        usage.c.rule,
        func.sum(usage.c.chats).label("chats"),
        func.max(usage.c.credits).label("credits"),
        func.max(usage.c.asked_at).label("asked_at"),
    )
    .where(usage.c.day >= bindparam("since"), usage.c.day < bindparam("until"))
    .group_by(usage.c.day, usage.c.rule)
    .order_by(usage.c.day.desc(), usage.c.rule)
)
_ASKED: Final = select(func.max(usage.c.asked_at).label("asked_at")).where(usage.c.owner == "")
_RULES: Final = select(dispatches.c.id, dispatches.c.rule).where(dispatches.c.id.in_(bindparam("ids", expanding=True)))
_HELD: Final = select(work.c.dispatch_id).where(work.c.held_by.is_not(None)).limit(_COUNTED).subquery()
_HELD_BY_RULE: Final = (
    select(dispatches.c.rule, func.count().label("count"))
    .join(_HELD, _HELD.c.dispatch_id == dispatches.c.id)
    .group_by(dispatches.c.rule)
)
_PARKED: Final = (
    select(dispatches.c.rule)
    # Both, as the text of the statement has them, so that the partial index is used.
    .where(
        dispatches.c.state == literal(State.PARKED.value, literal_execute=True),
        dispatches.c.state != literal(State.DONE.value, literal_execute=True),
    )
    .limit(_COUNTED)
    .subquery()
)
_PARKED_BY_RULE: Final = select(_PARKED.c.rule, func.count().label("count")).group_by(_PARKED.c.rule)


def count(conn: Connection, now: int, *, tally: MinuteTally, terms: Terms) -> None:
    """Add what this replica has counted to the present minute, and its chats to the present day."""
    minute, day = now - now % MINUTE, now - now % DAY
    none = dict.fromkeys(COUNTS, 0)
    rows: list[Row] = [
        {"kind": kind, "name": name, "minute": minute, "owner": terms.owner, **none, **counts}
        for (kind, name), counts in sorted(tally.items())
    ]
    write_many(conn, _add_minutes(conn.dialect.name), rows)
    made = [(name, chats) for (kind, name), counts in sorted(tally.items()) if (chats := _chats(kind, counts))]
    used: list[Row] = [{"day": day, "rule": name, "owner": terms.owner, "chats": chats} for name, chats in made]
    write_many(conn, _add_usage(conn.dialect.name), used)


def _chats(kind: str, counts: Mapping[str, int]) -> int:
    return counts.get("chats", 0) if kind == "rule" else 0


@cache
def _add_minutes(dialect: str) -> Upsert:
    return _adding(upsert(dialect, minutes), minutes, COUNTS)


@cache
def _add_usage(dialect: str) -> Upsert:
    put = upsert(dialect, usage).values({name: bindparam(name) for name in ("day", "rule", "owner", "chats")})
    return _adding(put, usage, ("chats",))


def _adding(put: Upsert, table: Table, names: Iterable[str]) -> Upsert:
    sums = {name: table.c[name] + put.excluded[name] for name in names}
    return put.on_conflict_do_update(index_elements=list(table.primary_key), set_=sums)


def rates(conn: Connection, _now: int, *, query: RateQuery) -> Sequence[Measured]:
    """The steps in which anything was counted, oldest first. They begin at whole multiples of the step."""
    values = {"step": query.step, "since": query.since, "until": query.until}
    rows = run(conn, _RATES, values | {"of_kind": query.kind, "of_name": query.name})
    return [Measured(int(row["at"]), _counts(row)) for row in rows]


def totals(conn: Connection, _now: int, *, kind: str, since: int) -> Mapping[str, Measured]:
    """What was counted since then, by the name of the source or the rule."""
    rows = run(conn, _TOTALS, {"of_kind": kind, "since": since})
    return {row["name"]: Measured(since, _counts(row)) for row in rows}


def _counts(row: Any) -> dict[str, int]:
    return {name: int(row[name]) for name in COUNTS if row[name]}


def loads(conn: Connection, _now: int) -> Loads:
    """What is held and parked, by rule."""
    held = {row["rule"]: int(row["count"]) for row in run(conn, _HELD_BY_RULE)}
    parked = {row["rule"]: int(row["count"]) for row in conn.execute(_PARKED_BY_RULE).mappings()}
    by_rule = {rule: Load(held.get(rule, 0), parked.get(rule, 0)) for rule in sorted({*held, *parked})}
    return Loads(by_rule, complete=max(sum(held.values()), sum(parked.values())) < _COUNTED)


def used(conn: Connection, _now: int, *, since: int, until: int) -> Sequence[Usage]:
    """Chats and credits by day and rule, the last day first."""
    return [Usage(**{**row, "chats": int(row["chats"])}) for row in run(conn, _USAGE, {"since": since, "until": until})]


def asked_ago(conn: Connection, now: int) -> int | None:
    """Milliseconds since Cargo was asked for credits, None for never."""
    [row] = run(conn, _ASKED)
    return None if row["asked_at"] is None else max(0, now - int(row["asked_at"]))


def rules_of(conn: Connection, _now: int, *, dispatch_ids: Sequence[str]) -> Mapping[str, str]:
    """The rules of dispatches, by id. Those that are not kept any more are left out."""
    rows = run(conn, _RULES, {"ids": padded(sorted(dispatch_ids))}) if dispatch_ids else ()
    return {row["id"]: row["rule"] for row in rows}


def keep_credits(conn: Connection, now: int, *, day: int, credits_by_rule: Mapping[str, float]) -> None:
    """Keep what the chats of a day have cost, by rule. They do not fall when a chat is deleted at Cargo."""
    rows: list[Row] = [
        {"day": day, "rule": rule, "owner": "", "chats": 0, "credits": used_by, "asked_at": now}
        for rule, used_by in sorted(credits_by_rule.items())
    ]
    write_many(conn, _keep(conn.dialect.name), rows)


@cache
def _keep(dialect: str) -> Upsert:
    put = upsert(dialect, usage)
    grown = func.greatest if dialect == "postgresql" else func.max
    changed = {"credits": grown(usage.c.credits, put.excluded.credits), "asked_at": put.excluded.asked_at}
    return put.on_conflict_do_update(index_elements=list(usage.primary_key), set_=changed)


def expire(conn: Connection, now: int) -> int:
    """Delete the oldest minutes that are kept for long enough, and old days. Returns how many rows."""
    old = select(minutes.c.minute).where(minutes.c.minute < now - KEPT).order_by(minutes.c.minute).limit(_MOST)
    last = conn.execute(select(func.max(old.subquery().c.minute))).scalar()
    deleted = 0 if last is None else conn.execute(delete(minutes).where(minutes.c.minute <= last)).rowcount
    conn.execute(delete(usage).where(usage.c.day < now - USAGE_KEPT))
    return deleted
