"""A ledger and a desk in memory, small enough to be read: what the operators' listeners are tested against."""

from collections import Counter
from dataclasses import replace

from relay.app.dry import try_events
from relay.errors import Conflict, NotFound, Unavailable
from relay.model import (
    AttemptView,
    Dispatch,
    DispatchView,
    Event,
    EventDetail,
    EventPage,
    EventStatus,
    EventView,
    Failure,
    Gauges,
    Rejection,
    RejectionView,
    Result,
    ResultType,
    ResultView,
    State,
)
from relay.rules import RuleSpec, compile_rules
from relay.secret import Secret
from relay.units import iso

CHAT = {"trigger": {"type": "draft"}}
NOW = 1_795_400_000_000


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
        self.numbers = Gauges()
        self.queries = []
        self.asked = 0
        self.away = False

    def add(self, event, *dispatches, status=EventStatus.ACCEPTED, attempts=(), results=()):
        self.details[event.id] = EventDetail(event, status, tuple(dispatches), tuple(attempts), tuple(results))

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

    async def event(self, any_id):
        self._reach()
        for detail in self.details.values():
            if any_id in {detail.event.id, *(dispatch.id for dispatch in detail.dispatches)}:
                return detail
        raise NotFound(f"there is no event and no dispatch {any_id}")

    async def rejected(self, source, limit):
        self._reach()
        return [view for view in self.refused if source in (None, view.rejection.source)][:limit]

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


class Desk:
    """What operators may do, on a Memory."""

    def __init__(self, memory):
        self.memory = memory
        self.paused = set()
        self.tried = []
        self.learned = {"helpdesk": Secret("hush-learned")}
        self.judged = [make_judged(1)]
        self.dry = []
        self.rendered = []

    async def replay(self, event_id, *, again):
        await self.memory.event(event_id)
        return [("d-new", "urgent")] if again else []

    async def retry(self, dispatch_id, *, render):
        self.rendered.append(render)
        detail = await self.memory.event(dispatch_id)
        view = next((dispatch for dispatch in detail.dispatches if dispatch.id == dispatch_id), None)
        if view is None:
            raise NotFound(f"there is no dispatch {dispatch_id}")
        if view.state is not State.FAILED:
            raise Conflict(f"dispatch {dispatch_id} is {view.state}; only one that ended without a chat is retried")
        return Dispatch(view.id, view.event_id, view.source, view.rule, view.body, state=State.READY, run=view.run + 1)

    async def cancel(self, dispatch_id):
        detail = await self.memory.event(dispatch_id)
        view = detail.dispatches[0]
        return Dispatch(view.id, view.event_id, view.source, view.rule, view.body, state=State.CANCELLED)

    async def try_event(self, source, headers, body):
        self._know(source)
        self.tried.append((source, headers, body))
        verdict = {"rule": "urgent", "matched": False, "why": "when is false", "body": None}
        return {"events": [{"event": {"type": "x"}, "rules": [verdict]}]}

    async def try_kept(self, event_id):
        event = (await self.memory.event(event_id)).event
        return try_events([event], compile_rules([RuleSpec("urgent", when="data.subject == 'Bye'", chat=CHAT)], {}))

    def sources(self):
        return [
            {
                "name": "helpdesk",
                "type": "webhook",
                "scheme": "zendesk",
                "paused": "helpdesk" in self.paused,
                "learned": "helpdesk" in self.learned,
            },
            {"name": "crm-bus", "type": "amqp", "queue": "crm.events", "paused": False, "lastEventAt": None},
        ]

    def rules(self):
        return [{"name": "urgent", "sources": ["helpdesk"], "types": [], "when": None, "stop": False}]

    async def pause_source(self, name):
        self._know(name)
        self.paused.add(name)

    async def resume_source(self, name):
        self._know(name)
        self.paused.discard(name)

    async def readmit(self, name, *, dry_run):
        self._know(name)
        if name == "crm-bus":
            raise Conflict("source crm-bus keeps no refused requests")
        self.dry.append(dry_run)
        count = Counter(one["verdict"] for one in self.judged)
        return {"readmitted": count["readmitted"], "refused": count["refused"], "requests": self.judged}

    async def forget(self, name):
        self._know(name)
        return self.learned.pop(name, None) is not None

    async def learned_secret(self, name):
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
    told = ResultView(replace(make_result(number), type=ResultType.FAILED, time=NOW + 61, chat_uuid=None), {"": "gone"})
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


def make_judged(number, verdict="readmitted", **changes):
    """A row of a readmission, as the desk tells it."""
    row = {"id": f"r-{number}", "at": iso(NOW), "verdict": verdict, "reason": None, "hint": None, "events": []}
    return row | ({"events": [f"0190-{number}"]} if verdict != "refused" else {"reason": "signature_wrong"}) | changes
