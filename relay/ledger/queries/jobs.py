"""Jobs: what is asked for, how far each is, and the next step of one."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, delete, func, insert, select, update

from relay.errors import Conflict, NotFound
from relay.ledger.engine.sql import constant
from relay.ledger.queries import hand
from relay.ledger.queries.rows import UNDER_WAY
from relay.ledger.schema import events, jobs, labels, pauses, work
from relay.ledger.terms import Terms
from relay.model import Dispatch, Entry, Job, JobPage, JobState, ReplayAim, State, cut_label, first_id

MANY: Final = 16
"""Dispatches that are due while a job goes on. Beyond it the job waits: what comes in has the calls to itself."""

_SAME: Final = ("id", "kind", "actor", "total", "done", "made", "skipped", "failed", "fault_event", "fault", "cursor")
_IS_RUNNING: Final = jobs.c.state == constant(JobState.RUNNING.value)


def count(conn: Connection, _now: int, *, aim: ReplayAim) -> int:
    """How many events a replay takes."""
    found = _events(aim, first_id(aim.since)).order_by(None).subquery()
    return int(conn.execute(select(func.count()).select_from(found)).scalar_one())


def start(conn: Connection, now: int, *, job_id: str, kind: str, aim: ReplayAim, actor: str, total: int) -> Job:
    """Store a new job."""
    values = {"id": job_id, "kind": kind, "state": JobState.RUNNING.value, "aim": json.dumps(asdict(aim))}
    more = {"actor": actor, "total": total, "rules": "{}", "cursor": first_id(aim.since), "started_at": now}
    conn.execute(insert(jobs).values(values | more))
    return one(conn, now, job_id=job_id)


def one(conn: Connection, _now: int, *, job_id: str) -> Job:
    """A job. Raises NotFound."""
    return _job(_row(conn, select(jobs), job_id))


def page(conn: Connection, _now: int, *, cursor: str | None, limit: int) -> JobPage:
    """A page of jobs, newest first."""
    newest = select(jobs).order_by(jobs.c.id.desc()).limit(limit + 1)  # one more tells whether there is a next page
    if cursor is not None:
        newest = newest.where(jobs.c.id < cursor)
    found = tuple(_job(row) for row in conn.execute(newest).mappings())
    return JobPage(found[:limit], found[limit - 1].id if len(found) > limit else None)


def running(conn: Connection, _now: int) -> list[Job]:
    """The jobs that are to go on, oldest first."""
    return [_job(row) for row in conn.execute(select(jobs).where(_IS_RUNNING).order_by(jobs.c.id)).mappings()]


def end(conn: Connection, now: int, *, job_id: str, state: JobState, fault: str | None) -> Job:
    """End a job that runs. Raises NotFound, and Conflict when it has ended."""
    job = _job(_row(conn, select(jobs).with_for_update(), job_id))
    if job.state is not JobState.RUNNING:
        raise Conflict(f"job {job_id} has ended as {job.state}")
    values: dict[str, Any] = {"state": state.value, "ended_at": now}
    if fault is not None:
        values |= {"fault": fault, "fault_event": None}
    conn.execute(update(jobs).where(jobs.c.id == job_id).values(values))
    return one(conn, now, job_id=job_id)


def following(conn: Connection, _now: int, *, job: Job) -> str | None:
    """The id of the event that the job does next; None when it has done all."""
    found = _events(job.aim, job.cursor).limit(1)
    row = conn.execute(found).first()
    return None if row is None else str(row[0])


def busy(conn: Connection, now: int, *, terms: Terms) -> bool:
    """Whether jobs are to wait: for calls that are due, for a pause to end, or for room below the high-water mark.

    Half of the room is left to what comes in.
    """
    if conn.execute(select(pauses.c.reason).limit(1)).first() is not None:
        return True
    due = select(work.c.dispatch_id).where(work.c.due_at <= now).limit(MANY).subquery()
    if conn.execute(select(func.count()).select_from(due)).scalar_one() >= MANY:
        return True
    most = max(1, terms.high_water // 2)
    unfinished = select(work.c.dispatch_id).limit(most).subquery()
    return int(conn.execute(select(func.count()).select_from(unfinished)).scalar_one()) >= most


def advance(
    conn: Connection, now: int, *, job: Job, event_id: str, entry: Entry | None, fault: str | None, terms: Terms
) -> Sequence[Dispatch] | None:
    """Do one event of a job and note it in the same transaction, so that no event is done twice.

    `entry` is what today's rules make of the event, None when that is not known, for the reason `fault`; without a
    reason the event is passed over. Returns the dispatches that were added, none in a dry run; None when the job has
    gone on elsewhere, or has ended: then nothing is done.
    """
    is_next = (jobs.c.id == job.id, jobs.c.cursor == job.cursor, _IS_RUNNING)
    row = conn.execute(select(jobs).where(*is_next).with_for_update()).mappings().first()
    if row is None:
        return None
    made: Sequence[Dispatch] = ()
    if entry is not None:
        try:
            made = _make(conn, now, event_id, entry, dry=job.aim.dry, terms=terms)
        except NotFound:
            made = ()  # it was pruned meanwhile
    going = Counter(dispatch.rule for dispatch in made if dispatch.state in UNDER_WAY)
    failures = [dispatch.failure for dispatch in made if dispatch.state is State.FAILED and dispatch.failure]
    why = fault if fault is not None else failures[0].message if failures else None
    values: dict[str, Any] = {
        "cursor": event_id,
        "done": row["done"] + 1,
        "made": row["made"] + going.total(),
        "skipped": row["skipped"] + (why is None and not going),
        "failed": row["failed"] + (why is not None),
        "rules": json.dumps(Counter(json.loads(row["rules"])) + going),
    }
    if why is not None:
        values |= {"fault_event": event_id, "fault": why}
    conn.execute(update(jobs).where(jobs.c.id == job.id).values(values))
    return () if job.aim.dry else made


def _make(conn: Connection, now: int, event_id: str, entry: Entry, *, dry: bool, terms: Terms) -> Sequence[Dispatch]:
    if not dry:
        return hand.add(conn, now, event_id=event_id, entry=entry, again=False, terms=terms, bulk=True)
    done = hand.rules_done(conn, event_id, bulk=True)
    return [dispatch for dispatch in entry.dispatches if dispatch.rule not in done]


def expire(conn: Connection, now: int, *, terms: Terms) -> int:
    """Delete jobs that ended longer ago than events are kept. Returns how many."""
    return conn.execute(delete(jobs).where(jobs.c.ended_at < now - terms.retain)).rowcount


def _events(aim: ReplayAim, after: str) -> Select[tuple[str]]:
    """The ids of the events behind `after`, in order: ids begin with the time, so a span is a range of an index."""
    found = select(events.c.id)
    order: ColumnElement[str] = events.c.id
    if aim.label is not None:
        name, value = aim.label
        order = labels.c.event_id
        found = select(order).join(events, events.c.id == order)
        found = found.where(labels.c.name == name, labels.c.value == cut_label(value))
    if aim.source is not None:
        found = found.where(events.c.source == aim.source)
    return found.where(order > after, order < first_id(aim.until)).order_by(order)


def _row(conn: Connection, query: Select[Any], job_id: str) -> RowMapping:
    row = conn.execute(query.where(jobs.c.id == job_id)).mappings().first()
    if row is None:
        raise NotFound(f"there is no job {job_id} in the ledger (`relay jobs` lists them; old ones are pruned)")
    return row


def _job(row: RowMapping) -> Job:
    return Job(
        **{name: row[name] for name in _SAME},
        state=JobState(row["state"]),
        aim=_aim(json.loads(row["aim"])),
        rules=json.loads(row["rules"]),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )


def _aim(kept: Mapping[str, Any]) -> ReplayAim:
    label = kept["label"]
    return ReplayAim(**{**kept, "label": None if label is None else (label[0], label[1])})
