"""The unresolved problems in memory, and what a turn of the watch changes of them and tells."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, bindparam, insert, select, update

from relay.ledger.engine.sql import Found, constant
from relay.ledger.queries.problems import APART, hash_of, is_spent, problem_of, tell_resolved_at
from relay.ledger.schema import problems
from relay.model import (
    Ids,
    Problem,
    ProblemChange,
    ProblemKey,
    ProblemKind,
    ProblemState,
    Result,
    Sighting,
    Sightings,
    Watched,
)

QUIET: Final = 3_600_000
"""Milliseconds without a failure after which a success resolves `rejections` and `failures`."""
_FRESH: Final = 10_000
"""Milliseconds after which the time of a lasting cause is written again."""
LAPSE: Final = 3 * _FRESH
"""Milliseconds after which a lasting cause that no replica has confirmed is over."""
_OPENED: Final = "opened"
_SPENT: Final = "spent"
_RESOLVED: Final = "resolved"
_UNRESOLVED: Final = select(problems).where(problems.c.state != constant(ProblemState.RESOLVED.value))
_TELLING: Final = select(problems).where(problems.c.tell_at <= bindparam("now"))
_LATEST: Final = select(problems).where(problems.c.key == bindparam("hash")).order_by(problems.c.id.desc()).limit(1)
_INSERT: Final = insert(problems)


@dataclass(slots=True, eq=False)
class ProblemDraft:
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
    has_made: bool = False
    """Whether a chat was made since the last turn of the replica that takes this one."""
    before: dict[str, str] = field(default_factory=dict)
    """The states that the changed problems had."""

    def __post_init__(self) -> None:
        self.rows = {row["key"]: dict(row) for row in self.conn.execute(_UNRESOLVED).mappings()}

    def count(self, sightings: Sightings) -> None:
        """Add what a replica has seen. What went well counts from before what went wrong in the same second."""
        for row in list(self.rows.values()):  # a window's end comes before what the next one brings
            if row["kind"] == ProblemKind.BUDGET and row["until"] is not None and row["until"] <= self.now:
                self._resolve(row)
        self.has_made = bool(sightings.made)
        good = {(ProblemKind.REJECTIONS, name) for name in sightings.accepted}
        good |= {(ProblemKind.FAILURES, name) for name in sightings.made}
        for row in self.rows.values():
            name = row["source"] if row["kind"] == ProblemKind.REJECTIONS else row["rule"]
            if (row["kind"], name) in good and (row["good_at"] or 0) <= row["last_at"]:
                self._set(row, good_at=self.now)
        for sighting in sightings.seen:
            self.see(sighting)

    def end_what_is_over(self, watched: Watched) -> None:
        """Resolve what is over by its time, or by the rule of its kind."""
        for row in list(self.rows.values()):
            if self._is_over(row, watched):
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

    def see(self, sighting: Sighting) -> None:
        first, last = self.now - sighting.first_ago, self.now - sighting.last_ago
        example = {"event_id": sighting.event_id, "dispatch_id": sighting.dispatch_id}
        row = self._row(sighting.key, first)
        if is_spent(sighting.key) and row["code"] != sighting.key.code:
            self._set(row, code=sighting.key.code, tell_at=self.now)
        values: dict[str, Any] = {
            "count": row["count"] + (sighting.count if row["count"] else max(1, sighting.count)),
            "first_at": min(row["first_at"], first),
            "last_at": max(row["last_at"], last),
            "until": None if sighting.lasts is None else self._until(row, last + sighting.lasts),
        }
        self._set(row, **values, **({} if sighting.event_id is None else example))

    def _until(self, row: Mapping[str, Any], until: int) -> int:
        """When it is over: what a replica tells late ends nothing that another one has seen since.

        A budget's window is what was told last: a reload may have made it shorter.
        """
        known = None if row["kind"] == ProblemKind.BUDGET else row["until"]
        return until if known is None else max(known, until)

    def _row(self, key: ProblemKey, first: int) -> dict[str, Any]:
        """The unresolved row of a key: a new one, or that of a problem that is not yet told to be resolved."""
        hashed = hash_of(key)
        if row := self.rows.get(hashed):
            return row
        ended = (row for row in self.ended if row["key"] == hashed)
        found = next(ended, None) or self.latest(key)
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

    def last(self, key: ProblemKey, since: int) -> None:
        """Note that a cause lasts since then."""
        if hash_of(key) not in self.rows:
            self.see(Sighting(key, 1, max(0, self.now - since)))
        self.confirm(key)

    def confirm(self, key: ProblemKey) -> None:
        """Note of a problem, if it is there, that its cause lasts."""
        row = self.rows.get(hash_of(key))
        if row is not None and self.now - row["last_at"] >= _FRESH:
            self._set(row, last_at=self.now)

    def is_fresh(self, row: Mapping[str, Any]) -> bool:
        """Whether a replica has confirmed lately that a cause lasts.

        What one replica cannot see may be what another one watches: during a rollout, and where one has refused a
        reload, their configurations differ.
        """
        return bool(row["last_at"] > self.now - LAPSE)

    def latest(self, key: ProblemKey) -> Found | None:
        """The latest row of a key that is not unresolved, None where there is none."""
        return self.conn.execute(_LATEST, {"hash": hash_of(key)}).mappings().first()

    def end(self, kind: ProblemKind, goes_on: Callable[[Mapping[str, Any]], bool]) -> None:
        """Resolve the problems of a kind whose cause does not go on."""
        for row in list(self.rows.values()):
            if row["kind"] == kind and not goes_on(row):
                self._resolve(row, last_at=self.now)

    def _is_over(self, row: Mapping[str, Any], watched: Watched) -> bool:
        if row["until"] is not None:
            return bool(row["until"] <= self.now)
        if row["kind"] in {ProblemKind.REJECTIONS, ProblemKind.FAILURES}:
            good = _is_gone(row, watched) or (row["good_at"] or 0) > row["last_at"]
            return bool(good and row["last_at"] < self.now - QUIET)
        return False


def _is_gone(row: Mapping[str, Any], watched: Watched) -> bool:
    """Whether nothing good can come any more: there is no such source (`_unknown`), or no such rule."""
    is_source = row["kind"] == ProblemKind.REJECTIONS
    name = str(row["source"] if is_source else row["rule"])
    known = watched.sources if is_source else watched.rules
    return name.startswith("_") if known is None else name not in known
