"""What a person does with an event and its dispatches: replay, retry, cancel."""

from urllib.parse import quote

from aiohttp import web

from relay.model import Kind
from relay.ops.console.page import Checkbox, Confirmation, Console, Done, Form
from relay.ops.guard import actor_of


async def ask_replay(console: Console, request: web.Request) -> Confirmation:
    event = await console.api.event(request)
    made = sum(dispatch.chat_uuid is not None for dispatch in event.dispatches)
    says = [
        "The rules that are in force now are matched with this event again.",
        "A rule that matches makes a chat, unless it has already made one of this event.",
    ]
    if made:
        says.append(f"So far {made} {'chat was' if made == 1 else 'chats were'} made of it.")
    again = Checkbox("again", "Also make chats again that are there already, which the customer will see twice")
    return Confirmation("Replay this event?", tuple(says), "Replay", _place(event.id), (again,))


async def replay(console: Console, request: web.Request, form: Form) -> Done:
    event_id = await console.api.whole_id(request, Kind.EVENT)
    added = await console.api.replayed(request, event_id, again="again" in form)
    rules = ", ".join(rule for _, rule in added)
    told = f"Replayed: {len(added)} to be made, by {rules}." if added else "Replayed: no rule made a new chat of it."
    return Done(told, _place(event_id))


async def ask_retry(console: Console, request: web.Request) -> Confirmation:
    event = await console.api.event(request)
    says = (
        "Cargo is called again for this dispatch, in its next run.",
        "The body that was stored is sent, unless it is to be rendered anew.",
        "Where it is not known whether Cargo made the chat, the relay looks for it first.",
    )
    render = Checkbox("render", "Render the body anew with the rule that is in force now")
    return Confirmation("Retry this dispatch?", says, "Retry", _place(event.id), (render,))


async def retry(console: Console, request: web.Request, form: Form) -> Done:
    dispatch_id = await console.api.whole_id(request, Kind.DISPATCH)
    done = await console.api.retried(request, dispatch_id, render="render" in form)
    return Done(f"Rule {done.rule} is at run {done.run}.", _place(done.event_id))


async def ask_cancel(console: Console, request: web.Request) -> Confirmation:
    event = await console.api.event(request)
    says = (
        "No chat is made for this dispatch any more, and this is told as its result.",
        "If a call to Cargo is under way, it ends once it is known to have made no chat.",
    )
    return Confirmation("Cancel this dispatch?", says, "Cancel it", _place(event.id))


async def cancel(console: Console, request: web.Request, _: Form) -> Done:
    dispatch_id = await console.api.whole_id(request, Kind.DISPATCH)
    done = await console.operations.cancel(dispatch_id, by=actor_of(request))
    return Done(f"The dispatch of rule {done.rule} is {done.state}.", _place(done.event_id))


def _place(event_id: str) -> str:
    return f"/events/{quote(event_id, safe='')}"
