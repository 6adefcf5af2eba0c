"""How senders prove themselves and say what happened. Pure: no clock, no network, no environment."""

from relay.schemes.build import IDENTIFYING, NAMES, build, options
from relay.schemes.request import Headers, Request
from relay.schemes.scheme import Identity, Scheme, SchemeFault, SchemeSpec

__all__ = [
    "IDENTIFYING",
    "NAMES",
    "Headers",
    "Identity",
    "Request",
    "Scheme",
    "SchemeFault",
    "SchemeSpec",
    "build",
    "options",
]
