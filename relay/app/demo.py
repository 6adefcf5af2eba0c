"""`relay demo`: runs a whole relay with a simulated Cargo and an embedded ledger, and sends it signed events."""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from importlib.resources import as_file, files
from importlib.resources.abc import Traversable
from typing import Any, Final

import aiohttp

from relay.app.clock import wall
from relay.app.home import make_folder
from relay.app.run import on_hang_up, on_signals
from relay.app.service import Addresses, Service, build
from relay.config import Loaded, WebhookSource, load
from relay.model import Result
from relay.sandbox import make_app
from relay.sandbox import run as simulate
from relay.schemes import Headers, Request
from relay.schemes import build as build_scheme
from relay.visible import visible

Say = Callable[[str], None]

_HERE: Final[Traversable] = files("relay.app")
_TOKEN: Final = "demo-token"  # noqa: S105 - guards nothing but the demo's own simulator
_PATIENCE: Final = 30.0
_DEALS: Final = "crm-deals.json"


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """One request that the demo sends: `sample` to `source` under `id`. `shows` describes what it demonstrates."""

    shows: str
    source: str
    sample: str
    id: str
    forged: bool = False


STEPS: Final = (
    DemoRequest("an urgent ticket: a rule wants it", "helpdesk", "helpdesk-ticket.json", "ticket-1"),
    DemoRequest(
        "the same ticket again, as vendors do: a duplicate, no second chat",
        "helpdesk",
        "helpdesk-ticket.json",
        "ticket-1",
    ),
    DemoRequest("an unimportant ticket: kept as unmatched", "helpdesk", "helpdesk-question.json", "ticket-2"),
    DemoRequest(
        "HubSpot tells of two deals at once: two events, and a rule wants the one that was won", "crm", _DEALS, "deals"
    ),
    DemoRequest("an order over 1000", "shop", "shop-order.json", "order-1"),
    DemoRequest(
        "an issue without assignee: the rule's template misses it, its dispatch fails",
        "code",
        "code-issue.json",
        "issue-1",
    ),
    DemoRequest("a forged signature: refused", "crm", _DEALS, "deals", forged=True),
)


async def run(*, once: bool, say: Say | None = None) -> int:
    """Run every step; with `once` stop when all results are in. Returns the exit code: 1 when a result is missing."""
    say = say or _print
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(make_folder())
        cargo = await stack.enter_async_context(await simulate(make_app(token=_TOKEN)))
        ending = asyncio.Event()
        on_signals(ending)
        service = await build(_load(f"{cargo.url}/v1", folder, stack), stack, migrate=False)
        on_hang_up(service.reloader.hang_up)
        addresses = service.addresses
        serving = asyncio.create_task(service.serve(ending, grace=5.0))
        say(_greeting(addresses, cargo.url))
        complete = await _show(service, addresses, say)
        say(_farewell(addresses, cargo.url, once=once))
        if once:
            ending.set()
        await serving
    return 0 if complete or not once else 1


def _load(cargo: str, folder: str, stack: AsyncExitStack) -> Loaded:
    path = stack.enter_context(as_file(_HERE / "demo.yaml"))
    return load([path], {"DEMO_CARGO": cargo, "DEMO_FOLDER": folder})


async def _show(service: Service, addresses: Addresses, say: Say) -> bool:
    """Send every step and print its results. Returns whether all expected results came within 30 s."""
    expected = 0
    async with aiohttp.ClientSession(addresses.hooks) as session:
        for number, step in enumerate(STEPS, 1):
            status, answer = await _send(session, service, step, addresses.hooks)
            say(f"\n{number}. {step.shows}\n   POST /hooks/{step.source} -> {status} {_outcome(answer)}")
            expected += _results_of(service, answer)
    say("\nWhat became of them (the same messages go to the RabbitMQ exchange relay.results, when there is a broker):")
    with suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE):
            await _tell(service, expected, say)
            return True
    say("   some results did not come in time: see the log above")
    return False


async def _send(session: aiohttp.ClientSession, service: Service, step: DemoRequest, hooks: str) -> tuple[int, Any]:
    source = service.settings.sources[step.source]
    assert isinstance(source, WebhookSource)  # noqa: S101 - the demo's own configuration has no other
    body = (_HERE / "samples" / step.sample).read_bytes()
    headers = Headers.of({"content-type": "application/json"})
    request = Request("POST", f"{hooks}/hooks/{step.source}", headers, body, wall())
    signed = build_scheme(source.spec()).sign(request, id=step.id, type=_github_event(step))
    sent = signed.body.replace(b"90211", b"666") if step.forged else signed.body
    async with session.post(signed.url, data=sent, headers=signed.headers.flat()) as answer:
        return answer.status, await answer.json(content_type=None)


def _github_event(step: DemoRequest) -> str | None:
    return "issues" if step.source == "code" else None


def _outcome(answer: Any) -> str:
    if "events" not in answer:
        return str(answer.get("detail") or answer.get("title"))
    return "; ".join(_receipt(event) for event in answer["events"])


def _receipt(event: Any) -> str:
    rules = ", ".join(dispatch["rule"] for dispatch in event["dispatches"])
    return f"{event['status']}{f' by rule {rules}' if rules else ''}, event {event['id']}"


def _results_of(service: Service, answer: Any) -> int:
    """How many results the new events have: one per dispatch, and one more for each first message."""
    messages = {rule.name for rule in service.settings.rules if rule.message is not None}
    fresh = [event for event in answer.get("events", ()) if event["status"] == "accepted"]
    return sum(1 + (dispatch["rule"] in messages) for event in fresh for dispatch in event["dispatches"])


async def _tell(service: Service, expected: int, say: Say) -> None:
    """Print the results until there are `expected`."""
    cursor = count = 0
    while count < expected:
        page = await service.ledger.follow(cursor, expected)
        for cursor, result in page:  # noqa: B007 - the last cursor is where the next page starts
            count += 1
            say(f"   {_line(result)}")
        if not page:
            await asyncio.sleep(0.05)


def _line(result: Result) -> str:
    data = result.data
    about = data.get("chatUuid") if "error" not in data else data["error"]["message"]
    return f"{result.type:<22} {data['rule']:<14} {about}"


def _greeting(addresses: Addresses, cargo: str) -> str:
    return "\n".join(_lines("Relay runs, and so does a simulated Cargo:", addresses, cargo))


def _lines(title: str, addresses: Addresses, cargo: str) -> Iterator[str]:
    yield title
    yield f"   webhooks   {addresses.hooks}/hooks/helpdesk, and crm, shop, code"
    yield f"   operators  {addresses.ops}/ and {addresses.ops}/api/events"
    yield f"   health     {addresses.health}/readyz?verbose and {addresses.health}/metrics"
    yield f"   Cargo      {cargo}/v1 (made: {cargo}/_chats)"


def _farewell(addresses: Addresses, cargo: str, *, once: bool) -> str:
    if once:
        return "\nAll results are in. `relay demo` without --once keeps running, so that you can try things."
    return (
        "\nTry it (Ctrl-C ends it and forgets everything):\n"
        f"   curl {addresses.ops}/api/events\n"
        f"   curl -N {addresses.ops}/api/results\n"
        f"   curl {addresses.health}/readyz?verbose\n"
        f"   curl -X PUT {cargo}/_faults -d '{{\"lost\": 0.5}}'   # Cargo makes chats and loses its answers\n"
        f"   relay events --url {addresses.ops}"
    )


def _print(text: str) -> None:
    sys.stdout.write(visible(text) + "\n")
    sys.stdout.flush()
