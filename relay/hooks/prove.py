"""Verifies a request, and fetches the certificate that it names if necessary."""

from relay.effort import Aside
from relay.hooks.hook import Fetch
from relay.schemes import Evidence, NeedsCertificate, Request, Scheme


async def prove(scheme: Scheme, request: Request, fetch: Fetch, aside: Aside) -> Evidence:
    """Verify a request and return the evidence. `aside` reads a large body in its thread if the proof needs it.

    Raises `Rejected`, and `Retryable` when a certificate cannot be fetched.
    """
    try:
        return await aside.run(lambda: scheme.verify(request))
    except NeedsCertificate as needed:
        needed.trust.keep(needed.url, await fetch(needed.url), request.received_at)
        return await aside.run(lambda: scheme.verify(request))
