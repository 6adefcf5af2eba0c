"""Entries, moves and results as the rest of the relay would hand them to a ledger."""

import json
from dataclasses import replace
from hashlib import sha256
from itertools import count

from relay.life import Signal
from relay.model import Chat, Dispatch, Entry, Event, EventStatus, Move, State, Verdict, new_id, tell
from relay.slots import Slots

_numbers = count(1)


def make_event(external_id="", *, body=None, source="helpdesk", **rest):
    data = {"ticket": 1} if body is None else body
    raw = json.dumps(data).encode()
    name = f"ext-{next(_numbers)}" if external_id == "" else external_id
    return Event(
        id=new_id(),
        source=source,
        external_id=name,
        data=data,
        raw=raw,
        digest=sha256(raw).digest(),
        received_at=1_700_000_000_000,
        **{"type": "ticket.created", **rest},
    )


def make_dispatch(event, rule="urgent", **rest):
    return Dispatch(new_id(), event.id, event.source, rule, '{"trigger":{"type":"connector"}}', **rest)


def make_entry(external_id="", *, rules=("urgent",), body=None, source="helpdesk", dispatch=None, **rest):
    event = make_event(external_id, body=body, source=source, **rest)
    made = tuple(make_dispatch(event, rule, **(dispatch or {})) for rule in rules)
    return Entry(event, EventStatus.ACCEPTED if made else EventStatus.UNMATCHED, made)


def made_at(moment, entry):
    """The entry, its ids those of an event which came in at this moment (UUIDv7 begins with its milliseconds)."""
    event = replace(entry.event, id=_id_at(moment, entry.event.id))
    made = tuple(replace(each, id=_id_at(moment, each.id), event_id=event.id) for each in entry.dispatches)
    return replace(entry, event=event, dispatches=made)


def _id_at(moment, any_id):
    stamp = f"{moment:012x}"
    return f"{stamp[:8]}-{stamp[8:]}{any_id[13:]}"


def make_chat(uuid="chat-1"):
    return Chat(uuid, created_at=1_700_000_000_500, name="Ticket", agent_uuid="agent-1")


def created(claim, chat=None, **rest):
    """The move of a call that made a chat."""
    chat = chat or make_chat()
    told = tell.created(claim.about, claim.dispatch, chat, attempts=claim.attempts, reconciled=False, now=1)
    to = State.MESSAGING if claim.dispatch.message else State.DONE
    return replace(move(claim, to, verdict=Verdict.CREATED), chat=chat, results=(told,), **rest)


def move(claim, to, **rest):
    rest.setdefault("follows", claim.follows)
    return Move(claim.dispatch.id, claim.dispatch.run, claim.state, to, claim.fence, claim.attempt, **rest)


def waiting(claim, due_in=0, **rest):
    return move(claim, State.WAITING, **({"verdict": Verdict.RETRYABLE, "due_in": due_in} | rest))


def checking(claim, due_in=0, **rest):
    return move(claim, State.CHECKING, **({"verdict": Verdict.UNKNOWN, "due_in": due_in} | rest))


def guarded(key):
    """The plan of a dispatch whose rule has the loop guard; `key` may be "new"."""
    key = new_id() if key == "new" else key
    return {"loop": {"key": key, "trips": [20, 600_000]}}


def with_every_key():
    """An entry of a rule with every key that asks the ledger in the accept."""
    key, minute = new_id(), 60_000
    held = {"once": {"key": key, "within": minute}, "order": {"key": key}, "delay": {"for": minute, "key": key}}
    seen = {"changed": {"key": key, "hash": "x", "first": "match"}, "newest": {"key": key, "by": 1}}
    return make_entry(dispatch={"plan": seen | held | guarded("new")})


def offered(count):
    """An offer of so many free slots."""
    slots = Slots(Signal())
    slots.closed = False
    return slots.offer(count, lambda _: None)
