"""Webhooks in: `POST /hooks/{source}` over aiohttp, and what vendors ask before they send."""

from relay.hooks.app import make_runner
from relay.hooks.crowd import Caps, Crowd, TurnedAway
from relay.hooks.decode import decode
from relay.hooks.fetch import fetch
from relay.hooks.hook import Bounds, Certificate, Fetch, Hook, Intake, Learn, too_often
from relay.hooks.prove import prove
from relay.hooks.quiet import QuietRunner

__all__ = [
    "Bounds",
    "Caps",
    "Certificate",
    "Crowd",
    "Fetch",
    "Hook",
    "Intake",
    "Learn",
    "QuietRunner",
    "TurnedAway",
    "decode",
    "fetch",
    "make_runner",
    "prove",
    "too_often",
]
