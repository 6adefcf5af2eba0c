"""The routes of the API. The router and `/openapi.json` are both made from this table."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from pydantic import BaseModel

from relay.ops import ask, job, rated, setup, watched, wire
from relay.ops.access import Role
from relay.ops.api import Api
from relay.ops.guard import require_role
from relay.ops.trial import Explained, Trial
from relay.visible import visible_json

Answer = BaseModel | web.StreamResponse
_LONG: Final = (Explained, Trial)
"""Answers with a verdict of each rule, written in a thread: of a thousand rules that takes 50 ms."""


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `gives` is None for the stream of results. `problems` are error statuses besides 400, 401, 403.

    `role` is what who asks must have.
    """

    method: str
    path: str
    name: str
    handle: Callable[[Api, web.Request], Awaitable[Answer]]
    summary: str
    gives: type[BaseModel] | None
    query: type[BaseModel] = ask.EmptyAsk
    body: type[BaseModel] | None = None
    problems: tuple[int, ...] = (503,)
    role: Role = Role.READ

    def serve(self, api: Api) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """The operation as an aiohttp handler."""

        async def serve(request: web.Request) -> web.StreamResponse:
            require_role(request, self.role)
            answer = await self.handle(api, request)
            if isinstance(answer, web.StreamResponse):
                return answer
            text = await asyncio.to_thread(_write, answer) if isinstance(answer, _LONG) else _write(answer)
            return web.json_response(text=text)

        return serve


def _write(answer: BaseModel) -> str:
    return dumps(answer.model_dump(by_alias=True))


def dumps(document: object) -> str:
    """JSON as the API writes it."""
    return visible_json(json.dumps(document, ensure_ascii=False, separators=(",", ":")))


ROUTES: Final = (
    Route("GET", "/api/events", "listEvents", Api.events, "Events, newest first", wire.EventPage, ask.EventsAsk),
    Route(
        "GET",
        "/api/events/{id}",
        "showEvent",
        Api.event,
        "An event by its id or the id of one of its dispatches, with timeline, attempts, request and response",
        wire.EventDetail,
        problems=(404, 503),
    ),
    Route(
        "GET",
        "/api/events/{id}/explain",
        "explainEvent",
        Api.explain,
        "Why each rule made a chat of an event or did not, by the rules as they were then",
        Explained,
        problems=(404, 409, 503),
    ),
    Route(
        "POST",
        "/api/events/{id}/replay",
        "replayEvent",
        Api.replay,
        "Match an event with the current rules",
        wire.Replayed,
        body=ask.ReplayAsk,
        problems=(404, 409, 503),
        role=Role.OPERATE,
    ),
    Route(
        "POST",
        "/api/dispatches/{id}/retry",
        "retryDispatch",
        Api.retry,
        "Start the next run of a dispatch that ended without a chat or is parked",
        wire.Started,
        body=ask.RetryAsk,
        problems=(404, 409, 503),
        role=Role.OPERATE,
    ),
    Route(
        "POST",
        "/api/dispatches/{id}/cancel",
        "cancelDispatch",
        Api.cancel,
        "Cancel a dispatch; while its outcome is unknown, it ends once it is known to have no chat",
        wire.Started,
        problems=(404, 409, 503),
        role=Role.OPERATE,
    ),
    Route(
        "GET",
        "/api/results",
        "followResults",
        Api.results,
        "Results as server-sent events; `id:` is the cursor, `Last-Event-ID` resumes",
        None,
        ask.ResultsAsk,
        problems=(409, 503),
    ),
    Route(
        "GET",
        "/api/results/told",
        "listResults",
        Api.told,
        "Results, newest first, with what is still to be confirmed",
        wire.ResultPage,
        ask.ToldAsk,
    ),
    Route(
        "GET",
        "/api/results/waiting",
        "listWaiting",
        Api.waiting,
        "Results that a destination has not confirmed yet",
        wire.ResultPage,
        ask.WaitingAsk,
    ),
    Route(
        "POST",
        "/api/try",
        "tryEvent",
        Api.attempt,
        "What the rules would do with a delivery or a stored event; nothing is stored or sent",
        Trial,
        body=ask.TryAsk,
        problems=(404, 422, 503),
    ),
    Route("GET", "/api/sources", "listSources", Api.sources, "The configured sources", setup.Sources),
    Route(
        "POST",
        "/api/sources/{name}/pause",
        "pauseSource",
        Api.pause,
        "Stop accepting events from a source, on all replicas; restarts do not end the pause",
        setup.SourceState,
        problems=(404, 503),
        role=Role.OPERATE,
    ),
    Route(
        "POST",
        "/api/sources/{name}/resume",
        "resumeSource",
        Api.resume,
        "Accept events from a source again",
        setup.SourceState,
        problems=(404, 503),
        role=Role.OPERATE,
    ),
    Route(
        "POST",
        "/api/sources/{name}/readmit",
        "readmitRequests",
        Api.readmit,
        "Verify the kept refused requests of a source again, and accept those that are valid now",
        wire.Readmission,
        ask.ReadmitAsk,
        problems=(404, 409, 503),
        role=Role.OPERATE,
    ),
    Route(
        "POST",
        "/api/erase",
        "eraseEvents",
        Api.erase,
        "Erase payloads, headers, rendered texts and labels of events; ids, times, states and uuids stay",
        watched.EventsErased,
        body=ask.EraseAsk,
        role=Role.ADMIN,
    ),
    Route(
        "POST",
        "/api/sources/{name}/forget",
        "forgetSecret",
        Api.forget,
        "Forget the secret that a handshake brought, so that the next handshake sets it",
        setup.Forgotten,
        problems=(404, 503),
        role=Role.ADMIN,
    ),
    Route(
        "GET",
        "/api/sources/{name}/secret",
        "showSecret",
        Api.secret,
        "The secret that a handshake brought, for vendors that ask to paste it back",
        setup.LearnedSecret,
        problems=(404, 503),
        role=Role.ADMIN,
    ),
    Route(
        "GET",
        "/api/problems",
        "listProblems",
        Api.problems,
        "What goes wrong, grouped, those opened last first",
        watched.ProblemPage,
        ask.ProblemsAsk,
    ),
    Route(
        "POST",
        "/api/problems/{id}/acknowledge",
        "acknowledgeProblem",
        Api.acknowledge,
        "Note that somebody has seen a problem",
        watched.Problem,
        problems=(404, 409, 503),
        role=Role.OPERATE,
    ),
    Route(
        "POST",
        "/api/problems/{id}/resolve",
        "resolveProblem",
        Api.resolve,
        "Resolve a problem by hand, unless it is of a kind that is resolved as soon as its cause ends",
        watched.Problem,
        problems=(404, 409, 503),
        role=Role.OPERATE,
    ),
    Route(
        "GET", "/api/acts", "listActs", Api.acts, "What people did by hand, newest first", watched.ActPage, ask.ActsAsk
    ),
    Route(
        "GET",
        "/api/doctor",
        "examineRelay",
        Api.doctor,
        "What is well and what is not: ledger, servers, sources, rules, secrets",
        setup.DoctorReport,
    ),
    Route("GET", "/api/rules", "listRules", Api.rules, "The rules, in the order in which they are tried", rated.Rules),
    Route(
        "GET",
        "/api/rules/{name}",
        "showRule",
        Api.rule,
        "A rule as written, what it did and what waits for it",
        rated.RuleDetail,
        problems=(404, 503),
    ),
    Route(
        "POST",
        "/api/rules/{name}/pause",
        "pauseRule",
        Api.pause_rule,
        "Hold new dispatches of a rule, on all replicas; restarts and reloads do not end the pause",
        rated.RuleState,
        problems=(404, 503),
        role=Role.OPERATE,
    ),
    Route(
        "POST",
        "/api/rules/{name}/resume",
        "resumeRule",
        Api.resume_rule,
        "Let the dispatches go that a rule's pause has held, in order of arrival",
        rated.RuleState,
        problems=(404, 503),
        role=Role.OPERATE,
    ),
    Route(
        "GET",
        "/api/rates",
        "listRates",
        Api.rates,
        "Events, refusals and chats per step of time; minutes are kept for 30 days",
        rated.Rates,
        rated.RatesAsk,
        problems=(409, 503),
    ),
    Route(
        "GET",
        "/api/usage",
        "listUsage",
        Api.usage,
        "Chats and credits by rule and day",
        rated.UsageReport,
        rated.UsageAsk,
    ),
    Route(
        "GET",
        "/api/replicas",
        "listReplicas",
        Api.replicas,
        "The replicas that are there, oldest first",
        setup.Replicas,
    ),
    Route("GET", "/api/config", "showConfig", Api.config, "What is in force, without secrets", setup.Configuration),
    Route(
        "POST",
        "/api/reload",
        "reloadConfig",
        Api.reload,
        "Read the configuration again and put it into force, all or nothing",
        setup.Reload,
        problems=(409, 422, 503),
        role=Role.ADMIN,
    ),
    Route(
        "GET",
        "/api/dead",
        "listDead",
        Api.dead,
        "Messages that went to the dead letters, newest first",
        wire.DeadPage,
        ask.DeadAsk,
    ),
    Route(
        "POST",
        "/api/dead/requeue",
        "requeueDead",
        Api.requeue,
        "Send dead letters back to the queues from which they came",
        wire.Requeued,
        body=ask.RequeueAsk,
        problems=(404, 409, 503),
        role=Role.OPERATE,
    ),
    Route(
        "GET",
        "/api/rejected",
        "listRejected",
        Api.rejected,
        "Refused requests, newest first",
        wire.Rejections,
        ask.RejectedAsk,
    ),
    Route("GET", "/api/jobs", "listJobs", Api.jobs, "Jobs, newest first", job.JobList, job.JobsAsk),
    Route(
        "POST",
        "/api/jobs",
        "startJob",
        Api.start_job,
        "Replay the events of a span of time, as a job that goes on in the relay; live work goes first",
        job.JobDocument,
        body=job.JobAsk,
        problems=(404, 503),
        role=Role.OPERATE,
    ),
    Route("GET", "/api/jobs/{id}", "showJob", Api.job, "How a job stands", job.JobDocument, problems=(404, 409, 503)),
    Route(
        "POST",
        "/api/jobs/{id}/cancel",
        "cancelJob",
        Api.cancel_job,
        "End a job; what it has made stays",
        job.JobDocument,
        problems=(404, 409, 503),
        role=Role.OPERATE,
    ),
)
