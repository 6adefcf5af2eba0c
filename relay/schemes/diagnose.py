"""Why a request was refused, found out by trying what usually goes wrong; for the operator, never for the caller."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from relay.errors import Rejected
from relay.schemes.build import build, options
from relay.schemes.catalog import names, vendor
from relay.schemes.document import Unreadable, parse
from relay.schemes.entry import Jwt, Signature, Token
from relay.schemes.request import Request
from relay.schemes.spec import NeedsCertificate, SchemeFault, SchemeSpec
from relay.secret import Secret

_LARGEST: Final = 64 << 10
_SIGNED_ADDRESS: Final = re.compile(r"\{\{\s*(?:url|path)\b")
_AROUND: Final = " \t\r\n\ufeff\u200b\u200c\u200d\u2060\"'`"
"""What is copied with a secret and is no part of it."""
_TRIED: Final = frozenset(
    {"signature_wrong", "signature_missing", "signature_malformed", "token_missing", "timestamp_missing"}
)


def diagnose(spec: SchemeSpec, request: Request, error: Rejected) -> str:
    """The likeliest cause of a refusal: what would have been right, else the error's own hint.

    It takes a few signatures' time; bodies above 64 KiB are not tried in other forms.
    """
    if error.status != 401 or error.reason not in _TRIED:
        return error.hint
    return next(_causes(spec, request), _located(spec, request, error))


def _located(spec: SchemeSpec, request: Request, error: Rejected) -> str:
    """The error's hint, with the address that was verified where it is signed."""
    forms = [form for form in vendor(spec.scheme).proof if isinstance(form, Signature)]
    contents = [str(spec.options.get("content", "")), *(form.content or "" for form in forms)]
    if error.reason != "signature_wrong" or not any(_SIGNED_ADDRESS.search(content) for content in contents):
        return error.hint
    return f"{error.hint}; the address that was verified is {_bare(request.url)}: is it the one set at the sender?"


def _causes(spec: SchemeSpec, request: Request) -> Iterator[str]:
    """Each cause that is one, the likeliest first."""
    yield from _changed(spec, request)
    yield from _misread(spec, request)
    yield from _otherwise(spec, request)


def _changed(spec: SchemeSpec, request: Request) -> Iterator[str]:
    """What something on the way may have done."""
    for url, told in _addresses(request.url):
        if _fits(spec, replace(request, url=url)):
            yield f"it is right for {told}: set http.public_url, or http.trusted_proxies"
    for body, told in _bodies(request.body):
        if _fits(spec, replace(request, body=body)):
            yield f"the body was re-encoded on the way: the signature is right for it {told}; forward its own bytes"


def _misread(spec: SchemeSpec, request: Request) -> Iterator[str]:
    """What the operator may have described wrongly."""
    bare = tuple(Secret(secret.reveal().strip(_AROUND).strip()) for secret in spec.secrets)
    if bare != spec.secrets and all(bare) and _fits(replace(spec, secrets=bare), request):
        yield "it is right for the secret without the line break, blank or quotes around it: take them out"
    for key in ("text", "hex", "base64") if spec.scheme == "hmac" else ():
        if _fits(replace(spec, options={**spec.options, "key": key}), request):
            yield f"it is right when the secret is read as {key}: set `key: {key}`"


def _otherwise(spec: SchemeSpec, request: Request) -> Iterator[str]:
    """Who else it may be."""
    for name in vendor(spec.scheme).picks:
        if _fits(SchemeSpec(name, spec.secrets, _shared(spec, name)), request):
            yield f"it is signed as {name}, which is not taken here; if the sender has no better, add it to `versions`"
    others = _signed_like(request, spec)
    for name in others:
        if _fits(SchemeSpec(name, spec.secrets, _shared(spec, name)), request):
            yield f"it is right for scheme {name}: set that scheme on the source"
    if others and not build(spec).of(request).applies(request):
        yield f"the headers are those of scheme {others[0]}: is that the sender?"


def _fits(spec: SchemeSpec, request: Request) -> bool:
    """Whether the signature is right, however old."""
    try:
        scheme = build(spec)
        scheme.of(request).verify(request)
    except Rejected as error:
        return error.reason in {"timestamp_old", "timestamp_future"}
    except (SchemeFault, NeedsCertificate):
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


def _bodies(body: bytes) -> Iterator[tuple[bytes, str]]:
    if not body or len(body) > _LARGEST:
        return
    yield body.rstrip(b"\r\n"), "without the line break at its end"
    yield body + b"\n", "with a line break at its end"
    yield body.replace(b"\r\n", b"\n"), "with plain line breaks"
    try:
        data = parse(body)
    except Unreadable:
        return
    for plain in (False, True):
        for spaces in ((",", ":"), (", ", ": ")):
            form = "compact" if spaces[0] == "," else "spaced"
            told = f"as {form} JSON with its letters escaped" if plain else f"as {form} JSON"
            yield json.dumps(data, ensure_ascii=plain, separators=spaces).encode(), told


def _signed_like(request: Request, spec: SchemeSpec) -> list[str]:
    """The other schemes whose header the request has; not the vendor's own versions, which it left out on purpose."""
    others = names() - {spec.scheme, *vendor(spec.scheme).picks}
    return sorted(name for name in others if _headers(name) & set(request.headers))


def _headers(scheme: str) -> frozenset[str]:
    forms = [form for form in vendor(scheme).proof if isinstance(form, Signature | Jwt | Token)]
    found = frozenset(form.header.lower() for form in forms if form.header)
    return found - {"authorization"}


def _shared(spec: SchemeSpec, scheme: str) -> dict[str, object]:
    return {key: value for key, value in spec.options.items() if key in options(scheme) and key != "versions"}
