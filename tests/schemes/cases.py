"""Every way in which a scheme proves a request: what the tests that go over all schemes sign, bend and judge."""

import base64
import hashlib
import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from relay.errors import Rejected
from relay.schemes import Headers, Request, SchemeSpec, build, names, vendor
from relay.schemes.build import _described, _fits
from relay.schemes.entry import Jwt, Signature
from relay.schemes.keys import ASYMMETRIC
from relay.secret import Secret
from tests.schemes import spots
from tests.schemes.pairs import certificate, fresh, private, rsa_key

NOW = 1_700_000_000_000
URL = "https://relay.example.com/hooks/source"
FOLDER = Path(__file__).parent / "samples"

MORE = {
    "basic user:password": ("basic", "user:Sesam-6-for-the-door", {}),
    "basic username": ("basic", "Sesam:5-for-the-door", {"username": "user"}),
    "bearer own header": ("bearer", "Sesam-2-for-the-door", {"header": "X-Token"}),
    "hmac body": ("hmac", "Sesam-1-for-the-door", {"header": "X-Signature"}),
    "hmac sha1 base64": (
        "hmac",
        "Sesam-3-for-the-door",
        {"header": "X-Signature", "algorithm": "sha1", "encoding": "base64"},
    ),
    "hmac all": (
        "hmac",
        "Sesam-4-for-the-door",
        {
            "header": "X-Signature",
            "algorithm": "sha512",
            "encoding": "base64",
            "prefix": "v0=",
            "content": 'v0:{{ method }}:{{ url }}:{{ headers["x-id"] }}:{{ timestamp }}.{{ body }}',
            "timestamp_header": "X-Timestamp",
            "tolerance": "7m",
        },
    ),
    "okta own header": ("okta", "Sesam-7-for-the-door", {"header": "X-Okta-Secret"}),
    "postmark user:password": ("postmark", "user:Sesam-8-for-the-door", {}),
    "postmark own header": ("postmark", "Sesam-9-for-the-door", {"header": "X-Token"}),
}
"""Schemes configured otherwise than in their samples: the scheme, the secret, the options."""


def _in_form(request, name, value):
    headers = Headers([("content-type", "application/x-www-form-urlencoded")])
    return replace(request, headers=headers, body=urlencode({name: value}).encode())


def _with_version_2(request):
    return replace(request, body=json.dumps(json.loads(request.body) | {"SignatureVersion": "2"}).encode())


def _with_hash(request):
    body = b'{"EventType": "onMessageAdded"}'
    digest = hashlib.sha256(body).hexdigest()
    headers = Headers([("content-type", "application/json")])
    return replace(request, headers=headers, body=body, url=f"{URL}?bodySHA256={digest}")


OTHERWISE = {
    "aws-sns 2": _with_version_2,
    "gitea 2": lambda request: _in_form(request, "payload", '{"ref": "refs/heads/main"}'),
    "twilio 2": _with_hash,
    "twitter 2": lambda request: replace(request, method="GET", url=f"{URL}?crc_token=abc&nonce=1", body=b""),
}
"""Requests for the further proofs of an entry; the sample shows the first."""

UNSIGNABLE = {"mailgun 2": "its signature stands in a form, and `sign` writes JSON: see test_schemes_manners.py"}


@dataclass(frozen=True)
class Way:
    """One proof of one scheme, as a source is configured for it.

    `form` is the entry's; `at` is its place among the proofs that the secret fits. `private` is the sender's key.
    """

    scheme: str
    form: Any
    at: int
    secret: str | None
    private: str | None
    options: dict
    request: Request

    @property
    def asymmetric(self):
        return getattr(self.form, "algorithm", None) in {*ASYMMETRIC, "RS256"}

    def make(self, *secrets):
        """The scheme with these secrets, else with its own."""
        live = secrets or ((self.secret,) if self.secret else ())
        return build(SchemeSpec(self.scheme, tuple(map(Secret, live)), self.options))

    def sign(self, request=None, *, pair=None):
        """A request, the vendor's unless another is given, signed in this way and in no other."""
        signer = self.make(*([pair.secret] if pair and pair.secret else []))
        signer._proofs = signer._proofs[self.at :]
        key = pair.private if pair else self.private
        return signer.sign(request or self.request, id="e-1", type="ticket.created", private=key)

    def other(self):
        """Another secret of the same form, with the sender's key."""
        login = ":" in (self.secret or "") and "username" not in self.options
        return fresh(self.form, login=login, turn=1)

    @property
    def spot(self):
        """Where the proof stands."""
        return spots.of_proof(self.form, self.options)


@cache
def sample(scheme):
    """The vendor's request, and what must come of it."""
    return yaml.safe_load((FOLDER / f"{scheme}.yaml").read_text(encoding="utf-8"))


def body_of(told):
    """The bytes of a sample's body, or of a handshake's."""
    return base64.b64decode(told["body_base64"]) if "body_base64" in told else told["body"].encode()


def request_of(scheme, handshake=None):
    """The vendor's request, or its handshake, before it is signed."""
    told = (
        sample(scheme)
        if handshake is None
        else {"content_type": sample(scheme)["content_type"], "body": "", **handshake}
    )
    headers = Headers([("content-type", told["content_type"]), *told.get("headers", {}).items()])
    url = f"{URL}?{urlencode(told['query'])}" if "query" in told else URL
    return Request(told.get("method", "POST"), url, headers, body_of(told), NOW, lists=vendor(scheme).lists)


def form_of(name):
    """What the entry says of the proof with that name."""
    if name in MORE:
        scheme, _, options = MORE[name]
        return _described(SchemeSpec(scheme, (), options)) if scheme == "hmac" else vendor(scheme).proof[0]
    scheme, _, number = name.partition(" ")
    if scheme == "hmac":
        return _described(SchemeSpec(scheme, (), sample(scheme)["options"]))
    return vendor(scheme).proof[int(number or 1) - 1]


@cache
def way(name):
    """A scheme's name, with the number of the proof when it is not the first; or a name in `MORE`."""
    scheme, _, number = name.partition(" ")
    form, request = form_of(name), request_of(scheme)
    if name in MORE:
        return Way(scheme, form, 0, MORE[name][1], None, MORE[name][2], request)
    request = OTHERWISE[name](request) if name in OTHERWISE else request
    told, entry = sample(scheme), vendor(scheme)
    options = told.get("options", {})
    if getattr(form, "certificate", None):
        at = int(number or 1) - 1
        return Way(scheme, form, at, None, private(rsa_key(0)), {**options, "cert_pem": certificate(0)}, request)
    if entry.secret is None:
        return Way(scheme, form, 0, None, None, options, request)
    fits = "secret" in told and _fits(Secret(told["secret"]), getattr(form, "secrets", None))
    made = fresh(form)
    secret, key = (told["secret"], None) if fits else (made.secret, made.private)
    earlier = entry.proof[: int(number or 1) - 1]
    at = sum(_fits(Secret(secret), getattr(proof, "secrets", None)) for proof in earlier)
    return Way(scheme, form, at, secret, key, options, request)


def _names():
    for scheme in sorted(names()):
        for at in range(len(vendor(scheme).proof) or scheme == "hmac"):
            yield scheme if at == 0 else f"{scheme} {at + 1}"


SCHEMES = sorted(scheme for scheme in names() if not vendor(scheme).picks)
"""Every scheme that judges. Bare names choose among them, see test_schemes_choice.py."""

WAYS = sorted({*_names(), *MORE} - {"none", *UNSIGNABLE})
"""Every way to prove a request."""

SIGNED = [name for name in WAYS if isinstance(form_of(name), Signature | Jwt)]
"""Those that sign; the others show a token."""

STAMPED = [name for name in SIGNED if getattr(form_of(name), "timestamp", None)]
"""Those with a time of signing beside the signature."""

SECRET = [name for name in WAYS if not getattr(form_of(name), "certificate", None)]
"""Those whose receiver has a secret or a public key of the sender's; the others name a certificate."""


def refused(scheme, request):
    """The stable reason of a refusal: 401, with a hint for the operator."""
    with pytest.raises(Rejected) as caught:
        scheme.verify(request)
    assert caught.value.status == 401
    assert caught.value.hint
    return caught.value.reason


def where(name):
    """The kind of place where a proof stands: header, query or data."""
    return spots.of_proof(form_of(name), {}).where
