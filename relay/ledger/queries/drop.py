"""Drops the partitions of past days, on PostgreSQL, instead of deleting their rows.

What must stay is moved in the same transaction to the default partitions: events that `prune` would keep, those with
dispatches in another partition, and dispatches whose event is in another one. The tables are locked before that is
decided, so that no dispatch begins or ends meanwhile; every query that decides it therefore finds few rows by an index.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, text

from relay.ledger.engine.sql import is_alone
from relay.ledger.queries import days
from relay.ledger.queries.days import DAY, TABLES, Days
from relay.ledger.queries.keys import once
from relay.ledger.schema import dispatches
from relay.ledger.terms import Terms
from relay.model import State, first_id, frozen

MOST: Final = 5_000
"""Events, and dispatches of events elsewhere, up to which they are moved, and keys up to which they are released. Where
there are more, rows are pruned until there are not."""

_HERE: Final = "{0} >= :low AND {0} < :high"
_LIVE: Final = (
    "SELECT dispatches.event_id FROM work JOIN dispatches ON dispatches.id = work.dispatch_id"
    f" WHERE {_HERE.format('work.dispatch_id')} AND {_HERE.format('dispatches.id')}"
)
_PARKED: Final = (
    f"SELECT event_id FROM dispatches WHERE {_HERE.format('id')} AND state = '{State.PARKED}' AND state <> 'done'"
)
_LATELY: Final = f"SELECT event_id FROM dispatches WHERE {_HERE.format('id')} AND updated_at > :moment"
_OF_OTHER_DAYS: Final = (
    f"SELECT event_id FROM dispatches WHERE {_HERE.format('event_id')} AND (id < :low OR id >= :high)"
)
_UNDELIVERED: Final = (
    "SELECT results.event_id FROM outbox JOIN results ON results.id = outbox.result_id"
    f" WHERE {_HERE.format('outbox.result_id')} AND {_HERE.format('results.id')}"
)
_OF_SOURCE: Final = f"SELECT id FROM events WHERE {_HERE.format('id')} AND source = :source{{0}} AND id >= :since{{0}}"
_STRANGERS: Final = text(
    f"SELECT count(*) FROM (SELECT 1 FROM dispatches WHERE {_HERE.format('id')}"
    f" AND (event_id < :low OR event_id >= :high) LIMIT :most) AS strangers"
)
_FREE: Final = text(
    "SELECT dispatches.id FROM rule_keys JOIN dispatches ON dispatches.id = rule_keys.dispatch_id"
    f" WHERE rule_keys.value IS NULL AND {_HERE.format('rule_keys.dispatch_id')} AND {_HERE.format('dispatches.id')}"
    f" AND state <> '{State.PARKED}' AND state <> 'done' AND chat_uuid IS NULL AND updated_at <= :moment LIMIT :most"
)
_OF_EVENTS: Final = "event_id = ANY(:ids) OR event_id < :low OR event_id >= :high"
_SUMMARIZE: Final = text(
    "SELECT brin_summarize_new_values(indexrelid) FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
    " WHERE indrelid = CAST(:leaf AS regclass) AND relam = (SELECT oid FROM pg_am WHERE amname = 'brin')"
)


@frozen
class Turn:
    """What a turn did: the days whose partition it dropped, about how many events they had, how many of them were kept.

    `left` are those whose partition is dropped later, and whose rows `prune` therefore leaves alone.
    """

    left: Sequence[Days] = ()
    dropped: Days | None = None
    events: int = 0
    kept: int = 0


def drop(conn: Connection, now: int, *, terms: Terms) -> Turn:
    """Drop the oldest partition that is past `terms.retain` as a whole and has little to keep."""
    if is_alone(conn):
        return Turn()
    present = days.there(conn)
    moment = now - terms.retain
    left = [young for young in present if young.end > moment]
    if len(left) < len(present) and days.may_change(conn):
        for old in present[: len(present) - len(left)]:
            with days.changing(conn) as lock:
                if _keep(conn, old, moment, terms) is None or (freed := _free(conn, old, moment)) is None:
                    continue
                events = _about(conn, old)
                lock()
                ids = _keep(conn, old, moment, terms)
                if ids is not None:
                    # None that ended since is dropped, so these are all; one that was retried since is not released.
                    once.release(conn, dispatches.c.id.in_(freed), dispatches.c.updated_at <= moment)
                    _replace(conn, old, ids)
                    return Turn(_left(left, terms), old, events, len(ids))
            # Somebody held a table. For a day this is tried again before the rows are pruned one by one.
            if old.end > moment - DAY:
                left.append(old)
    return Turn(_left(left, terms))


def _left(young: Sequence[Days], terms: Terms) -> Sequence[Days]:
    """What rows need not be pruned of. Where hours are retained, nobody waits for the end of a day."""
    return young if terms.retain >= DAY else ()


def _about(conn: Connection, old: Days) -> int:
    """About how many events a partition has, at least one."""
    rows = conn.exec_driver_sql(f"SELECT reltuples FROM pg_class WHERE oid = '{_leaf('events', old)}'::regclass")
    return max(1, int(rows.scalar_one()))


def _leaf(table: str, old: Days) -> str:
    return f"{table}_{old.name}"


def _keep(conn: Connection, old: Days, moment: int, terms: Terms) -> list[str] | None:
    """The ids of the events that stay; None when there is too much to move."""
    # Pages that no vacuum has summarized would be read under the lock; after the first call there are none.
    conn.execute(_SUMMARIZE, {"leaf": _leaf("dispatches", old)})
    conn.exec_driver_sql("SET LOCAL enable_seqscan = off")
    values: dict[str, Any] = {"low": old.low, "high": old.high, "most": MOST + 1}
    if conn.execute(_STRANGERS, values).scalar_one() > MOST:
        return None
    kept = [_LIVE, _PARKED, _LATELY, _OF_OTHER_DAYS, _UNDELIVERED]
    values["moment"] = moment
    longer = {source: retain for source, retain in terms.retain_of.items() if retain > terms.retain}
    for number, (source, retain) in enumerate(sorted(longer.items())):
        kept.append(_OF_SOURCE.format(number))
        values |= {f"source{number}": source, f"since{number}": first_id(moment + terms.retain - retain)}
    query = f"SELECT event_id FROM ({' UNION '.join(kept)}) AS kept WHERE {_HERE.format('event_id')} LIMIT :most"
    ids = list(conn.execute(text(query), values).scalars())
    return None if len(ids) > MOST else ids


def _free(conn: Connection, old: Days, moment: int) -> list[str] | None:
    """The dispatches that have a key (`once`) and ended without a chat before `moment`; None when they are too many.

    It reads the keys of a whole day, and so comes before the lock.
    """
    ids = list(conn.execute(_FREE, {"low": old.low, "high": old.high, "moment": moment, "most": MOST + 1}).scalars())
    return None if len(ids) > MOST else ids


def _replace(conn: Connection, old: Days, ids: list[str]) -> None:
    """Drop partitions, but for these events and what belongs to them or to events of other days."""
    of_dispatches = f"SELECT id FROM {_leaf('dispatches', old)} WHERE {_OF_EVENTS}"
    moved = {
        "events": "id = ANY(:ids)",
        "labels": "event_id = ANY(:ids)",
        "dispatches": _OF_EVENTS,
        "attempts": f"dispatch_id IN ({of_dispatches})",
        "results": _OF_EVENTS,
    }
    for name in TABLES:
        conn.exec_driver_sql(f"ALTER TABLE {name} DETACH PARTITION {_leaf(name, old)}")
    for name in TABLES:
        query = text(f"INSERT INTO {name} SELECT * FROM {_leaf(name, old)} WHERE {moved[name]}")
        bound = {"ids": ids, "low": old.low, "high": old.high}
        conn.execute(query, {key: value for key, value in bound.items() if f":{key}" in moved[name]})
    conn.exec_driver_sql(f"DROP TABLE {', '.join(_leaf(name, old) for name in TABLES)}")
