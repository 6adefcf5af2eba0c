"""A problem: things that go wrong in the same way, grouped (kind, source or rule, code, detail)."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from relay.model.frozen import frozen
from relay.model.result import Result, ResultType
from relay.model.word import Word
from relay.units import iso

NOBODY: Final = "_problems"
"""The source of the results that tell of problems. No configured source can have this name."""


class ProblemKind(Word):
    """What is wrong. The reference says what opens each kind and what ends it."""

    REJECTIONS = "rejections"
    FAILURES = "failures"
    PARKED = "parked"
    CARGO = "cargo"
    BROKER = "broker"
    LEDGER = "ledger"
    SILENCE = "silence"
    BUDGET = "budget"
    LOOP = "loop"
    RELOAD = "reload"
    BACKLOG = "backlog"


LASTING_KINDS: Final = frozenset(
    {
        ProblemKind.CARGO,
        ProblemKind.BROKER,
        ProblemKind.LEDGER,
        ProblemKind.SILENCE,
        ProblemKind.RELOAD,
        ProblemKind.BACKLOG,
    }
)
"""The kinds whose cause the relay sees itself: while one is unresolved, its cause lasts, and nobody resolves it."""


class ProblemState(Word):
    """`acknowledged` is still unresolved: a person has seen it."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@frozen
class ProblemKey:
    """What makes two causes the same problem. Fields that do not apply are None."""

    kind: ProblemKind
    source: str | None = None
    rule: str | None = None
    code: str | None = None
    detail: str | None = None


@frozen
class Sighting:
    """Causes of one problem that one replica has counted. Ages are milliseconds before the ledger gets them.

    `count` of 0 says that a lasting cause still lasts. A problem with a `lasts` is resolved that many milliseconds
    after its last sighting (0: at once); one without by the rule of its kind. The example is the latest one.
    """

    key: ProblemKey
    count: int = 1
    first_ago: int = 0
    last_ago: int = 0
    lasts: int | None = None
    event_id: str | None = None
    dispatch_id: str | None = None


@frozen
class Sightings:
    """What one replica has seen since it last told the ledger.

    `accepted` are sources that accepted an event, `made` rules that made a chat. No replica says that a problem is
    over: another one may still see its cause.
    """

    seen: tuple[Sighting, ...] = ()
    accepted: tuple[str, ...] = ()
    made: tuple[str, ...] = ()


@frozen
class Watched:
    """What the ledger looks for by itself. Durations are milliseconds.

    `expect` has the longest silence of each source that has one, `backlog` the longest wait of a due dispatch (None:
    none), `running` how long this relay runs: a silence counts from its start at the earliest. `untold` says to look
    for what nobody told of as well, because its replica died: what is parked, what has failed, and results that nobody
    takes. That costs more where there are many. `sources` and `rules` are the names that are configured, None where
    that is not known: of others nothing good ever comes.
    """

    expect: Mapping[str, int]
    backlog: int | None
    running: int
    untold: bool = False
    sources: AbstractSet[str] | None = None
    rules: AbstractSet[str] | None = None


@frozen
class Problem:
    """One problem. Times are milliseconds since the epoch. `event_id` and `dispatch_id` are its latest example."""

    id: str
    key: ProblemKey
    state: ProblemState
    count: int
    first_at: int
    last_at: int
    acknowledged_by: str | None = None
    event_id: str | None = None
    dispatch_id: str | None = None

    def why_not_acknowledged(self) -> str | None:
        """Why a person cannot acknowledge it; None where one can."""
        over = self.state is ProblemState.RESOLVED
        return f"problem {self.id} is resolved: there is nothing to acknowledge" if over else None

    def why_not_resolved(self) -> str | None:
        """Why a person cannot resolve it; None where one can."""
        if self.state is ProblemState.RESOLVED:
            return f"problem {self.id} is resolved already"
        if self.key.kind in LASTING_KINDS:
            return (
                f"problem {self.id} is resolved by itself as soon as its cause ends, which still lasts: "
                "acknowledge it, or end the cause"
            )
        return None

    def document(self) -> dict[str, Any]:
        """The problem as JSON values, the same in the API, in messages and in alerts."""
        key = self.key
        return {
            "id": self.id,
            "kind": str(key.kind),
            "source": key.source,
            "rule": key.rule,
            "code": key.code,
            "detail": key.detail,
            "state": str(self.state),
            "count": self.count,
            "firstAt": iso(self.first_at),
            "lastAt": iso(self.last_at),
            "acknowledgedBy": self.acknowledged_by,
            "example": {"eventId": self.event_id, "dispatchId": self.dispatch_id},
        }

    def message(self, now: int, word: str) -> Result:
        """The message that tells that it was `opened` or `resolved`, or as a second one that its budget is `spent`.

        Its id is the same whoever makes it.
        """
        over = self.state is ProblemState.RESOLVED
        return Result(
            id=f"{self.id}.{word}",
            type=ResultType.RESOLVED if over else ResultType.OPENED,
            source=NOBODY,
            event_id=self.id,
            time=now,
            routing_key=f"problem.{'resolved' if over else 'opened'}.{self.key.kind}",
            data=self.document(),
        )


@frozen
class ProblemChange:
    """What one turn did to a problem: it was opened, or resolved."""

    problem: Problem
    resolved: bool


@frozen
class ProblemTurn:
    """What one turn changed and told. `unresolved` are the problems that are open or acknowledged after it."""

    changes: tuple[ProblemChange, ...]
    unresolved: tuple[Problem, ...]
    told: int = 0


@frozen
class ProblemQuery:
    """A query for problems, those opened last first. Fields that are None do not restrict it.

    `cursor` is that of the previous page.
    """

    kind: ProblemKind | None = None
    state: ProblemState | None = None
    source: str | None = None
    rule: str | None = None
    cursor: str | None = None
    limit: int = 50


@frozen
class ProblemPage:
    """A page of problems. `cursor` asks for the next page, None at the end."""

    problems: tuple[Problem, ...]
    cursor: str | None


@frozen
class DueAlert:
    """An alert that is due: one message for one receiver, leased to a replica.

    `receiver` is the fingerprint of its URL. `tries` counts from 0, `age` is milliseconds since it was told.
    """

    id: str
    receiver: str
    body: str
    tries: int
    age: int
