"""A sample of a source's vendor: what it would do, and sending it."""

import asyncio
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

from aiohttp import web

from relay.model import State
from relay.ops.console.page import Confirmation, Console, Done, Form
from relay.ops.console.sources import find_source, place_of
from relay.ops.guard import actor_of
from relay.ops.trial import Now, Trial, Verdict

_REAL: Final = frozenset({State.READY, State.MESSAGING, State.HELD})
"""What is or may still be seen at Cargo."""


async def ask(console: Console, request: web.Request) -> Confirmation:
    """What sending a sample means: which rules would make a chat of it. Raises Conflict where none can be sent."""
    name = (await find_source(console, request)).name
    foretold = await console.operations.foretell_sample(name)
    trial = await asyncio.to_thread(Trial.model_validate, foretold)  # a thousand rules take 50 ms
    first = "A sample of its vendor is signed with the secret of the source, verified and taken in as a real event."
    return Confirmation(f"Send a sample to {name}?", (first, *_foretell(trial)), "Send a sample", place_of(name))


async def send(console: Console, request: web.Request, _: Form) -> Done:
    ids = await console.operations.send_sample(request.match_info["name"], by=actor_of(request))
    return Done("The sample was taken in: this is what becomes of it.", f"/events/{quote(ids[0], safe='')}")


def _foretell(trial: Trial) -> Sequence[str]:
    """A sentence for each rule that matches, and whether anything real is made."""
    matched = [verdict for tried in trial.events for verdict in tried.rules if verdict.matched]
    if not matched:
        return ("No rule matches it: it is kept as unmatched, and no chat is made.",)
    told = [f"Rule {verdict.rule} {_tell(verdict)}." for verdict in matched]
    if any(verdict.now and verdict.now.state in _REAL for verdict in matched):
        told.append("Chats at Cargo are real, and use credits. Pause a rule first if its agent should not see this.")
    return told


def _tell(verdict: Verdict) -> str:
    skip = (verdict.now.skip if verdict.now else None) or verdict.skip
    if skip is not None:
        return f"matches and skips it ({skip.why}), so it makes no chat"
    if verdict.failure or verdict.now is None:
        message = verdict.failure.get("message") if isinstance(verdict.failure, dict) else None
        why = (message or "it cannot be rendered").removeprefix(f"rule {verdict.rule}: ")
        return f"matches, but makes no chat: {why}".rstrip(".")
    return _tell_now(verdict.now)


def _tell_now(now: Now) -> str:
    if now.state is State.READY:
        return "makes a chat at Cargo"
    if now.state is State.MESSAGING:
        return f"sends a message in the chat {now.chat_uuid}"
    if now.held is not None:
        return f"matches, and is held by {now.held.by}: it makes a chat when that lets it go"
    why = f": {now.why}" if now.why else ""
    return f"matches, but makes no chat: it would be {now.state}{why}".rstrip(".")
