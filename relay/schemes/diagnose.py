"""Why a request was refused, found out by trying what usually goes wrong; for the operator, never for the caller."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Final
from urllib.parse import urlsplit

from relay import effort
from relay.errors import Rejected
from relay.schemes.build import build, options
from relay.schemes.catalog import names, vendor
from relay.schemes.entry import Jwt, Signature, Token
from relay.schemes.recode import LARGEST, recode
from relay.schemes.request import Request
from relay.schemes.scheme import Scheme
from relay.schemes.spec import NeedsCertificate, SchemeFault, SchemeSpec
from relay.secret import Secret

TRIALS: Final = 24
"""Schemes that are made, and signatures that are compared, for one refusal; each takes about 70 us."""
HASHED: Final = 1 << 20
"""Bytes that they may hash in all, which takes a millisecond."""
_SIGNED_ADDRESS: Final = re.compile(r"\{\{\s*(?:url|path)\b")
_AROUND: Final = " \t\r\n\ufeff\u200b\u200c\u200d\u2060\"'`"
"""What is copied with a secret and is no part of it."""
_TRIED: Final = frozenset(
    {"signature_wrong", "signature_missing", "signature_malformed", "token_missing", "timestamp_missing"}
)


def diagnose(spec: SchemeSpec, request: Request, error: Rejected) -> str:
    """The likeliest cause of a refusal: what would have been right, else the error's own hint.

    It takes 2 ms at most: it makes 24 signatures at most, over 1 MiB in all, and neither inflates nor parses; what was
    read of the request before is known. Bodies above 16 KiB are not tried in other forms.
    """
    if error.status != 401 or error.reason not in _TRIED:
        return error.hint
    with effort.none():
        return next(_Trials(spec, request).causes(), _located(spec, request, error))


def _located(spec: SchemeSpec, request: Request, error: Rejected) -> str:
    """The error's hint, with the address that was verified where it is signed."""
    forms = [form for form in vendor(spec.scheme).proof if isinstance(form, Signature)]
    contents = [str(spec.options.get("content", "")), *(form.content or "" for form in forms)]
    if error.reason != "signature_wrong" or not any(_SIGNED_ADDRESS.search(content) for content in contents):
        return error.hint
    return f"{error.hint}; the address that was verified is {_bare(request.url)}: is it the one set at the sender?"


class _Trials:
    """The trials of one refused request, as long as there is something left to spend on them."""

    def __init__(self, spec: SchemeSpec, request: Request) -> None:
        self._spec = spec
        self._request = request
        self._scheme = build(spec)
        self._trials = TRIALS
        self._hashed = HASHED

    def causes(self) -> Iterator[str]:
        """Each cause that is one, the likeliest first."""
        yield from self._changed()
        yield from self._misread()
        yield from self._otherwise()

    def _changed(self) -> Iterator[str]:
        """What something on the way may have done."""
        request = self._request
        for url, told in _addresses(request.url):
            if self._fits(self._scheme, replace(request, url=url)):
                yield f"it is right for {told}: set http.public_url, or http.trusted_proxies"
        for body, told in _bodies(request):
            if self._fits(self._scheme, replace(request, body=body)):
                yield f"the body was re-encoded on the way: the signature is right for it {told}; forward its own bytes"

    def _misread(self) -> Iterator[str]:
        """What the operator may have described wrongly."""
        spec = self._spec
        bare = tuple(Secret(secret.reveal().strip(_AROUND).strip()) for secret in spec.secrets)
        if bare != spec.secrets and all(bare) and self._is_right(replace(spec, secrets=bare)):
            yield "it is right for the secret without the line break, blank or quotes around it: take them out"
        for key in ("text", "hex", "base64") if spec.scheme == "hmac" else ():
            if self._is_right(replace(spec, options={**spec.options, "key": key})):
                yield f"it is right when the secret is read as {key}: set `key: {key}`"

    def _otherwise(self) -> Iterator[str]:
        """Who else it may be."""
        spec, request = self._spec, self._request
        for name in vendor(spec.scheme).picks:
            if self._is_right(SchemeSpec(name, spec.secrets, _shared(spec, name))):
                told = f"it is signed as {name}, which is not taken here"
                yield f"{told}; if the sender has no better, add it to `versions`"
        others = _signed_like(request, spec)
        for name in others:
            if self._is_right(SchemeSpec(name, spec.secrets, _shared(spec, name))):
                yield f"it is right for scheme {name}: set that scheme on the source"
        if others and not self._applies():
            yield f"the headers are those of scheme {others[0]}: is that the sender?"

    def _applies(self) -> bool:
        try:
            return self._scheme.of(self._request).applies(self._request)
        except effort.Heavy:
            return False

    def _is_right(self, spec: SchemeSpec) -> bool:
        """Whether it is right as another scheme, or the same described otherwise."""
        self._trials -= 1  # to make a scheme takes as long as to try it
        try:
            return self._trials > 0 and self._fits(build(spec), self._request)
        except SchemeFault:
            return False

    def _fits(self, scheme: Scheme, request: Request) -> bool:
        """Whether the signature is right, however old."""
        self._trials -= 1
        self._hashed -= len(request.body)
        if self._trials < 0 or self._hashed < 0:
            return False
        try:
            scheme.of(request).verify(request)
        except Rejected as error:
            return error.reason in {"timestamp_old", "timestamp_future"}
        except (NeedsCertificate, effort.Heavy):
            return False
        return scheme.proves


def _addresses(url: str) -> Iterator[tuple[str, str]]:
    if url.startswith("http://"):
        yield f"https{url[4:]}", "the https address"
    if url.startswith("https://"):
        yield f"http{url[5:]}", "the http address"
    if url.endswith("/"):
        yield url[:-1], "the address without its last slash"
    else:
        yield f"{url}/", "the address with a slash at its end"
    parts = urlsplit(url)
    before, hooks, name = parts.path.rpartition("/hooks/")
    if before:  # http.public_url holds a path that senders do not call
        inner = parts._replace(path=hooks + name)
        yield inner.geturl(), f"{_bare(inner.geturl())}, and {_bare(url)} was verified"


def _bare(url: str) -> str:
    """An address without its query, in which a token may stand."""
    return urlsplit(url)._replace(query="").geturl()


def _bodies(request: Request) -> Iterator[tuple[bytes, str]]:
    body = request.body
    if not body or len(body) > LARGEST or request.headers.first("content-encoding"):
        return
    yield body.rstrip(b"\r\n"), "without the line break at its end"
    yield body + b"\n", "with a line break at its end"
    yield body.replace(b"\r\n", b"\n"), "with plain line breaks"
    yield from recode(body)


def _signed_like(request: Request, spec: SchemeSpec) -> list[str]:
    """The other schemes whose header the request has; not the vendor's own versions, which it left out on purpose."""
    own = {spec.scheme, *vendor(spec.scheme).picks}
    by_header = _by_header()
    return sorted({name for header in request.headers for name in by_header.get(header, ())} - own)


@cache
def _by_header() -> dict[str, list[str]]:
    """The schemes that prove by a header, by its name in lower case."""
    found: dict[str, list[str]] = {}
    for name in sorted(names()):
        forms = [form for form in vendor(name).proof if isinstance(form, Signature | Jwt | Token)]
        for header in {form.header.lower() for form in forms if form.header} - {"authorization"}:
            found.setdefault(header, []).append(name)
    return found


def _shared(spec: SchemeSpec, scheme: str) -> dict[str, object]:
    return {key: value for key, value in spec.options.items() if key in options(scheme) and key != "versions"}
