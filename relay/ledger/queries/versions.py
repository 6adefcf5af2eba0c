"""The versions of rules: each text once, for as long as a dispatch needs it."""

import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

from sqlalchemy import BigInteger, Connection, Table, bindparam, delete, literal_column, select

from relay.ledger.engine.sql import Columns, Upsert, padded, run, upsert
from relay.ledger.engine.writes import Writes
from relay.ledger.schema import dispatches, events, rule_sets, rule_versions, work
from relay.ledger.terms import Terms
from relay.model import RuleVersion, set_hash

_HOUR: Final = 3_600_000
_DAY: Final = 86_400_000
_OLD: Final = select(rule_versions.c.hash)
_BY_HASH: Final = select(rule_versions).where(rule_versions.c.hash.in_(bindparam("hashes", expanding=True)))
_OF_DISPATCHES: Final = select(dispatches.c.id, dispatches.c.rule_version).where(
    dispatches.c.id.in_(bindparam("ids", expanding=True))
)
_HOLDING: Final = (
    select(dispatches.c.rule_version)
    .join(work, work.c.dispatch_id == dispatches.c.id)
    .where(work.c.cancel_key.is_not(None), work.c.first_attempt_at.is_(None))
    .distinct()
)
_UNSEEN: Final = rule_versions.c.seen_at < bindparam("until")
_OVER: Final = (
    delete(rule_versions)
    .where(_UNSEEN, rule_versions.c.hash.not_in(bindparam("needed", expanding=True)))
    .returning(rule_versions.c.hash)
)


def keep(conn: Connection, now: int, *, versions: Sequence[RuleVersion]) -> None:
    """Store the versions that are in force, or note that they still are."""
    # In the order of the key, so that two replicas never wait for each other.
    ordered = sorted({version.hash: version for version in versions}.items())
    columns: Columns = {
        "hash": [digest for digest, _ in ordered],
        "rule": [version.rule for _, version in ordered],
        "text": [version.text for _, version in ordered],
        "seen_at": [now] * len(ordered),
    }
    together: Columns = {
        "hash": [set_hash(versions)],
        "versions": [json.dumps([version.hash for version in versions])],
        "seen_at": [now],
    }
    with Writes(conn) as writes:
        writes.insert(_keep(conn.dialect.name, rule_versions), columns)
        if versions:
            writes.insert(_keep(conn.dialect.name, rule_sets), together)


@cache
def _keep(dialect: str, table: Table) -> Upsert:
    """Notes at most once an hour that a version is in force: thousands of rules cost a reload no writes."""
    insertion = upsert(dialect, table)
    seen_at = insertion.excluded.seen_at
    return insertion.on_conflict_do_update(
        index_elements=[table.c.hash],
        set_={"seen_at": seen_at},
        where=table.c.seen_at < seen_at - literal_column(str(_HOUR), BigInteger),
    )


def find(conn: Connection, hashes: Iterable[str | None]) -> dict[str, RuleVersion]:
    """The stored versions among these, by hash."""
    wanted = {digest for digest in hashes if digest is not None}
    if not wanted:
        return {}
    rows = run(conn, _BY_HASH, {"hashes": padded(sorted(wanted))})
    return {row["hash"]: RuleVersion(row["hash"], row["rule"], row["text"]) for row in rows}


def versions_of(conn: Connection, dispatch_ids: Sequence[str]) -> dict[str, str | None]:
    """The hashes of the versions that decided dispatches."""
    rows = run(conn, _OF_DISPATCHES, {"ids": padded(dispatch_ids)}) if dispatch_ids else ()
    return {row["id"]: row["rule_version"] for row in rows}


def holding(conn: Connection, _now: int) -> tuple[RuleVersion, ...]:
    """The versions that have decided what an event may still cancel (`delay` with `unless`)."""
    return tuple(find(conn, [row["rule_version"] for row in run(conn, _HOLDING)]).values())


def of_event(conn: Connection, _now: int, *, event_id: str) -> tuple[RuleVersion, ...]:
    """The versions of all rules that decided an event, in the order of the rules; none where they are not kept."""
    of_set = select(rule_sets.c.versions).join(events, events.c.rule_set == rule_sets.c.hash)
    row = conn.execute(of_set.where(events.c.id == event_id)).first()
    hashes: list[str] = [] if row is None else json.loads(row.versions)
    found = find(conn, hashes)
    return tuple(found[each] for each in hashes if each in found)


def gathering(conn: Connection, _now: int, *, dispatch_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Of the dispatches among these whose chats see other events too: the sources of their rule, by id.

    A version that is not kept any more may have been such a rule.
    """
    hashes = versions_of(conn, dispatch_ids)
    sources = {digest: _gathered(each.text) for digest, each in find(conn, hashes.values()).items()}
    found = {each: sources.get(digest, ("*",)) for each, digest in hashes.items() if digest is not None}
    return {dispatch_id: given for dispatch_id, given in found.items() if given is not None}


def _gathered(text: str) -> tuple[str, ...] | None:
    """The sources of a rule that makes one chat of all events of a window, as names and globs; None of another."""
    rule = json.loads(text)
    if (rule.get("debounce") or {}).get("keep") != "all":
        return None
    given = rule.get("source") or "*"
    return (given,) if isinstance(given, str) else tuple(given)


def expire(conn: Connection, now: int, *, terms: Terms) -> int:
    """Delete versions that no dispatch needs any more. Returns how many.

    A version is looked at when it has been out of force for longer than any finished dispatch is kept. Of its time
    only dispatches are left then that wait for a person or are unfinished, and those are the first by id: few rows to
    read. The day is for clocks of replicas that differ, by which ids are made.
    """
    longest = max([terms.retain, *terms.retain_of.values()])
    # An older event is explained by the versions that its dispatches name.
    conn.execute(delete(rule_sets).where(rule_sets.c.seen_at < now - longest - _DAY))
    until = now - longest - _DAY
    if conn.execute(_OLD.where(_UNSEEN).limit(1), {"until": until}).first() is None:
        return 0
    stamp = f"{max(0, now - longest):012x}"
    left = select(dispatches.c.rule_version).where(dispatches.c.id < f"{stamp[:8]}-{stamp[8:]}").distinct()
    needed = {digest for digest in conn.execute(left).scalars() if digest is not None}
    return len(run(conn, _OVER, {"until": until, "needed": padded(sorted(needed) or [""])}))
