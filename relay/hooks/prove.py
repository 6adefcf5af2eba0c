"""Verification with what it takes from outside: the certificate that a request names."""

from relay.hooks.hook import Fetch
from relay.schemes import Evidence, NeedsCertificate, Request, Scheme


async def prove(scheme: Scheme, request: Request, fetch: Fetch) -> Evidence:
    """Return when the request is the sender's, with what that is worth. Raises `Rejected`, and `Retryable` when a
    certificate cannot be had."""
    try:
        return scheme.verify(request)
    except NeedsCertificate as needed:
        needed.trust.keep(needed.url, await fetch(needed.url), request.received_at)
        return scheme.verify(request)
