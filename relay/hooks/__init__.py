"""Receives webhooks at `POST /hooks/{source}` over aiohttp, and answers the handshakes of vendors."""

from relay.hooks.crowd import Caps, Crowd, TurnedAway
from relay.hooks.decode import decode
from relay.hooks.fetch import fetch
from relay.hooks.front import Front
from relay.hooks.hook import Accepting, Bounds, ClientCertificate, Fetch, Hook, Learn, too_often
from relay.hooks.prove import prove
from relay.hooks.quiet import QuietRunner

__all__ = [
    "Accepting",
    "Bounds",
    "Caps",
    "ClientCertificate",
    "Crowd",
    "Fetch",
    "Front",
    "Hook",
    "Learn",
    "QuietRunner",
    "TurnedAway",
    "decode",
    "fetch",
    "prove",
    "too_often",
]
