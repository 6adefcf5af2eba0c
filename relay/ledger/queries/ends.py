"""Finds the whole id of which a person gives only the end.

Ids are UUIDv7: ids of the same time begin alike, so their ends tell them apart (git, whose ids are random from the
first character on, takes their starts). No index finds ends. Only the newest `SPAN` ids of a table are compared, by its
primary key, which takes some tens of milliseconds and makes no insert slower, as an index on ends would.
"""

import re
from collections.abc import Iterable
from typing import Final

from sqlalchemy import Column, Connection, select

from relay.errors import Ambiguous, NotFound
from relay.ledger.schema import dead, dispatches, events, jobs, problems
from relay.model import Kind

LEAST: Final = 4
"""Characters that an end must have."""
SPAN: Final = 100_000
"""Ids of one kind that are compared, the newest."""
SHOWN: Final = 10
"""Candidates that the error lists."""

_WHOLE: Final = 36
_END: Final = re.compile(rf"[0-9a-f-]{{{LEAST},{_WHOLE - 1}}}")
_IDS: Final[dict[Kind, Column[str]]] = {
    Kind.EVENT: events.c.id,
    Kind.DISPATCH: dispatches.c.id,
    Kind.DEAD: dead.c.id,
    Kind.PROBLEM: problems.c.id,
    Kind.JOB: jobs.c.id,
}


def whole(conn: Connection, _now: int, *, given: str, kinds: Iterable[Kind]) -> str:
    """The id of one of these kinds that ends in `given`; what is no end of an id is returned unchanged.

    Raises NotFound, and Ambiguous with the candidates.
    """
    end = given.lower()
    if not _END.fullmatch(end) or any(_exists(conn, kind, given) for kind in kinds):
        return given
    found = [(row_id, kind) for kind in kinds for row_id in _ending_in(conn, kind, end)]
    if not found:
        names = " or ".join(kinds)
        raise NotFound(f"no id of the newest {SPAN:,} ends in {given} ({names}); give the whole id of an older one")
    if len(found) > 1:
        shown = ", ".join(f"{row_id} ({kind})" for row_id, kind in found[:SHOWN])
        more = " and more" if len(found) > SHOWN else ""
        raise Ambiguous(f"several ids end in {given}: {shown}{more}; give more of it")
    return found[0][0]


def _exists(conn: Connection, kind: Kind, row_id: str) -> bool:
    column = _IDS[kind]
    return conn.execute(select(column).where(column == row_id)).first() is not None


def _ending_in(conn: Connection, kind: Kind, end: str) -> list[str]:
    newest = select(_IDS[kind].label("id")).order_by(_IDS[kind].desc()).limit(SPAN).subquery()
    # Nothing in `end` is a wildcard of LIKE: it has hexadecimal digits and dashes only.
    matching = select(newest.c.id).where(newest.c.id.like(f"%{end}")).order_by(newest.c.id.desc()).limit(SHOWN + 1)
    return list(conn.execute(matching).scalars())
