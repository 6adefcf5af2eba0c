"""Verification with what it takes from outside: the certificate that a request names."""

from relay.effort import Aside
from relay.hooks.hook import Fetch
from relay.schemes import Evidence, NeedsCertificate, Request, Scheme


async def prove(scheme: Scheme, request: Request, fetch: Fetch, aside: Aside) -> Evidence:
    """Return when the request is the sender's, with what that is worth; where its body is part of the proof and large,
    `aside` reads it. Raises `Rejected`, and `Retryable` when a certificate cannot be had."""
    try:
        return await aside.run(lambda: scheme.verify(request))
    except NeedsCertificate as needed:
        needed.trust.keep(needed.url, await fetch(needed.url), request.received_at)
        return await aside.run(lambda: scheme.verify(request))
