"""Implements the port Problems: what goes wrong, grouped, and who is told of it."""

from collections.abc import Sequence
from functools import partial
from typing import Protocol, TypeVar

from relay.ledger.engine.commit import Work
from relay.ledger.queries import acts, alerts, looks, problems, watch
from relay.ledger.terms import Terms
from relay.model import (
    ActName,
    Deed,
    DueAlert,
    Problem,
    ProblemPage,
    ProblemQuery,
    ProblemTurn,
    Sightings,
    Watched,
    new_id,
)

T = TypeVar("T")


class Base(Protocol):
    """What SqlProblems needs of the class that inherits from it."""

    terms: Terms

    async def write(self, operation: Work[T], *, slow: bool = False) -> T: ...

    async def read(self, operation: Work[T], *, slow: bool = False) -> T: ...

    async def browse(self, operation: Work[T]) -> T: ...


class SqlProblems:
    """The port Problems, which documents each method."""

    async def watch(self: Base, sightings: Sightings, watched: Watched) -> ProblemTurn:
        untold = None
        if watched.untold:
            untold = await self.read(partial(looks.find_untold, running=watched.running))
        if not (sightings.seen or sightings.accepted or sightings.made):
            changes, unresolved = await self.read(partial(watch.look, watched=watched, untold=untold))
            if not changes:
                return ProblemTurn((), unresolved)
        turn = partial(watch.turn, sightings=sightings, watched=watched, ids=new_id, terms=self.terms, untold=untold)
        return await self.write(turn)

    async def problems(self: Base, query: ProblemQuery) -> ProblemPage:
        return await self.browse(partial(problems.page, query=query))

    async def problem(self: Base, problem_id: str) -> Problem:
        return await self.browse(partial(problems.load, problem_id=problem_id))

    async def acknowledge_problem(self: Base, problem_id: str, actor: str) -> Problem:
        deed = Deed(actor, ActName.PROBLEM_ACKNOWLEDGED, problem_id)
        acknowledge = partial(problems.acknowledge, problem_id=problem_id, actor=actor)
        return await self.write(acts.noted(acknowledge, deed))

    async def resolve_problem(self: Base, problem_id: str, actor: str) -> Problem:
        deed = Deed(actor, ActName.PROBLEM_RESOLVED, problem_id)
        return await self.write(acts.noted(partial(problems.resolve, problem_id=problem_id), deed))

    async def due_alerts(self: Base, limit: int) -> Sequence[DueAlert]:
        return await self.write(partial(alerts.due, limit=limit))

    async def settle_alert(self: Base, alert: DueAlert, retry_in: int | None) -> None:
        await self.write(partial(alerts.settle, alert=alert, retry_in=retry_in))
