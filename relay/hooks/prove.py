"""Verification with what it takes from outside: the certificate that a request names."""

from relay.hooks.hook import Fetch
from relay.schemes import NeedsCertificate, Request, Scheme


async def prove(scheme: Scheme, request: Request, fetch: Fetch) -> None:
    """Return when the request is the sender's. Raises `Rejected`, and `Retryable` when a certificate cannot be had."""
    try:
        scheme.verify(request)
    except NeedsCertificate as needed:
        needed.trust.keep(needed.url, await fetch(needed.url), request.received_at)
        scheme.verify(request)
