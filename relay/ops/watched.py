"""The JSON of what people look after: problems, acts, what was erased."""

from relay.model import ProblemKind, ProblemState, State
from relay.ops.wire import Moment, Wire


class Act(Wire):
    """What a person did by hand. `actor` is who, `act` what, `target` what it was done to."""

    id: str
    at: Moment
    actor: str
    act: str
    target: str
    detail: str | None


class ActPage(Wire):
    """Acts, newest first. `cursor` asks for the next page, null at the end."""

    acts: list[Act]
    cursor: str | None


class Example(Wire):
    """The latest event and dispatch of a problem, null where it has none."""

    event_id: str | None
    dispatch_id: str | None


class Problem(Wire):
    """What goes wrong in the same way, grouped: a kind, a source or rule, a code and a detail, null where none applies.

    `lastAt` of a lasting cause is at most a minute old. `acknowledgedBy` is who has seen it.
    """

    id: str
    kind: ProblemKind
    source: str | None
    rule: str | None
    code: str | None
    detail: str | None
    state: ProblemState
    count: int
    first_at: Moment
    last_at: Moment
    acknowledged_by: str | None
    example: Example


class ProblemPage(Wire):
    """Problems, those opened last first. `cursor` asks for the next page, null at the end."""

    problems: list[Problem]
    cursor: str | None


class EventSpared(Wire):
    """An event that was not erased, because one of the dispatches that have its data is under way."""

    event_id: str
    dispatch_id: str
    state: State


class EventsErased(Wire):
    """What was erased: how many events and whole refused requests, and how many dispatches were cancelled for it.

    `chats` are those of the erased events, which Cargo keeps. `left` are the events that were not erased. `compacted`
    says that nothing of it is left in the ledger's file; on PostgreSQL it is false, because the files are the server's.
    """

    erased: int
    cancelled: int
    requests: int
    chats: list[str]
    left: list[EventSpared]
    compacted: bool
