"""What each rule does: as written, counts, what it holds; and a place to try a change of it."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web
from pydantic import ValidationError

from relay.errors import RelayError
from relay.ops.access import Role
from relay.ops.ask import TryAsk
from relay.ops.console.chart import charts
from relay.ops.console.page import Confirmation, Console, Done, Form, Values
from relay.ops.console.payload import show_json
from relay.ops.guard import actor_of, require_role
from relay.ops.problem import FaultyInput
from relay.ops.rated import RatesAsk
from relay.ops.trial import Trial

_COUNTS: Final = ("chats", "failed", "parked", "ended")
_RECENT: Final = 20


async def show(console: Console, request: web.Request) -> Values:
    """The page of all rules."""
    return {"found": await console.api.rules(request)}


async def show_rule(console: Console, request: web.Request) -> Values:
    """The page of one rule. `event` in the address chooses the event of the playground."""
    return await _values(console, request, {"event": request.query.get("event", "")})


async def try_rule(console: Console, request: web.Request, form: Form) -> Values:
    """The same, with what the rule in the playground makes of the event there."""
    require_role(request, Role.OPERATE)
    given = {name: value.replace("\r\n", "\n") for name, value in form.items()}  # as browsers send lines
    return await _values(console, request, given) | await _try(console, request, given)


async def _values(console: Console, request: web.Request, form: Form) -> dict[str, Any]:
    rule = await console.api.rule(request)
    rates = await console.api.rates_of(RatesAsk(since="24h", step="15m", rule=rule.name))
    empty = {"rule": rule.text or "", "event": "", "source": "", "body": "", "headers": ""}
    return {
        "rule": rule,
        "place": _place(rule.name),
        "charts": charts(rates, _COUNTS),
        "recent": (await console.api.recent(request, None, _RECENT)).events,
        "sources": (await console.api.sources(request)).sources,
        "form": empty | dict(form),
        "tried": None,
        "fault": "",
        "faults": (),
    }


async def _try(console: Console, request: web.Request, form: Form) -> dict[str, Any]:
    try:
        return {"tried": _present(await console.api.tried(request, _asked(form)))}
    except FaultyInput as error:
        return {"faults": error.faults}
    except ValidationError as error:
        return {"fault": "; ".join(str(each["msg"]) for each in error.errors())}
    except RelayError as error:
        return {"fault": str(error)}


def _asked(form: Form) -> TryAsk:
    """What the form asks for: a stored event, else the delivery that is pasted."""
    rule = form.get("rule", "")
    if event := form.get("event", "").strip():
        return TryAsk(event=event, rule=rule)
    lines = [line.partition(":") for line in form.get("headers", "").splitlines() if line.strip()]
    headers = {"content-type": "application/json"} | {name.strip(): value.strip() for name, _, value in lines}
    return TryAsk(source=form.get("source") or None, headers=headers, body=form.get("body", ""), rule=rule)


def _present(trial: Trial) -> Sequence[dict[str, Any]]:
    """Each event of a trial with the verdict of the rule, and its values as markup."""
    return [
        {
            "event": tried.event,
            "verdict": verdict,
            "body": None if verdict.body is None else show_json(verdict.body),
            "keys": [(name, show_json(value)) for name, value in verdict.keys.items()],
        }
        for tried in trial.events
        for verdict in tried.rules
    ]


def _place(name: str) -> str:
    return f"/rules/{quote(name, safe='')}"


async def ask_pause(console: Console, request: web.Request) -> Confirmation:
    """What pausing means."""
    name = (await console.api.rule(request)).name
    says = (
        "Its new dispatches are held: no chat is made, and nothing is lost. What has begun goes on.",
        "The pause holds on all replicas, also after a restart or a reload, until somebody resumes the rule.",
    )
    return Confirmation(f"Pause the rule {name}?", says, "Pause", _place(name))


async def pause(console: Console, request: web.Request, _: Form) -> Done:
    name = request.match_info["name"]
    await console.operations.pause_rule(name, by=actor_of(request))
    return Done(f"The rule {name} is paused.", _place(name))


async def ask_resume(console: Console, request: web.Request) -> Confirmation:
    """What resuming means."""
    rule = await console.api.rule(request)
    says = (f"What the pause has held goes to Cargo in order of arrival. The rule holds {rule.held} dispatches now.",)
    return Confirmation(f"Resume the rule {rule.name}?", says, "Resume", _place(rule.name))


async def resume(console: Console, request: web.Request, _: Form) -> Done:
    name = request.match_info["name"]
    in_force = (await console.api.rule(request)).in_force
    await console.operations.resume_rule(name, by=actor_of(request))
    return Done(f"The rule {name} goes on.", _place(name) if in_force else "/rules")
