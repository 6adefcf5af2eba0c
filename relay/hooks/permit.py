"""Who may send to a source, before anything of the request is read: by address, and by certificate."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_plus

from aiohttp import web

from relay.errors import Rejected
from relay.hooks.caller import Network, believes, within
from relay.hooks.hook import Bounds, Certificate

_ELEMENT: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_SUBJECT: Final = re.compile(r'(?:^|[;,\s])Subject="((?:[^"\\]|\\.)*)"', re.IGNORECASE)


def permit(http: web.BaseRequest, bounds: Bounds, remote: str | None, trusted: Sequence[Network]) -> None:
    """Return when the sender may. `remote` is its address as far as `trusted` proxies tell. Raises `Rejected` (403)."""
    if bounds.allow and not within(remote, bounds.allow):
        raise Rejected(
            "this address may not send here",
            status=403,
            reason="address",
            hint=f"{remote} is in none of the source's `allow`; behind a proxy, is it in http.trusted_proxies?",
        )
    if bounds.certificate is not None:
        _check(http, bounds.certificate, trusted)


def _check(http: web.BaseRequest, wanted: Certificate, trusted: Sequence[Network]) -> None:
    if not believes(http, trusted):
        raise _without(f"it came from {http.remote}, which is no proxy in http.trusted_proxies")
    values = http.headers.getall(wanted.header, ())
    if len(values) != 1:
        raise _without(f"the header {wanted.header} is there {len(values)} times; the proxy must set it, once")
    shown = subject(values[0])
    if shown not in wanted.subjects:
        raise _without(f"the certificate's subject is {shown[:200]!r}; is it meant? Then add it to client_cert.subject")


def subject(value: str) -> str:
    """The subject of a client's certificate, from what a proxy says of it.

    It is the whole value (nginx, HAProxy, AWS), or its `Subject="..."` (Envoy, of the last element, which is that of
    the nearest proxy; Traefik, URL-encoded).
    """
    if "=" not in value and "%3d" in value.lower():
        value = unquote_plus(value)
    last = (_ELEMENT.findall(value) or [""])[-1]
    match = _SUBJECT.search(last)
    return value.strip() if match is None else re.sub(r"\\(.)", r"\1", match[1])


def _without(hint: str) -> Rejected:
    return Rejected(
        "a client certificate is asked for that this request does not have",
        status=403,
        reason="client_cert",
        hint=hint,
    )
