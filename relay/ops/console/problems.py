"""What goes wrong, grouped; and what a person does about it."""

from typing import Any, Final
from urllib.parse import quote, urlencode

from aiohttp import web

from relay.errors import Conflict
from relay.model import LASTING_KINDS, Kind, ProblemKind, ProblemState
from relay.ops.console.page import Confirmation, Console, Done, Form, Values
from relay.ops.guard import actor_of
from relay.ops.watched import Problem

_MEANS: Final = {
    "rejections": "Requests are refused",
    "failures": "Chats cannot be made",
    "parked": "Dispatches wait for a person",
    "cargo": "Sending to Cargo is paused",
    "broker": "RabbitMQ cannot be reached, or results go nowhere",
    "ledger": "The database cannot be reached",
    "silence": "A source is silent",
    "budget": "A budget is spent",
    "loop": "Events go round in a loop",
    "reload": "A changed configuration is refused",
    "backlog": "Dispatches wait too long",
}


async def show(console: Console, request: web.Request) -> Values:
    """The page of problems."""
    page = await console.api.problems(request)
    return {
        "problems": [present(problem) for problem in page.problems],
        "cursor": page.cursor,
        "kinds": [str(kind) for kind in ProblemKind],
        "states": [str(state) for state in ProblemState],
        "query": request.query,
    }


def present(problem: Problem) -> dict[str, Any]:
    """A problem with its meaning, the page that helps, and whether a person may resolve it."""
    return {
        "it": problem,
        "means": _MEANS[problem.kind],
        "help": _find_help(problem),
        "may_resolve": problem.kind not in LASTING_KINDS,
    }


def _find_help(problem: Problem) -> tuple[str, str] | None:
    """The address and the name of the page on which one sees what to do."""
    match problem.kind:
        case ProblemKind.REJECTIONS:
            return _at("/refused", source=problem.source), "See the refused requests"
        case ProblemKind.FAILURES:
            return _at("/events", rule=problem.rule, status="failed"), "See the failed events"
        case ProblemKind.PARKED | ProblemKind.LOOP:
            return _at("/events", rule=problem.rule, status="parked"), "See what is parked"
        case ProblemKind.BUDGET:
            return _at("/events", rule=problem.rule, status="held"), "See what is held"
        case ProblemKind.SILENCE:
            return f"/sources/{quote(problem.source or '', safe='')}", "See the source"
        case _:
            return None


def _at(path: str, **query: str | None) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


async def ask_acknowledge(console: Console, request: web.Request) -> Confirmation:
    """What acknowledging means. Raises Conflict where it is not possible."""
    if why := (await console.api.problem(request)).why_not_acknowledged():
        raise Conflict(why)
    says = (
        "It says that you have seen the problem and look after it.",
        "The problem stays until it is over; your name stands beside it.",
    )
    return Confirmation("Acknowledge this problem?", says, "Acknowledge", "/problems")


async def acknowledge(console: Console, request: web.Request, _: Form) -> Done:
    problem_id = await console.api.whole_id(request, Kind.PROBLEM)
    await console.operations.acknowledge_problem(problem_id, by=actor_of(request))
    return Done("The problem is acknowledged.", "/problems")


async def ask_resolve(console: Console, request: web.Request) -> Confirmation:
    """What resolving means. Raises Conflict where it is not possible."""
    if why := (await console.api.problem(request)).why_not_resolved():
        raise Conflict(why)
    says = (
        "It says that the problem is over, and is told as resolved.",
        "If its cause goes on, the problem opens again.",
    )
    return Confirmation("Resolve this problem?", says, "Resolve", "/problems")


async def resolve(console: Console, request: web.Request, _: Form) -> Done:
    problem_id = await console.api.whole_id(request, Kind.PROBLEM)
    await console.operations.resolve_problem(problem_id, by=actor_of(request))
    return Done("The problem is resolved.", "/problems")
