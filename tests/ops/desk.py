"""A ledger and a desk in memory, small enough to be read: what the operators' listeners are tested against."""

from collections import Counter
from dataclasses import replace

from relay.app.dry import try_events
from relay.app.explain import explain_past
from relay.errors import Ambiguous, Conflict, NotFound, Unavailable
from relay.model import (
    Act,
    ActPage,
    AttemptView,
    DeadLetter,
    DeadPage,
    Dispatch,
    DispatchView,
    Erased,
    Event,
    EventDetail,
    EventPage,
    EventStatus,
    EventView,
    Failure,
    Gauges,
    Job,
    JobPage,
    JobState,
    Kind,
    Load,
    Loads,
    Measured,
    Problem,
    ProblemKey,
    ProblemKind,
    ProblemPage,
    ProblemState,
    RefusalGroup,
    Rejection,
    RejectionView,
    ReplayAim,
    Result,
    ResultPage,
    ResultType,
    ResultView,
    State,
)
from relay.ops import FaultyInput
from relay.rules import RuleSpec, compile_rules
from relay.secret import Secret
from relay.units import iso

CHAT = {"trigger": {"type": "draft"}}
NOW = 1_795_400_000_000


def make_id(number):
    """An id of the form that the ledger gives, for pages: a cursor has to be one."""
    return f"01900000-0000-7000-8000-{number:012}"


def make_event(number=1, **changes):
    event = Event(
        id=f"0190-{number}",
        source="helpdesk",
        external_id=f"t-{number}",
        type="ticket.created",
        data={"subject": "Hello"},
        raw=b'{"subject": "Hello"}',
        digest=b"\0" * 32,
        received_at=NOW + number,
        headers={"content-type": "application/json"},
    )
    return replace(event, **changes)


def make_dispatch(event, **changes):
    view = DispatchView(
        id=f"d-{event.id}",
        event_id=event.id,
        rule="urgent",
        source=event.source,
        state=State.DONE,
        run=1,
        attempts=1,
        chat_uuid="3c90c3cc-0d44-4b50-8888-8dd25736052a",
        agent_uuid=None,
        name="Hello",
        reconciled=False,
        duplicates=(),
        body='{"trigger":{"type":"draft"}}',
        message=None,
        failure=None,
        park=None,
        due_at=None,
        created_at=event.received_at,
        updated_at=event.received_at + 30,
    )
    return replace(view, **changes)


def make_result(number):
    return Result(
        id=f"d-{number}.1",
        type=ResultType.CREATED,
        source="helpdesk",
        event_id=f"0190-{number}",
        time=NOW + number,
        routing_key="chat.created.helpdesk.urgent",
        data={"chatUuid": f"chat-{number}", "text": "two\nlines"},
        dispatch_id=f"d-0190-{number}",
    )


class Memory:
    """The parts of Archive and Outbox that the listeners use; `away` makes each of them raise Unavailable."""

    def __init__(self):
        self.details = {}
        self.outbox = []
        self.refused = []
        self.letters = []
        self.kinds = []
        self.problem_rows = []
        self.act_rows = []
        self.numbers = Gauges()
        self.queries = []
        self.rates_asked = []
        self.rate_rows = []
        self.usage_rows = []
        self.waiting_rows = []
        self.pending = {}
        self.asked = 0
        self.away = False
        self.replica_rows = []
        self.gathered = {}
        self.sessions_ended = {}

    def add(self, event, *dispatches, status=EventStatus.ACCEPTED, attempts=(), results=(), skips=(), versions=()):
        kept = {version.hash: version for version in versions}
        self.details[event.id] = EventDetail(
            event, status, tuple(dispatches), tuple(attempts), tuple(results), skips, kept
        )

    def tell(self, *results):
        self.outbox += results

    def _reach(self):
        if self.away:
            raise Unavailable("the database does not answer")

    async def events(self, query):
        self._reach()
        self.queries.append(query)
        found = [
            EventView(e.id, e.source, e.external_id, e.type, e.subject, d.status, e.received_at, d.dispatches)
            for d in reversed(self.details.values())
            for e in [d.event]
            if query.source in (None, e.source)
        ]
        page = found[: query.limit]
        return EventPage(tuple(page), page[-1].id if len(found) > len(page) else None)

    async def newer_page(self, query, cursor):
        ids = await self.newer(query, cursor, None)
        return ids[query.limit - 1] if len(ids) >= query.limit else None

    async def newer(self, query, after, most):
        self._reach()
        self.queries.append(query)
        ids = sorted(d.event.id for d in self.details.values() if query.source in (None, d.event.source))
        return [each for each in ids if each > after][:most]

    async def event(self, any_id):
        self._reach()
        for detail in self.details.values():
            if any_id in {detail.event.id, *(dispatch.id for dispatch in detail.dispatches)}:
                return detail
        raise NotFound(f"there is no event and no dispatch {any_id}")

    async def load(self, event_id):
        return (await self.event(event_id)).event

    async def whole_id(self, given, *kinds):
        self._reach()
        self.kinds.append(kinds)
        ids = {event_id for event_id in self.details if event_id.endswith(given)}
        if kinds == (Kind.DISPATCH,):
            dispatches = (dispatch for detail in self.details.values() for dispatch in detail.dispatches)
            ids = {dispatch.id for dispatch in dispatches if dispatch.id.endswith(given)}
        if len(ids) > 1:
            raise Ambiguous(f"several ids end in {given}: {', '.join(sorted(ids))}; give more of it")
        return next(iter(ids), given)

    async def dead(self, source, cursor, limit):
        self._reach()
        found = [letter for letter in self.letters if source in (None, letter.source)]
        found = [letter for letter in found if cursor is None or letter.id < cursor]
        return DeadPage(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)

    async def problems(self, query):
        self._reach()
        asked = {"kind": query.kind, "source": query.source, "rule": query.rule}
        found = [
            each
            for each in self.problem_rows
            if all(value in (None, getattr(each.key, name)) for name, value in asked.items())
            and query.state in (None, each.state)
            and (query.cursor is None or each.id < query.cursor)
        ]
        page = tuple(found[: query.limit])
        return ProblemPage(page, page[-1].id if len(found) > len(page) else None)

    async def problem(self, problem_id):
        self._reach()
        found = next((each for each in self.problem_rows if each.id == problem_id), None)
        if found is None:
            raise NotFound(f"there is no problem {problem_id}")
        return found

    async def acknowledge_problem(self, problem_id, actor):
        return self._change(problem_id, state=ProblemState.ACKNOWLEDGED, acknowledged_by=actor)

    async def resolve_problem(self, problem_id, actor):
        return self._change(problem_id, state=ProblemState.RESOLVED)

    async def end_session(self, session, until):
        self._reach()
        self.sessions_ended[session] = until

    async def is_session_ended(self, session):
        self._reach()
        return session in self.sessions_ended

    async def acts(self, cursor, limit):
        self._reach()
        found = [act for act in self.act_rows if cursor is None or act.id < cursor]
        return ActPage(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)

    def _change(self, problem_id, **changes):
        self._reach()
        for number, each in enumerate(self.problem_rows):
            if each.id == problem_id:
                if each.state is ProblemState.RESOLVED:
                    raise Conflict(f"problem {problem_id} is resolved already")
                self.problem_rows[number] = replace(each, **changes)
                return self.problem_rows[number]
        raise NotFound(f"there is no problem {problem_id}")

    async def rejected(self, source, limit):
        self._reach()
        return [view for view in self.refused if source in (None, view.rejection.source)][:limit]

    async def refusals(self, source, most):
        groups = {}
        for view in await self.rejected(None, None):
            groups.setdefault((view.rejection.source, view.rejection.reason), []).append(view)
        return [
            RefusalGroup(
                *key,
                len(views),
                sum(view.kept_until is not None for view in views),
                tuple(views[:most]) if source in (None, key[0]) else (),
            )
            for key, views in groups.items()
        ]

    async def told(self, before, limit):
        self._reach()
        rows = [ResultView(result, self.pending.get(result.id, {}), NOW) for result in self.outbox][:before]
        return ResultPage(tuple(reversed(rows[-limit:])), None)

    async def waiting(self, limit):
        self._reach()
        return ResultPage(tuple(self.waiting_rows[:limit]), None)

    async def replicas(self):
        self._reach()
        return self.replica_rows

    async def gathering(self, dispatch_ids):
        self._reach()
        return {each: self.gathered[each] for each in dispatch_ids if each in self.gathered}

    async def rates(self, query):
        self._reach()
        self.rates_asked.append(query)
        return self.rate_rows

    async def totals(self, kind, since):
        self._reach()
        return {"urgent": Measured(since, {"chats": 4, "failed": 1, "ignored": 2})} if kind == "rule" else {}

    async def loads(self):
        self._reach()
        return Loads({"urgent": Load(held=3, parked=2)}, complete=True)

    async def used(self, since, until):
        self._reach()
        return [used for used in self.usage_rows if since <= used.day < until]

    async def gauges(self):
        self.asked += 1
        self._reach()
        return self.numbers

    async def latest(self):
        self._reach()
        return len(self.outbox)

    async def follow(self, after, limit):
        self._reach()
        return list(enumerate(self.outbox, 1))[after : after + limit]


def make_verdict(rule, **changes):
    """What a rule makes of a sample: a chat, unless `changes` say else; those of `now` are merged."""
    now = dict.fromkeys(("skip", "why", "by", "since", "held", "chatUuid")) | {"state": "ready"}
    changed = changes.pop("now", {})
    return {"rule": rule, "matched": True, "now": None if changed is None else now | changed} | changes


class Desk:
    """What operators may do, on a Memory."""

    def __init__(self, memory):
        self.memory = memory
        self.paused = set()
        self.tried = []
        self.rules_tried = []
        self.learned = {"helpdesk": Secret("hush-learned")}
        self.judged = [make_judged(1)]
        self.dry = []
        self.requeues = []
        self.requeued = {"requeued": [], "refused": [], "missing": []}
        self.rendered = []
        self.faults = []
        self.jobs_kept = []
        self.rules_then = ()
        self.stuck = False
        self.total = 3
        self.outcome = {"done": 3, "made": 2, "skipped": 1, "rules": {"urgent": 2}}
        self.in_force = {"hash": "0f", "settings": {"rules": []}, "secrets": {"cargo.token": "ab"}, "restart": []}
        self.bys = []
        self.paths = {}
        self.rule = RuleSpec("urgent", when="data.subject == 'Bye'", chat=CHAT)
        self.lines = [{"check": "clock", "verdict": "ok", "what": "it is right", "todo": None}]
        self.erasures = []
        self.erased = Erased()
        self.strangers = []
        self.no_sample = None
        self.foretold = {"events": [{"event": {}, "rules": [make_verdict("urgent")]}]}

    def hidden(self):
        return self.paths

    async def doctor(self):
        return self.lines

    async def note_refused_sign_in(self, remote):
        self.strangers.append(remote)

    async def replay(self, event_id, *, again, by):
        self.bys.append(by)
        await self.memory.event(event_id)
        return [("d-new", "urgent")] if again else []

    async def retry(self, dispatch_id, *, render, by):
        self.bys.append(by)
        self.rendered.append(render)
        detail = await self.memory.event(dispatch_id)
        view = next((dispatch for dispatch in detail.dispatches if dispatch.id == dispatch_id), None)
        if view is None:
            raise NotFound(f"there is no dispatch {dispatch_id}")
        if view.state is not State.FAILED:
            raise Conflict(f"dispatch {dispatch_id} is {view.state}; only one that ended without a chat is retried")
        return Dispatch(view.id, view.event_id, view.source, view.rule, view.body, state=State.READY, run=view.run + 1)

    async def cancel(self, dispatch_id, *, by):
        self.bys.append(by)
        detail = await self.memory.event(dispatch_id)
        view = detail.dispatches[0]
        return Dispatch(view.id, view.event_id, view.source, view.rule, view.body, state=State.CANCELLED)

    async def acknowledge_problem(self, problem_id, *, by):
        return await self.memory.acknowledge_problem(problem_id, by)

    async def resolve_problem(self, problem_id, *, by):
        return await self.memory.resolve_problem(problem_id, by)

    async def try_event(self, source, headers, body, rule=None):
        self._know(source)
        self.rules_tried.append(rule)
        if rule == "faulty":
            fault = {"file": "rule", "line": 1, "column": 1, "key": "rule", "message": "is none", "hint": "write one"}
            raise FaultyInput("the rule has faults; nothing was tried", [fault | {"text": "rule:1:1: rule: is none"}])
        self.tried.append((source, headers, body))
        verdict = {"rule": "urgent", "matched": False, "why": "when is false", "body": None}
        return {"events": [{"event": {"type": "x"}, "rules": [verdict]}]}

    async def try_kept(self, event_id, rule=None):
        self.rules_tried.append(rule)
        event = (await self.memory.event(event_id)).event
        return try_events([event], compile_rules([self.rule], {}))

    async def explain(self, detail):
        rules = compile_rules([self.rule], {})
        return explain_past(detail, self.rules_then, rules)

    def sources(self):
        return [
            {
                "name": "helpdesk",
                "type": "webhook",
                "scheme": "zendesk",
                "path": "/hooks/helpdesk",
                "paused": "helpdesk" in self.paused,
                "learned": "helpdesk" in self.learned,
            },
            {"name": "crm-bus", "type": "amqp", "queue": "crm.events", "paused": False, "lastEventAt": None},
        ]

    def rules(self):
        paused = "urgent" in self.paused
        return [{"name": "urgent", "sources": ["helpdesk"], "types": [], "when": None, "stop": False, "paused": paused}]

    def rule_text(self, name):
        return f"name: {name}\n"

    async def pause_rule(self, name, *, by):
        self.bys.append(by)
        self._know_rule(name)
        self.paused.add(name)

    async def resume_rule(self, name, *, by):
        self.bys.append(by)
        self._know_rule(name)
        self.paused.discard(name)

    def _know_rule(self, name):
        if name != "urgent":
            raise NotFound(f"there is no rule {name}")

    async def reload(self, *, by):
        self.bys.append(by)
        if self.faults:
            faults = [
                {
                    "file": "a.yaml",
                    "line": 1,
                    "column": 2,
                    "key": "rules",
                    "message": each,
                    "hint": "mend it",
                    "text": f"a.yaml:1:2: rules: {each}",
                }
                for each in self.faults
            ]
            return {"status": "refused", "hash": "0f", "changes": [], "restart": [], "faults": faults}
        changes = [{"key": "rules[urgent]", "change": "changed"}]
        return {"status": "reloaded", "hash": "0f", "changes": changes, "restart": ["http.ops"], "faults": []}

    def configuration(self):
        return self.in_force

    async def pause_source(self, name, *, by):
        self.bys.append(by)
        self._know(name)
        self.paused.add(name)

    async def resume_source(self, name, *, by):
        self.bys.append(by)
        self._know(name)
        self.paused.discard(name)

    async def readmit(self, name, *, dry_run, by):
        self.bys.append(by)
        self._know(name)
        if name == "crm-bus":
            raise Conflict("source crm-bus keeps no refused requests")
        self.dry.append(dry_run)
        count = Counter(one["verdict"] for one in self.judged)
        return {"readmitted": count["readmitted"], "refused": count["refused"], "requests": self.judged}

    async def why_no_sample(self, name):
        self._know(name)
        if self.no_sample:
            return self.no_sample
        return "source crm-bus is a queue: publish a message to it on RabbitMQ instead" if name == "crm-bus" else None

    async def foretell_sample(self, name):
        if why := await self.why_no_sample(name):
            raise Conflict(why)
        return self.foretold

    async def send_sample(self, name, *, by):
        if why := await self.why_no_sample(name):
            raise Conflict(why)
        self.bys.append(by)
        return ["0190-1"]

    async def requeue(self, letter_ids, *, source, by):
        self.bys.append(by)
        self.requeues.append((letter_ids, source))
        return self.requeued

    async def start_replay(self, aim, *, by):
        self.bys.append(by)
        if aim.rule not in (None, "urgent"):
            raise NotFound(f'there is no rule "{aim.rule}" in force')
        self.jobs_kept.append(make_job(len(self.jobs_kept) + 1, aim=aim, total=self.total))
        return self.jobs_kept[-1]

    async def jobs(self, cursor, limit):
        found = [job for job in reversed(self.jobs_kept) if cursor is None or job.id < cursor]
        return JobPage(tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None)

    async def job(self, job_id):
        """It has ended when it is looked at."""
        number, job = self._find_job(job_id)
        if job.state is JobState.RUNNING and not self.stuck:
            self.jobs_kept[number] = replace(job, state=JobState.DONE, ended_at=NOW, **self.outcome)
        return self.jobs_kept[number]

    async def cancel_job(self, job_id, *, by):
        self.bys.append(by)
        number, job = self._find_job(job_id)
        if job.state is not JobState.RUNNING:
            raise Conflict(f"job {job_id} has ended as {job.state}")
        self.jobs_kept[number] = replace(job, state=JobState.CANCELLED, ended_at=NOW)
        return self.jobs_kept[number]

    def _find_job(self, job_id):
        found = [(number, job) for number, job in enumerate(self.jobs_kept) if job.id == job_id]
        if not found:
            raise NotFound(f"there is no job {job_id}")
        return found[0]

    async def erase(self, asked, *, by):
        self.bys.append(by)
        self.erasures.append(asked)
        return self.erased

    async def forget(self, name, *, by):
        self.bys.append(by)
        self._know(name)
        return self.learned.pop(name, None) is not None

    async def learned_secret(self, name, *, by):
        self.bys.append(by)
        self._know(name)
        if name not in self.learned:
            raise NotFound(f"source {name} has learned no secret")
        return self.learned[name]

    def _know(self, name):
        if name not in {"helpdesk", "crm-bus"}:
            raise NotFound(f"there is no source {name}")


def make_failed(number):
    """An event whose one dispatch failed at its second attempt, as the ledger shows it."""
    event = make_event(number)
    failure = Failure("agentNotFound", "no such agent", 404)
    dispatch = make_dispatch(event, state=State.FAILED, attempts=2, chat_uuid=None, failure=failure)
    attempts = [
        AttemptView(dispatch.id, 1, "chat", 1, NOW + 10, NOW + 20, "retryable", Failure("busy", "too many", 429), None),
        AttemptView(dispatch.id, 1, "chat", 2, NOW + 50, NOW + 60, "permanent", failure, None),
    ]
    failed = replace(make_result(number), type=ResultType.FAILED, time=NOW + 61, chat_uuid=None)
    told = ResultView(failed, {"": "gone"}, at=NOW + 61)
    return event, dispatch, attempts, told


def make_rejection(number, **view):
    rejection = Rejection(
        id=f"r-{number}",
        at=NOW,
        source="helpdesk",
        status=401,
        reason="signature_wrong",
        hint="the secret was rotated at the vendor",
        remote="192.0.2.7",
        headers={"user-agent": "Zendesk Webhook"},
        size=12,
        digest="ab" * 32,
    )
    return RejectionView(rejection, **view)


def make_job(number, **changes):
    aim = ReplayAim(NOW - 86_400_000, NOW)
    job = Job(f"j-{number}", "replay", JobState.RUNNING, aim, "local", total=3, started_at=NOW, cursor="0")
    return replace(job, **changes)


def make_judged(number, verdict="readmitted", **changes):
    """A row of a readmission, as the desk tells it."""
    row = {"id": f"r-{number}", "at": iso(NOW), "verdict": verdict, "reason": None, "hint": None, "events": []}
    return row | ({"events": [f"0190-{number}"]} if verdict != "refused" else {"reason": "signature_wrong"}) | changes


def make_problem(number=1, state=ProblemState.OPEN, **key):
    parts = {"kind": ProblemKind.FAILURES, "rule": "urgent", "code": "render", "detail": "data.id"} | key
    return Problem(
        f"p-{number}", ProblemKey(**parts), state, 3, NOW, NOW + 5, event_id="0190-1", dispatch_id="d-0190-1"
    )


def make_act(number=1, **changes):
    return replace(Act(f"a-{number}", NOW + number, "kim", "source.paused", "helpdesk"), **changes)


def make_letter(number, source="crm-bus", **changes):
    letter = DeadLetter(
        id=f"l-{number}",
        at=NOW + number,
        source=source,
        queue="crm.events",
        reason="json",
        error="line 1: not JSON",
        routing_key="deal.won",
        message_id=f"m-{number}",
        type="deal.won",
        content_type="application/json",
        headers={"x-team": "sales"},
        size=12,
        digest="cd" * 32,
    )
    return replace(letter, **changes)
