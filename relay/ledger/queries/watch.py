"""One turn of the watch over problems: what was seen is counted, what the ledger shows is looked for, news are told.

A turn reads, decides in memory and then writes. Before it writes anything it reads again behind a lock, so that of
several replicas one opens a problem, one resolves it and one tells it, in the transaction that makes it so.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, insert, select, update

from relay.ledger.engine.sql import Found, constant
from relay.ledger.engine.writes import Writes
from relay.ledger.queries import alerts, browse, counters, outbox
from relay.ledger.queries.problems import APART, enter, hash_of, is_spent, problem_of, tell_resolved_at
from relay.ledger.schema import dispatches, problems, results, work
from relay.ledger.schema import outbox as outbox_rows
from relay.ledger.terms import Terms
from relay.model import (
    Ids,
    ParkReason,
    Problem,
    ProblemChange,
    ProblemKey,
    ProblemKind,
    ProblemState,
    ProblemTurn,
    Result,
    Sighting,
    Sightings,
    State,
    Watched,
)

QUIET: Final = 3_600_000
"""Milliseconds without a failure after which a success resolves `rejections` and `failures`."""
_FRESH: Final = 60_000
"""Milliseconds after which the time of a lasting cause is written again."""
_SOON: Final = 10_000
"""Milliseconds within which a replica tells of what it parked, and settles what an exchange did not take."""
_OPENED: Final = "opened"
_SPENT: Final = "spent"
_RESOLVED: Final = "resolved"
_UNRESOLVED: Final = select(problems).where(problems.c.state != constant(ProblemState.RESOLVED.value))
_TELLING: Final = select(problems).where(problems.c.tell_at <= bindparam("now"))
_LATEST: Final = select(problems).where(problems.c.key == bindparam("hash")).order_by(problems.c.id.desc()).limit(1)
_FIRST_DUE: Final = select(func.min(work.c.due_at)).where(work.c.due_at <= bindparam("now"))
_IS_PARKED: Final = (
    dispatches.c.state == constant(State.PARKED.value),
    dispatches.c.state != constant(State.DONE.value),  # the condition of the partial index
)
_PARKED: Final = (
    select(
        dispatches.c.rule,
        dispatches.c.park,
        func.count().label("many"),
        func.min(dispatches.c.updated_at).label("first"),
        func.max(dispatches.c.updated_at).label("last"),
        func.max(dispatches.c.id).label("dispatch_id"),
        func.max(dispatches.c.event_id).label("event_id"),
    )
    .where(*_IS_PARKED, dispatches.c.park != ParkReason.LOOP.value)  # a loop is a problem of its own kind
    .group_by(dispatches.c.rule, dispatches.c.park)
)
_TRIED: Final = (
    select(outbox_rows.c.result_id)
    .where(outbox_rows.c.destination == "", outbox_rows.c.tries > 0)
    .limit(bindparam("most"))
    .subquery()
)
_TRIED_AT: Final = select(results.c.id).join(_TRIED, _TRIED.c.result_id == results.c.id).limit(1)
_ALL_TRIED: Final = select(func.count()).select_from(_TRIED)
_MANY: Final = 10_000
"""Results that are looked through for one of an exchange. Where more wait, it is taken to have one."""
_INSERT: Final = insert(problems)


def look(conn: Connection, now: int, *, watched: Watched) -> tuple[bool, tuple[Problem, ...]]:
    """Whether a turn would change or tell anything, and the unresolved problems. Reads only."""
    draft = _Draft(conn, now, str)
    draft.look(watched)
    return bool(draft.touched) or bool(draft.due()), draft.unresolved()


def turn(
    conn: Connection, now: int, *, sightings: Sightings, watched: Watched | None, ids: Ids, terms: Terms
) -> ProblemTurn:
    """Count what was seen, open and resolve problems, and tell what is due. The port documents it.

    Without `watched` it is a part of another transaction, which only adds what it has seen.
    """
    enter(conn, now)
    draft = _Draft(conn, now, ids)
    draft.count(sightings)
    if watched is not None:
        draft.look(watched)
    told = draft.tell()
    draft.write()
    if told:
        with Writes(conn) as writes:
            outbox.enqueue(writes, now, told, terms)
        alerts.enqueue(conn, now, told, terms)
    return ProblemTurn(tuple(draft.changes()), draft.unresolved(), len(told))


@dataclass(slots=True, eq=False)
class _Draft:
    """The unresolved problems in memory, and what is to be written of them."""

    conn: Connection
    now: int
    ids: Ids
    rows: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    """The unresolved problems, by the hash of their key."""
    ended: list[dict[str, Any]] = field(default_factory=list)
    """The problems that this turn resolves, and resolved ones of which a message is due."""
    messages: list[Result] = field(default_factory=list)
    """What this turn tells."""
    new: set[str] = field(default_factory=set)
    touched: dict[str, dict[str, Any]] = field(default_factory=dict)
    before: dict[str, str] = field(default_factory=dict)
    """The states that the changed problems had."""

    def __post_init__(self) -> None:
        self.rows = {row["key"]: dict(row) for row in self.conn.execute(_UNRESOLVED).mappings()}

    def count(self, sightings: Sightings) -> None:
        """Add what a replica has seen. What went well counts from before what went wrong in the same second."""
        for row in list(self.rows.values()):  # a window's end comes before what the next one brings
            if row["kind"] == ProblemKind.BUDGET and self._is_over(row):
                self._resolve(row)
        good = {(ProblemKind.REJECTIONS, name) for name in sightings.accepted}
        good |= {(ProblemKind.FAILURES, name) for name in sightings.made}
        for row in self.rows.values():
            name = row["source"] if row["kind"] == ProblemKind.REJECTIONS else row["rule"]
            if (row["kind"], name) in good and (row["good_at"] or 0) <= row["last_at"]:
                self._set(row, good_at=self.now)
        for sighting in sightings.seen:
            self._see(sighting)
        for pattern in sightings.over:
            self._end(pattern.kind, partial(_differs, pattern))

    def look(self, watched: Watched) -> None:
        """Look for what the ledger shows by itself, and for what is over."""
        self._look_at_pauses()
        self._look_at_backlog(watched.backlog)
        self._look_at_silence(watched)
        if watched.parked:
            self._look_at_parked()
            self._look_at_results()
        for row in list(self.rows.values()):
            if self._is_over(row):
                self._resolve(row)

    def tell(self) -> list[Result]:
        """The messages that are due; notes that they are told."""
        for row in self.due():
            self._tell(row)
        return self.messages

    def due(self) -> list[dict[str, Any]]:
        """The rows of which a message is due."""
        ended = {row["id"] for row in self.ended}
        known = ended | {row["id"] for row in self.rows.values()}
        for row in self.conn.execute(_TELLING, {"now": self.now}).mappings():
            if row["id"] not in known:
                self.ended.append(dict(row))
        rows = (*self.rows.values(), *self.ended)
        return [row for row in rows if self._is_due(row)]

    def write(self) -> None:
        """Write what has changed."""
        every = {row["id"]: row for row in (*self.rows.values(), *self.ended)}
        # Inserted last: of the problems of one key only one may be unresolved at any time.
        for row_id in sorted(self.touched.keys() - self.new):
            self.conn.execute(update(problems).where(problems.c.id == row_id).values(self.touched[row_id]))
        if fresh := [every[row_id] for row_id in sorted(self.new)]:
            self.conn.execute(_INSERT, fresh)

    def changes(self) -> Iterable[ProblemChange]:
        """The problems that were opened and resolved in this turn."""
        for row in (*self.rows.values(), *self.ended):
            was, is_over = self.before.get(row["id"]), row["state"] == ProblemState.RESOLVED
            if row["id"] in self.new or (was == ProblemState.RESOLVED and not is_over):
                yield ProblemChange(problem_of(row), resolved=False)
            if is_over and (row["id"] in self.new or was not in {None, ProblemState.RESOLVED}):
                yield ProblemChange(problem_of(row), resolved=True)

    def unresolved(self) -> tuple[Problem, ...]:
        return tuple(problem_of(row) for row in sorted(self.rows.values(), key=lambda row: row["id"]))

    def _set(self, row: dict[str, Any], **values: Any) -> None:
        self.before.setdefault(row["id"], row["state"])
        row |= values
        self.touched.setdefault(row["id"], {}).update(values)

    def _see(self, sighting: Sighting) -> None:
        first, last = self.now - sighting.first_ago, self.now - sighting.last_ago
        until = None if sighting.lasts is None else last + sighting.lasts
        example = {"event_id": sighting.event_id, "dispatch_id": sighting.dispatch_id}
        row = self._row(sighting.key, first)
        if is_spent(sighting.key) and row["code"] != sighting.key.code:
            self._set(row, code=sighting.key.code, tell_at=self.now)
        values: dict[str, Any] = {
            "count": row["count"] + (sighting.count if row["count"] else max(1, sighting.count)),
            "first_at": min(row["first_at"], first),
            "last_at": max(row["last_at"], last),
            "until": until,
        }
        self._set(row, **values, **({} if sighting.event_id is None else example))

    def _row(self, key: ProblemKey, first: int) -> dict[str, Any]:
        """The unresolved row of a key: a new one, or that of a problem that is not yet told to be resolved."""
        hashed = hash_of(key)
        if row := self.rows.get(hashed):
            return row
        ended = (row for row in self.ended if row["key"] == hashed)
        found = next(ended, None) or self.conn.execute(_LATEST, {"hash": hashed}).mappings().first()
        if found is None or found["told"] == _RESOLVED:
            row = self._new(key, hashed, first, found)
        else:
            row = dict(found)
            tell_at = None if row["told"] else max(self.now, row["told_at"] + APART)
            back = {"state": ProblemState.OPEN.value, "resolved_at": None, "acknowledged_by": None, "good_at": None}
            self._set(row, **back, tell_at=tell_at)
        self.rows[hashed] = row
        return row

    def _new(self, key: ProblemKey, hashed: bytes, first: int, last: Found | None) -> dict[str, Any]:
        told_at = 0 if last is None else last["told_at"]
        row: dict[str, Any] = {
            "id": self.ids(),
            "key": hashed,
            "kind": str(key.kind),
            "source": key.source,
            "rule": key.rule,
            "code": key.code,
            "detail": key.detail,
            "state": ProblemState.OPEN.value,
            "count": 0,
            "first_at": first,
            "last_at": first,
            "good_at": None,
            "until": None,
            "resolved_at": None,
            "acknowledged_by": None,
            "event_id": None,
            "dispatch_id": None,
            "told": None,
            "told_at": told_at,
            "tell_at": self.now if is_spent(key) or not told_at else max(self.now, told_at + APART),
        }
        self.new.add(row["id"])
        self.before[row["id"]] = ProblemState.RESOLVED.value
        self.touched[row["id"]] = {}
        return row

    def _resolve(self, row: dict[str, Any], **values: Any) -> None:
        """Resolve a problem. One that is opened and over in one turn is told as opened before."""
        state = {"state": ProblemState.RESOLVED.value, "resolved_at": self.now}
        if self._is_due(row):
            self._tell(row)
        self._set(row, **values, **state, tell_at=tell_resolved_at(row, self.now))
        if row["kind"] == ProblemKind.BUDGET and self._is_due(row):
            self._tell(row)  # now, because the next window's problem counts its time from this message
        del self.rows[row["key"]]
        self.ended.append(row)

    def _is_due(self, row: Mapping[str, Any]) -> bool:
        return row["tell_at"] is not None and bool(row["tell_at"] <= self.now)

    def _tell(self, row: dict[str, Any]) -> None:
        """Tell of a problem what is due. A message about one that is told as open says that the budget is spent."""
        word = _RESOLVED if row["state"] == ProblemState.RESOLVED else _OPENED if row["told"] is None else _SPENT
        self.messages.append(problem_of(row).message(self.now, word))
        self._set(row, told=word, told_at=self.now, tell_at=None)

    def _last(self, key: ProblemKey, since: int) -> None:
        """Note that a cause lasts since then."""
        row = self.rows.get(hash_of(key))
        if row is None:
            self._see(Sighting(key, 1, max(0, self.now - since)))
        elif self.now - row["last_at"] >= _FRESH:
            self._set(row, last_at=self.now)

    def _end(self, kind: ProblemKind, goes_on: Callable[[Mapping[str, Any]], bool]) -> None:
        """Resolve the problems of a kind whose cause does not go on."""
        for row in list(self.rows.values()):
            if row["kind"] == kind and not goes_on(row):
                self._resolve(row, last_at=self.now)

    def _look_at_pauses(self) -> None:
        pauses = counters.current(self.conn, self.now)
        for reason, since in pauses.items():
            self._last(ProblemKey(ProblemKind.CARGO, code=reason), since)
        self._end(ProblemKind.CARGO, lambda row: row["code"] in pauses)

    def _look_at_backlog(self, most: int | None) -> None:
        """While nothing is sent, nothing waits for its turn: a backlog then neither begins nor ends."""
        if most is None:
            return self._end(ProblemKind.BACKLOG, lambda _: False)
        if counters.read(self.conn, "paused_since"):
            return None
        first = self.conn.execute(_FIRST_DUE, {"now": self.now}).scalar()
        if first is None or self.now - first <= most:
            return self._end(ProblemKind.BACKLOG, lambda _: False)
        return self._last(ProblemKey(ProblemKind.BACKLOG), first)

    def _look_at_silence(self, watched: Watched) -> None:
        last = browse.last_events(self.conn, self.now, sources=tuple(watched.expect))
        paused = browse.paused(self.conn, self.now) if watched.expect else frozenset()
        for source, most in watched.expect.items():
            since = max(last.get(source, 0), self.now - watched.running)
            if self.now - since > most and source not in paused:
                self._last(ProblemKey(ProblemKind.SILENCE, source), since)
        self._end(
            ProblemKind.SILENCE,
            lambda row: self.now - last.get(row["source"], 0) > watched.expect.get(row["source"], self.now),
        )

    def _look_at_parked(self) -> None:
        """End what is parked no more, and count what nobody told of: the replica that parked it may have died."""
        groups = {(group["rule"], group["park"]): group for group in self.conn.execute(_PARKED).mappings()}
        self._end(ProblemKind.PARKED, lambda row: (row["rule"], row["code"]) in groups)
        for (rule, reason), group in groups.items():
            key = ProblemKey(ProblemKind.PARKED, rule=rule, code=reason)
            if hash_of(key) in self.rows or group["last"] > self.now - _SOON:
                continue
            found = self.conn.execute(_LATEST, {"hash": hash_of(key)}).mappings().first()
            if found is None or (found["resolved_at"] or 0) < group["last"]:
                first, last = self.now - group["first"], self.now - group["last"]
                self._see(Sighting(key, group["many"], first, last, None, group["event_id"], group["dispatch_id"]))

    def _look_at_results(self) -> None:
        """End what an exchange did not take when nothing that was tried waits for it any more.

        What was counted just now may wait for its settlement.
        """
        self._end(
            ProblemKind.BROKER,
            lambda row: row["until"] is not None or row["last_at"] > self.now - _SOON or self._waits_for(row["detail"]),
        )

    def _waits_for(self, exchange: str | None) -> bool:
        most = {"most": _MANY}
        found = _TRIED_AT.where(results.c.exchange.is_(None) if exchange is None else results.c.exchange == exchange)
        if self.conn.execute(found, most).first() is not None:
            return True
        return int(self.conn.execute(_ALL_TRIED, most).scalar_one()) >= _MANY

    def _is_over(self, row: Mapping[str, Any]) -> bool:
        if row["until"] is not None:
            return bool(row["until"] <= self.now)
        if row["kind"] in {ProblemKind.REJECTIONS, ProblemKind.FAILURES}:
            unknown = (row["source"] or "").startswith("_")  # nothing is ever accepted there
            good = unknown or (row["good_at"] or 0) > row["last_at"]
            return bool(good and row["last_at"] < self.now - QUIET)
        return False


def _differs(pattern: ProblemKey, row: Mapping[str, Any]) -> bool:
    """Whether a part of the pattern that is not None is another one in the row; of `broker` also a detail of None."""
    if pattern.kind is ProblemKind.BROKER and row["detail"] != pattern.detail:
        return True
    parts = {"source": pattern.source, "rule": pattern.rule, "code": pattern.code, "detail": pattern.detail}
    return any(value is not None and row[name] != value for name, value in parts.items())
