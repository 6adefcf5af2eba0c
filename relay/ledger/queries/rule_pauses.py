"""Pauses of rules by a person: what may not start meanwhile, and how it is let go.

A replica knows from `Terms.paused_rules` which rules may be paused, a moment late. Whoever holds a dispatch for that
asks the table again, and locks the row until the commit: so a resume comes either before, and nothing is held, or
after, and finds what was held. What was held is let go in turns, so that no writer waits long. Until it is done the row
stays, and any replica goes on with it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Final

from sqlalchemy import Connection, bindparam, case, delete, false, select, true, update

from relay.ledger.engine.sql import Found, Row, Upsert, padded, run, upsert, write_many
from relay.ledger.queries.admit import UNBEGUN, is_first
from relay.ledger.schema import paused_rules, work
from relay.ledger.terms import Terms
from relay.model import Dispatch, Entry, HeldBy, Hold, State

MOST: Final = 500
"""Dispatches that are let go in one turn."""

_IN_FORCE: Final = (
    select(paused_rules.c.name)
    .where(paused_rules.c.name.in_(bindparam("names", expanding=True)), paused_rules.c.resuming == false())
    .order_by(paused_rules.c.name)
    .with_for_update(read=True)
)
_PAUSED: Final = select(paused_rules.c.name).where(paused_rules.c.resuming == false())
_RESUMING: Final = select(paused_rules.c.name).where(paused_rules.c.resuming == true()).order_by(paused_rules.c.name)
_RESUME: Final = update(paused_rules).where(paused_rules.c.name == bindparam("of")).values(resuming=True)
_LOCK: Final = _RESUMING.where(paused_rules.c.name == bindparam("of")).with_for_update()
_OVER: Final = delete(paused_rules).where(paused_rules.c.name == bindparam("of"))
_HOLD: Final = (
    update(work)
    .where(work.c.dispatch_id == bindparam("of"))
    .values({**UNBEGUN, "held_by": HeldBy.PAUSE.value, "due_at": None, "paused_rule": bindparam("rule")})
)
_HELD: Final = (
    select(work.c.dispatch_id)
    .where(work.c.paused_rule == bindparam("of"))
    .order_by(work.c.dispatch_id)
    .limit(MOST)
    .with_for_update()
)
_LET_GO: Final = (
    update(work)
    .where(work.c.dispatch_id.in_(bindparam("ids", expanding=True)))
    .values(
        state=case((work.c.follows, State.MESSAGING.value), else_=State.READY.value),
        held_by=None,
        paused_rule=None,
        due_at=bindparam("now"),
    )
)


def current(conn: Connection, _now: int) -> frozenset[str]:
    """The rules that a person has paused."""
    return frozenset(row["name"] for row in run(conn, _PAUSED))


def set_paused(conn: Connection, now: int, *, name: str, paused: bool) -> None:
    """Pause a rule, or begin to resume it; `let_go` goes on with it."""
    if paused:
        run(conn, _pause(conn.dialect.name), {"name": name, "paused_at": now, "resuming": False})
    else:
        run(conn, _RESUME, {"of": name})


@cache
def _pause(dialect: str) -> Upsert:
    put = upsert(dialect, paused_rules)
    return put.on_conflict_do_update(index_elements=[paused_rules.c.name], set_={"resuming": put.excluded.resuming})


def resuming(conn: Connection, _now: int) -> Sequence[str]:
    """The rules that were resumed and whose held dispatches are still to be let go."""
    return [row["name"] for row in run(conn, _RESUMING)]


def let_go(conn: Connection, now: int, *, name: str) -> int:
    """Let the first held dispatches of a resumed rule go, in order of arrival. Returns how many; 0 when it is done."""
    if not run(conn, _LOCK, {"of": name}):
        return 0  # paused again meanwhile, or done by another replica
    ids = [row["dispatch_id"] for row in run(conn, _HELD, {"of": name})]
    if ids:
        run(conn, _LET_GO, {"ids": padded(ids), "now": now})
    else:
        run(conn, _OVER, {"of": name})
    return len(ids)


def hold_claimed(
    conn: Connection, claimed: Sequence[Found], news_rows: Mapping[str, Found], terms: Terms
) -> list[Found]:
    """Of rows of `work` that were claimed, those whose rules are not paused. The others are held.

    What has begun goes on; the first call of a run by hand does not.
    """
    firsts = [(row, rule) for row in claimed if is_first(row) and (rule := news_rows[row["dispatch_id"]]["rule"])]
    paused = _in_force(conn, {rule for _, rule in firsts}, terms)
    held: list[Row] = [{"of": row["dispatch_id"], "rule": rule} for row, rule in firsts if rule in paused]
    write_many(conn, _HOLD, held)
    gone = {row["of"] for row in held}
    return [row for row in claimed if row["dispatch_id"] not in gone]


def hold_new(conn: Connection, entries: Sequence[Entry], terms: Terms) -> dict[str, Entry]:
    """The entries of which a dispatch is held because its rule is paused, as they are to be stored, by event."""
    paused = _in_force(conn, {each.rule for entry in entries for each in entry.dispatches}, terms)
    if not paused:
        return {}
    return {
        entry.event.id: replace(entry, dispatches=tuple([hold_back(each, paused) for each in entry.dispatches]))
        for entry in entries
        if any(each.rule in paused for each in entry.dispatches)
    }


def hold_back(dispatch: Dispatch, paused: Collection[str]) -> Dispatch:
    """The dispatch, held where it would go now; what holds it already comes before the pause on its way."""
    if dispatch.rule not in paused or dispatch.state not in {State.READY, State.MESSAGING}:
        return dispatch
    return replace(dispatch, state=State.HELD, hold=replace(dispatch.hold or Hold(), by=HeldBy.PAUSE, until=None))


def _in_force(conn: Connection, rules: Collection[str], terms: Terms) -> frozenset[str]:
    """Which of these rules are paused, of those that this replica knows to be. They stay so until the commit."""
    names = sorted(terms.paused_rules.intersection(rules))
    return frozenset(row["name"] for row in run(conn, _IN_FORCE, {"names": padded(names)})) if names else frozenset()
