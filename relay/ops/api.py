"""The handlers under `/api`. Each parses the request, calls the ledger or the operations, and returns a document."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from relay.errors import NotFound
from relay.model import (
    Dispatch,
    EventDetail,
    EventQuery,
    Job,
    Kind,
    Loads,
    Measured,
    Problem,
    ProblemPage,
    ProblemQuery,
    ProblemState,
    RefusalGroup,
    ResultPage,
    first_id,
)
from relay.ops import rated, setup, show, watched, wire
from relay.ops.access import Role
from relay.ops.ask import (
    ActsAsk,
    DeadAsk,
    EmptyAsk,
    EraseAsk,
    EventsAsk,
    NewerAsk,
    ProblemsAsk,
    ReadmitAsk,
    RejectedAsk,
    ReplayAsk,
    RequeueAsk,
    ResultsAsk,
    RetryAsk,
    ToldAsk,
    TryAsk,
    WaitingAsk,
    read_body,
    read_cursor,
    read_id,
    read_query,
)
from relay.ops.guard import actor_of, require_role
from relay.ops.hide import Hide
from relay.ops.job import JobAsk, JobDocument, JobList, JobsAsk, show_job, show_jobs
from relay.ops.operations import Operations
from relay.ops.problem import BadRequest, problem
from relay.ops.stream import Stream
from relay.ops.trial import Explained, Trial
from relay.ports import Archive
from relay.telemetry import Part, Status
from relay.units import iso

_MINUTE: Final = 60_000
_DAY: Final = 86_400_000


class Api:
    """`clock` returns milliseconds since the epoch."""

    def __init__(
        self, archive: Archive, operations: Operations, stream: Stream, hide: Hide, clock: Callable[[], int]
    ) -> None:
        self._archive = archive
        self._operations = operations
        self._stream = stream
        self._hide = hide
        self._clock = clock

    async def events(self, request: web.Request) -> wire.EventPage:
        parameters = read_query(request, EventsAsk)
        query = self._hide.query(request, parameters.query(self._clock()))
        return show.page(await self._hide.page(request, await self._archive.events(query)))

    async def recent(self, request: web.Request, source: str | None, limit: int) -> wire.EventPage:
        """The newest events, perhaps of one source."""
        query = self._hide.query(request, EventQuery(source=source, limit=limit))
        return show.page(await self._hide.page(request, await self._archive.events(query)))

    async def newer(self, request: web.Request, most: int, *, since_read: bool) -> Sequence[str]:
        """The ids of events of a list that have come within the last minute; at most `most`.

        With `since_read` those that have come since its newest one was read, which may have to look at many.
        """
        asked, now = read_query(request, NewerAsk), self._clock()
        recent = first_id(now - _MINUTE)
        after = asked.after if since_read and asked.after else max(recent, asked.after or "")
        query = self._hide.query(request, replace(asked.query(now), cursor=None))
        return await self._archive.newer(query, after, most)

    async def newer_page(self, request: web.Request) -> str | None:
        """The cursor of the page before that of the request, None where that is the newest page."""
        query = self._hide.query(request, read_query(request, EventsAsk).query(self._clock()))
        return None if query.cursor is None else await self._archive.newer_page(query, query.cursor)

    async def event(self, request: web.Request) -> wire.EventDetail:
        return show.detail(*await self._hide.detail(request, await self._find(request)))

    async def explain(self, request: web.Request) -> Explained:
        return await self._explain(request, await self._find(request))

    async def event_explained(self, request: web.Request) -> tuple[wire.EventDetail, Explained]:
        """Both, of which the event is read once."""
        found = await self._find(request)
        return show.detail(*await self._hide.detail(request, found)), await self._explain(request, found)

    async def dispatch(self, request: web.Request) -> wire.DispatchDetail:
        """The dispatch of a path. Raises NotFound."""
        dispatch_id = await self.whole_id(request, Kind.DISPATCH)
        event = show.detail(*await self._hide.detail(request, await self._archive.event(dispatch_id)))
        found = next((each for each in event.dispatches if each.id == dispatch_id), None)
        if found is None:
            raise NotFound(f"there is no dispatch {dispatch_id}")
        return found

    async def _find(self, request: web.Request) -> EventDetail:
        return await self._archive.event(await self.whole_id(request, Kind.EVENT, Kind.DISPATCH))

    async def _explain(self, request: web.Request, found: EventDetail) -> Explained:
        explained = await self._operations.explain(found)
        # In a thread, as is how they are found: the verdicts of a thousand rules take a tenth of a second to read.
        return await asyncio.to_thread(
            Explained.model_validate, await self._hide.explained(request, found.event, explained)
        )

    async def replay(self, request: web.Request) -> wire.Replayed:
        body = await read_body(request, ReplayAsk)
        added = await self.replayed(request, await self.whole_id(request, Kind.EVENT), again=body.again)
        return wire.Replayed(dispatches=[wire.Added(id=dispatch_id, rule=rule) for dispatch_id, rule in added])

    async def retry(self, request: web.Request) -> wire.Started:
        body = await read_body(request, RetryAsk)
        dispatch_id = await self.whole_id(request, Kind.DISPATCH)
        return show.started(await self.retried(request, dispatch_id, render=body.render))

    async def replayed(self, request: web.Request, event_id: str, *, again: bool) -> Sequence[tuple[str, str]]:
        async with self._hide.refusing(request, event_id):
            return await self._operations.replay(event_id, again=again, by=actor_of(request))

    async def retried(self, request: web.Request, dispatch_id: str, *, render: bool) -> Dispatch:
        async with self._hide.refusing(request, dispatch_id):
            return await self._operations.retry(dispatch_id, render=render, by=actor_of(request))

    async def cancel(self, request: web.Request) -> wire.Started:
        return show.started(
            await self._operations.cancel(await self.whole_id(request, Kind.DISPATCH), by=actor_of(request))
        )

    async def results(self, request: web.Request) -> web.StreamResponse:
        parameters = read_query(request, ResultsAsk)
        resumed = read_cursor(request.headers.get("Last-Event-ID"))
        after = None if parameters.after == "latest" else read_cursor(parameters.after) or 0
        return await self._stream.send(request, after if resumed is None else resumed, follow=parameters.follow)

    async def told(self, request: web.Request) -> wire.ResultPage:
        parameters = read_query(request, ToldAsk)
        return await self._results(request, await self._archive.told(parameters.cursor, parameters.limit))

    async def waiting(self, request: web.Request) -> wire.ResultPage:
        return await self.still_waiting(request, read_query(request, WaitingAsk).limit)

    async def still_waiting(self, request: web.Request, limit: int) -> wire.ResultPage:
        """Results that wait for a destination."""
        return await self._results(request, await self._archive.waiting(limit))

    async def _results(self, request: web.Request, page: ResultPage) -> wire.ResultPage:
        return show.results(await self._hide.told(request, page))

    def parts(self, request: web.Request, status: Status) -> tuple[Part, ...]:
        """The parts of the service, as who asks may see them."""
        return self._hide.parts(request, status.parts())

    async def attempt(self, request: web.Request) -> Trial:
        return await self.tried(request, await read_body(request, TryAsk))

    async def tried(self, request: web.Request, body: TryAsk) -> Trial:
        """A dry run. Raises what is wrong with the rule, if one is given, as `Faulty`."""
        if body.rule is not None:
            require_role(request, Role.OPERATE)  # a template can take long
        trial = await self._try(request, body)
        return await asyncio.to_thread(Trial.model_validate, trial)

    async def _try(self, request: web.Request, body: TryAsk) -> Mapping[str, Any]:
        if body.event is not None:
            if not body.model_fields_set <= {"event", "rule"}:
                raise BadRequest("send either the id of an event or a delivery with source and body, not both")
            event_id = await self._archive.whole_id(body.event, Kind.EVENT)
            if body.rule is not None:
                await self._hide.require_open(request, event_id)
            trial = await self._operations.try_kept(event_id, body.rule)
            if body.rule is not None:
                return self._hide.tried(request, trial)
            return await self._hide.trial(request, event_id, trial)
        if body.source is None:
            raise BadRequest("key source: missing; send source with headers and body, or event with an event's id")
        headers = {name.lower(): value for name, value in body.headers.items()}
        tried = await self._operations.try_event(body.source, headers, body.raw(), body.rule)
        return self._hide.tried(request, tried)

    async def doctor(self, _: web.Request) -> setup.DoctorReport:
        lines = await self._operations.doctor()
        return setup.DoctorReport.model_validate({"at": iso(self._clock()), "lines": lines})

    async def sources(self, _: web.Request) -> setup.Sources:
        return setup.Sources.model_validate({"sources": self._operations.sources()})

    async def replicas(self, _: web.Request) -> setup.Replicas:
        return show.replicas(await self._archive.replicas())

    async def pause(self, request: web.Request) -> setup.SourceState:
        name = request.match_info["name"]
        await self._operations.pause_source(name, by=actor_of(request))
        return setup.SourceState(name=name, paused=True)

    async def resume(self, request: web.Request) -> setup.SourceState:
        name = request.match_info["name"]
        await self._operations.resume_source(name, by=actor_of(request))
        return setup.SourceState(name=name, paused=False)

    async def erase(self, request: web.Request) -> watched.EventsErased:
        body = await read_body(request, EraseAsk)
        return show.erased(await self._operations.erase(body.erasure(), by=actor_of(request)))

    async def readmit(self, request: web.Request) -> wire.Readmission:
        parameters = read_query(request, ReadmitAsk)
        readmission = await self._operations.readmit(
            request.match_info["name"], dry_run=parameters.dry_run, by=actor_of(request)
        )
        return wire.Readmission.model_validate(readmission)

    async def forget(self, request: web.Request) -> setup.Forgotten:
        return setup.Forgotten(
            forgotten=await self._operations.forget(request.match_info["name"], by=actor_of(request))
        )

    async def secret(self, request: web.Request) -> setup.LearnedSecret:
        secret = await self._operations.learned_secret(request.match_info["name"], by=actor_of(request))
        return setup.LearnedSecret(secret=secret.reveal())

    async def rules(self, _: web.Request) -> rated.Rules:
        return rated.show_rules(self._operations.rules(), *await self._counted())

    async def rule(self, request: web.Request) -> rated.RuleDetail:
        name = request.match_info["name"]
        described = next((each for each in self._operations.rules() if each["name"] == name), None)
        if described is None:
            raise NotFound(f"there is no rule {name[:80]!r}")
        text = self._operations.rule_text(name) if described.get("inForce", True) else None
        return rated.show_rule(described, *await self._counted(), text)

    async def _counted(self) -> tuple[Loads, Mapping[str, Measured]]:
        """What rules hold, and what they did in the last day."""
        return await self._archive.loads(), await self._archive.totals("rule", self._clock() - _DAY)

    async def pause_rule(self, request: web.Request) -> rated.RuleState:
        name = request.match_info["name"]
        await self._operations.pause_rule(name, by=actor_of(request))
        return rated.RuleState(name=name, paused=True)

    async def resume_rule(self, request: web.Request) -> rated.RuleState:
        name = request.match_info["name"]
        await self._operations.resume_rule(name, by=actor_of(request))
        return rated.RuleState(name=name, paused=False)

    async def rates(self, request: web.Request) -> rated.Rates:
        return await self.rates_of(read_query(request, rated.RatesAsk))

    async def rates_of(self, parameters: rated.RatesAsk) -> rated.Rates:
        """What was counted per step."""
        query = parameters.query(self._clock())
        return rated.show_rates(query, await self._archive.rates(query))

    async def by_source(self) -> Mapping[str, rated.RateStep]:
        """What was counted of each source in the last 24 hours."""
        totals = await self._archive.totals("source", self._clock() - _DAY)
        return {name: rated.show_step(rate) for name, rate in totals.items()}

    async def usage(self, request: web.Request) -> rated.UsageReport:
        parameters = read_query(request, rated.UsageAsk)
        return rated.show_usage(await self._archive.used(*parameters.span(self._clock())), parameters.rule)

    async def reload(self, request: web.Request) -> setup.Reload | web.Response:
        done = await self._operations.reload(by=actor_of(request))
        if faults := done["faults"]:
            count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
            return problem(422, f"the configuration has {count}; the former one is in force", faults=faults)
        return setup.Reload.model_validate(done)

    async def config(self, _: web.Request) -> setup.Configuration:
        return setup.Configuration.model_validate(self._operations.configuration())

    async def rejected(self, request: web.Request) -> wire.Rejections:
        parameters = read_query(request, RejectedAsk)
        views = await self._archive.rejected(parameters.source, parameters.limit)
        shown = await self._hide.rejected(request, views)
        return wire.Rejections(rejected=[show.rejection(view) for view in shown])

    async def refusals(
        self, request: web.Request, source: str | None, most: int
    ) -> list[tuple[RefusalGroup, list[wire.Rejection]]]:
        """All groups of refused requests, those of `source`, or of all sources, with their newest requests."""
        groups = await self._archive.refusals(source, most)
        return [
            (group, [show.rejection(view) for view in await self._hide.rejected(request, list(group.newest))])
            for group in groups
        ]

    async def dead(self, request: web.Request) -> wire.DeadPage:
        parameters = read_query(request, DeadAsk)
        page = await self._archive.dead(parameters.source, parameters.cursor, parameters.limit)
        return show.dead(await self._hide.dead(request, page))

    async def problems(self, request: web.Request) -> watched.ProblemPage:
        parameters = read_query(request, ProblemsAsk)
        return show.problems(await self._hide.problems(request, await self._archive.problems(parameters.query())))

    async def unresolved(self, request: web.Request, state: ProblemState, most: int) -> watched.ProblemPage:
        """The problems in one state, whatever the query parameters are: for the overview."""
        query = ProblemQuery(state=state, limit=most)
        return show.problems(await self._hide.problems(request, await self._archive.problems(query)))

    async def problem(self, request: web.Request) -> Problem:
        """The problem of a path."""
        return await self._archive.problem(await self.whole_id(request, Kind.PROBLEM))

    async def acknowledge(self, request: web.Request) -> watched.Problem:
        await read_body(request, EmptyAsk)
        problem_id = await self.whole_id(request, Kind.PROBLEM)
        found = await self._operations.acknowledge_problem(problem_id, by=actor_of(request))
        return await self._problem(request, found)

    async def resolve(self, request: web.Request) -> watched.Problem:
        await read_body(request, EmptyAsk)
        problem_id = await self.whole_id(request, Kind.PROBLEM)
        found = await self._operations.resolve_problem(problem_id, by=actor_of(request))
        return await self._problem(request, found)

    async def _problem(self, request: web.Request, found: Problem) -> watched.Problem:
        [shown] = (await self._hide.problems(request, ProblemPage((found,), None))).problems
        return show.problem(shown)

    async def acts(self, request: web.Request) -> watched.ActPage:
        parameters = read_query(request, ActsAsk)
        return show.acts(await self._archive.acts(parameters.cursor, parameters.limit))

    async def requeue(self, request: web.Request) -> wire.Requeued:
        body = await read_body(request, RequeueAsk)
        ids = body.ids and [await self._archive.whole_id(given, Kind.DEAD) for given in body.ids]
        return wire.Requeued.model_validate(
            await self._operations.requeue(ids, source=body.source, by=actor_of(request))
        )

    async def jobs(self, request: web.Request) -> JobList:
        parameters = read_query(request, JobsAsk)
        page = await self._operations.jobs(parameters.cursor, parameters.limit)
        return show_jobs(replace(page, jobs=tuple(await self._hide.jobs(request, page.jobs))))

    async def start_job(self, request: web.Request) -> JobDocument:
        body = await read_body(request, JobAsk)
        aim = body.aim(self._clock())
        self._hide.require_no_guess(request, aim)
        return show_job(await self._operations.start_replay(aim, by=actor_of(request)))

    async def job(self, request: web.Request) -> JobDocument:
        return await self._job(request, await self._operations.job(await self.whole_id(request, Kind.JOB)))

    async def cancel_job(self, request: web.Request) -> JobDocument:
        cancelled = await self._operations.cancel_job(await self.whole_id(request, Kind.JOB), by=actor_of(request))
        return await self._job(request, cancelled)

    async def _job(self, request: web.Request, job: Job) -> JobDocument:
        [shown] = await self._hide.jobs(request, [job])
        return show_job(shown)

    async def whole_id(self, request: web.Request, *kinds: Kind) -> str:
        """The whole id for the one in the path, of which the end is enough. Raises NotFound, Ambiguous."""
        return await self._archive.whole_id(read_id(request), *kinds)
