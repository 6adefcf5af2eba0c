"""Checks the sender's address and client certificate, before the request is read."""

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_plus

from aiohttp import web

from relay.errors import Rejected
from relay.hooks.caller import Network, believes, within
from relay.hooks.hook import Bounds, ClientCertificate

_ELEMENT: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_SUBJECT: Final = re.compile(r'(?:^|[;,\s])Subject="((?:[^"\\]|\\.)*)"', re.IGNORECASE)


def permit(http: web.BaseRequest, bounds: Bounds, remote: str | None, trusted: Sequence[Network]) -> None:
    """Return if the sender may send. `remote` is its address behind `trusted` proxies. Raises `Rejected` (403)."""
    if bounds.allow and not within(remote, bounds.allow):
        raise Rejected(
            "this address may not send here",
            status=403,
            reason="address",
            hint=f"{remote} is not in `allow` of the source; if it is a proxy, add it to http.trusted_proxies",
        )
    if bounds.certificate is not None:
        _check(http, bounds.certificate, trusted)


def _check(http: web.BaseRequest, certificate: ClientCertificate, trusted: Sequence[Network]) -> None:
    if not believes(http, trusted):
        raise _without(f"it came from {http.remote}, which is not a proxy in http.trusted_proxies")
    values = http.headers.getall(certificate.header, ())
    if len(values) != 1:
        raise _without(f"the header {certificate.header} occurs {len(values)} times; the proxy must set it once")
    shown = subject(values[0])
    if shown not in certificate.subjects:
        raise _without(f"the certificate's subject is {shown[:200]!r}; if it may send, add it to client_cert.subject")


def subject(value: str) -> str:
    """The subject of a client certificate, from the header of a proxy.

    It is the whole value (nginx, HAProxy, AWS) or its `Subject="..."` (Envoy, in the last element, which is from the
    nearest proxy; Traefik, URL-encoded).
    """
    if "=" not in value and "%3d" in value.lower():
        value = unquote_plus(value)
    last = (_ELEMENT.findall(value) or [""])[-1]
    match = _SUBJECT.search(last)
    return value.strip() if match is None else re.sub(r"\\(.)", r"\1", match[1])


def _without(hint: str) -> Rejected:
    return Rejected(
        "this request lacks the required client certificate",
        status=403,
        reason="client_cert",
        hint=hint,
    )
