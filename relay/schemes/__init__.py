"""How senders prove themselves and say what happened. Pure: no clock, no network, no environment."""

from relay.schemes.build import SHARED, build, options
from relay.schemes.catalog import names, vendor
from relay.schemes.diagnose import diagnose
from relay.schemes.example import example
from relay.schemes.greeting import Greeting, Reply
from relay.schemes.request import Headers, Request
from relay.schemes.scheme import Cloud, Scheme
from relay.schemes.spec import NOTHING, Evidence, Identity, NeedsCertificate, SchemeFault, SchemeSpec

__all__ = [
    "NOTHING",
    "SHARED",
    "Cloud",
    "Evidence",
    "Greeting",
    "Headers",
    "Identity",
    "NeedsCertificate",
    "Reply",
    "Request",
    "Scheme",
    "SchemeFault",
    "SchemeSpec",
    "build",
    "diagnose",
    "example",
    "names",
    "options",
    "vendor",
]
