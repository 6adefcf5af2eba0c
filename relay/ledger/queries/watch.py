"""One turn of the watch over problems: what was seen is counted, what the ledger shows is looked for, news are told.

A turn reads, decides in memory and then writes. Before it writes anything it reads again behind a lock, so that of
several replicas one opens a problem, one resolves it and one tells it, in the transaction that makes it so.
"""

from sqlalchemy import Connection

from relay.ledger.engine.writes import Writes
from relay.ledger.queries import alerts, looks, outbox
from relay.ledger.queries.draft import ProblemDraft
from relay.ledger.queries.problems import enter
from relay.ledger.terms import Terms
from relay.model import Ids, Problem, ProblemTurn, Sightings, Watched


def look(
    conn: Connection, now: int, *, watched: Watched, untold: looks.Untold | None
) -> tuple[bool, tuple[Problem, ...]]:
    """Whether a turn would change or tell anything, and the unresolved problems. Reads only."""
    draft = ProblemDraft(conn, now, str)
    looks.look(draft, watched, untold)
    return bool(draft.touched) or bool(draft.due()), draft.unresolved()


def turn(
    conn: Connection,
    now: int,
    *,
    sightings: Sightings,
    watched: Watched | None,
    ids: Ids,
    terms: Terms,
    untold: looks.Untold | None = None,
) -> ProblemTurn:
    """Count what was seen, open and resolve problems, and tell what is due. The port documents it.

    Without `watched` it is a part of another transaction, which only adds what it has seen. `untold` was looked for
    before, since that may take long.
    """
    enter(conn, now)
    draft = ProblemDraft(conn, now, ids)
    draft.count(sightings)
    if watched is not None:
        looks.look(draft, watched, untold)
    told = draft.tell()
    draft.write()
    if told:
        with Writes(conn) as writes:
            outbox.enqueue(writes, now, told, terms)
        alerts.enqueue(conn, now, told, terms)
    return ProblemTurn(tuple(draft.changes()), draft.unresolved(), len(told))
