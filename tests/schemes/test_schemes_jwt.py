"""JSON Web Tokens: only the algorithm of the entry, only for this request, only now."""

import base64
import hashlib
import hmac
import json
import warnings
from dataclasses import replace

import jwt
import pytest

from relay.schemes import SchemeSpec, build, names, vendor
from relay.schemes.entry import Jwt
from relay.secret import Secret
from tests.schemes.cases import NOW, URL, refused, way
from tests.schemes.pairs import pair, private, public, rsa_key

NAMES = [name for name in sorted(names()) if any(isinstance(form, Jwt) for form in vendor(name).proof)]
SECONDS = NOW // 1_000


def claims_of(name):
    """What a right token of this scheme says."""
    signed = way(name).sign()
    token = way(name).spot.read(signed).rpartition(" ")[2]
    return jwt.decode(token, options={"verify_signature": False})


def token(name, claims=None, *, algorithm=None, key=None, headers=None):
    """A token of that scheme, right but for what is given."""
    key = key if key is not None else way(name).private or way(name).secret
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return jwt.encode(
            claims_of(name) if claims is None else claims, key, algorithm or way(name).form.algorithm, headers
        )


def show(name, text, **over):
    """The vendor's request with another token."""
    lead = way(name).form.lead
    return way(name).spot.write(replace(way(name).request, **over), f"{lead} {text}" if lead else text)


def raw(header, claims, signature=b""):
    """A token put together by hand."""
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def test_the_schemes_with_tokens_are_tried_here():
    assert {"gong", "messagebird", "monday", "vonage-jwt"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_token_is_taken_bare_or_after_its_word(name):
    scheme, right = way(name).make(), token(name)
    scheme.verify(show(name, right))
    scheme.verify(way(name).spot.write(way(name).request, f"bEARER  {right}"))
    scheme.verify(way(name).spot.write(way(name).request, right))
    refused(scheme, way(name).spot.write(way(name).request, f"Basic {right}"))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("none", ["none", "None", "NONE", "", None, "HS512", "RS512", ["HS256"], 5])
def test_no_other_algorithm_is_taken_and_none_least_of_all(name, none):
    header = {"alg": none, "typ": "JWT"}
    assert refused(way(name).make(), show(name, raw(header, claims_of(name)))) == "token_malformed"
    right = token(name).rpartition(".")[2]
    refused(way(name).make(), show(name, f"{raw(header, claims_of(name)).rpartition('.')[0]}.{right}"))


def test_a_public_key_is_never_the_secret_of_an_hmac():
    """The classic: signed with HS256 by the public key, which everybody may know."""
    name = "gong"
    for key in (way(name).secret, way(name).secret.strip(), public(rsa_key(0))):
        message = raw({"alg": "HS256", "typ": "JWT"}, claims_of(name)).rpartition(".")[0]
        digest = hmac.digest(key.encode(), message.encode(), "sha256")
        forged = f"{message}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
        assert refused(way(name).make(), show(name, forged)) == "token_malformed"


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gong"])
def test_a_stranger_with_a_key_pair_signs_nothing(name):
    forged = token(name, algorithm="RS256", key=private(rsa_key(1)), headers={"jwk": {"kty": "RSA"}, "x5u": URL})
    assert refused(way(name).make(), show(name, forged)) == "token_malformed"


@pytest.mark.parametrize("name", NAMES)
def test_a_key_in_the_tokens_own_header_counts_for_nothing(name):
    key = private(rsa_key(1)) if name == "gong" else "another secret that is long enough"
    forged = token(name, key=key, headers={"jwk": {"kty": "oct", "k": "YQ"}, "jku": URL, "kid": "../../dev/null"})
    assert refused(way(name).make(), show(name, forged)) == "signature_wrong"


CLAIMS = [(name, claim) for name in NAMES for claim in (*vendor(name).proof[0].claims, *vendor(name).proof[0].required)]


@pytest.mark.parametrize(("name", "claim"), CLAIMS)
def test_a_claim_that_is_missing_is_refused(name, claim):
    claims = claims_of(name)
    del claims[claim.removesuffix("?")]
    assert refused(way(name).make(), show(name, token(name, claims))) in {"token_malformed", "token_foreign"}


@pytest.mark.parametrize(("name", "claim"), [one for one in CLAIMS if one[1] in vendor(one[0]).proof[0].claims])
def test_a_claim_that_fits_another_request_is_refused(name, claim):
    key, right = claim.removesuffix("?"), claims_of(name)
    for value in ("other", right[key].upper(), right[key] + " ", "", None, True, 5, [], {}, ["other"]):
        assert refused(way(name).make(), show(name, token(name, right | {key: value}))) in {
            "token_foreign",
            "token_malformed",
        }


@pytest.mark.parametrize("name", [name for name in NAMES if "aud" in vendor(name).proof[0].claims])
def test_an_audience_of_several_is_enough_when_this_address_is_one(name):
    way(name).make().verify(show(name, token(name, claims_of(name) | {"aud": ["other", URL]})))


@pytest.mark.parametrize("name", NAMES)
def test_a_token_counts_for_its_own_address_or_body_only(name):
    claims = set(vendor(name).proof[0].claims.values())
    right = token(name)
    if any("body" in text for text in claims):
        refused(way(name).make(), show(name, right, body=b"{}"))
    if any("url" in text for text in claims):
        refused(way(name).make(), show(name, right, url=f"{URL}/other"))
    assert claims


@pytest.mark.parametrize("name", NAMES)
def test_the_times_of_a_token_are_judged_at_the_requests_own(name):
    scheme, request = way(name).make(), show(name, token(name))
    assert claims_of(name)["exp"] == SECONDS + 300
    scheme.verify(replace(request, received_at=NOW + 299_999))
    assert refused(scheme, replace(request, received_at=NOW + 300_000)) == "timestamp_old"
    assert refused(scheme, replace(request, received_at=NOW - 1)) == "timestamp_future"
    live = (Secret(way(name).secret),)
    wide = build(SchemeSpec(name, live, way(name).options | {"tolerance": "1m"}))
    wide.verify(replace(request, received_at=NOW + 359_999))
    wide.verify(replace(request, received_at=NOW - 60_000))
    assert refused(wide, replace(request, received_at=NOW + 360_000)) == "timestamp_old"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("claim", ["exp", "nbf"])
def test_a_time_that_is_none_is_refused(name, claim):
    for value in ("1700000000", "soon", True, [], {}, 10**400):
        reason = refused(way(name).make(), show(name, token(name, claims_of(name) | {claim: value})))
        assert reason in {"token_malformed", "timestamp_future"}, value


@pytest.mark.parametrize("name", [name for name in NAMES if vendor(name).proof[0].issuer])
def test_another_issuer_is_refused(name):
    for issuer in ("other", "", vendor(name).proof[0].issuer.lower()):
        assert refused(way(name).make(), show(name, token(name, claims_of(name) | {"iss": issuer}))) == "token_wrong"


@pytest.mark.parametrize(
    "name", [name for name in NAMES if any("?" in claim for claim in vendor(name).proof[0].claims)]
)
def test_a_claim_of_the_body_is_there_just_when_the_body_is(name):
    """https://developers.messagebird.com/api/#verifying-http-requests"""
    scheme, claims = way(name).make(), claims_of(name)
    without = {key: value for key, value in claims.items() if key != "payload_hash"}
    scheme.verify(show(name, token(name, without), body=b""))
    refused(scheme, show(name, token(name, without)))
    refused(scheme, show(name, token(name, claims), body=b""))
    empty = claims | {"payload_hash": hashlib.sha256(b"").hexdigest()}
    refused(scheme, show(name, token(name, empty), body=b""))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "...",
        "a.b.c",
        "e30.e30.",
        "e30",
        "é.é.é",
        "\udcff.\udcff.\udcff",
        "eyJhbGciOiJub25lIn0.e30.",
        "=.=.=",
    ],
)
def test_what_is_no_token_is_refused(name, text):
    assert refused(way(name).make(), show(name, text)) in {"token_malformed", "token_missing"}


@pytest.mark.parametrize("name", NAMES)
def test_claims_that_are_no_object_are_refused(name):
    for claims in ("text", 5, [], None):
        body = raw({"alg": way(name).form.algorithm}, claims).rpartition(".")[0]
        key = (way(name).secret or "").encode()
        digest = hmac.digest(key, body.encode(), "sha256")
        forged = f"{body}.{base64.urlsafe_b64encode(digest).decode().rstrip('=')}"
        assert refused(way(name).make(), show(name, forged)) in {"token_malformed", "signature_wrong"}


def test_gong_may_change_its_key():
    known, new = way("gong"), pair(rsa_key(1))
    both = known.make(new.secret, known.secret)
    both.verify(show("gong", token("gong")))
    both.verify(show("gong", token("gong", key=new.private)))
