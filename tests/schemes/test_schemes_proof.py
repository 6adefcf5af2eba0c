"""Every scheme: what it signs it accepts, and nothing that differs by one bit, one header or one minute."""

import base64

import pytest

from relay.errors import Rejected
from relay.schemes import NAMES, Headers, Request, SchemeSpec, build
from relay.schemes.seal import Places, Seal, Stamp
from relay.schemes.signed import Check, Signed
from relay.secret import Secret

NOW = 1_700_000_000_000
BODY = b'{"id": "e-1", "type": "ticket.created"}'
WHSEC = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()

SPECS = {
    "bearer": ("Sesam-1", {}),
    "bearer, own header": ("Sesam-2", {"header": "X-Token"}),
    "basic": ("Sesam:5", {"username": "user"}),
    "basic, one secret": ("user:Sesam-6", {}),
    "hmac, body": ("Sesam-3", {"header": "X-Signature"}),
    "hmac, sha1 base64": ("Sesam-3", {"header": "X-Signature", "algorithm": "sha1", "encoding": "base64"}),
    "hmac, all": (
        "Sesam-4",
        {
            "header": "X-Signature",
            "algorithm": "sha512",
            "encoding": "base64",
            "prefix": "v0=",
            "content": 'v0:{{ method }}:{{ url }}:{{ headers["x-id"] }}:{{ timestamp }}.{{ body }}',
            "timestamp_header": "X-Timestamp",
            "tolerance": "5m",
        },
    ),
    "standard-webhooks": (WHSEC, {}),
    "github": ("It's a Secret to Everybody", {}),
    "zendesk": ("dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==", {}),
}
SIGNED = [name for name in SPECS if not name.startswith(("bearer", "basic"))]
STAMPED = ["hmac, all", "standard-webhooks", "zendesk"]
PROOF = {
    "bearer": "authorization",
    "bearer, own header": "x-token",
    "basic": "authorization",
    "basic, one secret": "authorization",
    "hmac, body": "x-signature",
    "hmac, sha1 base64": "x-signature",
    "hmac, all": "x-signature",
    "standard-webhooks": "webhook-signature",
    "github": "x-hub-signature-256",
    "zendesk": "x-zendesk-webhook-signature",
}
STAMP = {
    "hmac, all": "x-timestamp",
    "standard-webhooks": "webhook-timestamp",
    "zendesk": "x-zendesk-webhook-signature-timestamp",
}


def make(name, *secrets):
    secret, options = SPECS[name]
    return build(SchemeSpec(name.split(",")[0], tuple(map(Secret, secrets or (secret,))), options))


def sign(name, *, now=NOW, secret=None):
    scheme = make(name, secret) if secret else make(name)
    headers = scheme.sign(BODY, now=now, id="e-1", type="issues.opened", method="POST", url="https://us/hooks/a")
    return {key.lower(): value for key, value in headers.items()}


def request(headers, *, body=BODY, at=NOW, method="POST", url="https://us/hooks/a"):
    pairs = headers.items() if isinstance(headers, dict) else headers
    return Request(method, url, Headers(pairs), body, at)


def refused(scheme, judged):
    with pytest.raises(Rejected) as caught:
        scheme.verify(judged)
    assert caught.value.status == 401
    assert caught.value.hint
    return caught.value.reason


def flips(text):
    """The text with one bit of one character flipped, for each character and each bit that leaves it printable."""
    for at, character in enumerate(text):
        for bit in range(7):
            other = chr(ord(character) ^ (1 << bit))
            if other.isprintable():
                yield text[:at] + other + text[at + 1 :]


def test_every_scheme_is_tried_here():
    assert {name.split(",")[0] for name in SPECS} | {"none"} == NAMES


@pytest.mark.parametrize("name", SPECS)
def test_what_a_scheme_signs_it_accepts(name):
    make(name).verify(request(sign(name)))


@pytest.mark.parametrize("name", SIGNED)
def test_a_flipped_bit_in_the_body_is_refused(name):
    headers, scheme = sign(name), make(name)
    for at in range(len(BODY)):
        for bit in range(8):
            body = bytearray(BODY)
            body[at] ^= 1 << bit
            assert refused(scheme, request(headers, body=bytes(body))) == "signature_wrong"


@pytest.mark.parametrize("name", SPECS)
def test_a_flipped_bit_in_the_signature_or_token_is_refused(name):
    headers, scheme = sign(name), make(name)
    proof = headers[PROOF[name]]
    # The scheme's word (Bearer, Basic) is no part of the credential, and its case says nothing (RFC 9110).
    lead = proof.partition(" ")[0] + " " if proof.startswith(("Bearer ", "Basic ")) else ""
    for flipped in flips(proof.removeprefix(lead)):
        if flipped.strip() == proof.removeprefix(lead):
            continue
        reason = refused(scheme, request(headers | {PROOF[name]: lead + flipped}))
        assert reason in {"signature_wrong", "signature_malformed", "token_wrong", "token_malformed"}


@pytest.mark.parametrize("name", STAMPED)
def test_a_flipped_bit_in_the_timestamp_is_refused(name):
    headers, scheme = sign(name), make(name)
    for flipped in flips(headers[STAMP[name]]):
        if flipped.strip() != headers[STAMP[name]]:
            assert refused(scheme, request(headers | {STAMP[name]: flipped})) == "signature_wrong"


@pytest.mark.parametrize("name", SPECS)
def test_another_secret_is_refused(name):
    other = {
        "standard-webhooks": "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdeg").decode(),
        "basic, one secret": "user:Sesam-7",
    }.get(name, SPECS[name][0][:-1] + chr(ord(SPECS[name][0][-1]) ^ 1))
    assert refused(make(name), request(sign(name, secret=other))) in {"signature_wrong", "token_wrong"}


@pytest.mark.parametrize("name", SPECS)
def test_either_secret_counts_during_a_rotation(name):
    secret = SPECS[name][0]
    new = {"standard-webhooks": WHSEC[:-5] + "ABCD=", "basic, one secret": "user:new"}.get(name, "new-secret")
    both = make(name, new, secret)
    both.verify(request(sign(name, secret=new)))
    both.verify(request(sign(name, secret=secret)))
    refused(make(name, new), request(sign(name, secret=secret)))


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("cut", ["missing", "empty", "truncated", "repeated", "foreign letters"])
def test_a_proof_that_is_not_whole_is_refused(name, cut):
    headers, scheme = sign(name), make(name)
    header = PROOF[name]
    proof = headers.pop(header)
    shown = {
        "missing": [],
        "empty": [(header, "")],
        "truncated": [(header, proof[:-3])],
        "repeated": [(header, proof), (header, proof[::-1])],
        "foreign letters": [(header, "sha256=\udcff\udcfeé☃" + proof)],
    }[cut]
    reason = refused(scheme, request([*headers.items(), *shown]))
    assert (
        reason
        in {
            "missing": {"signature_missing", "token_missing"},
            "empty": {"signature_missing", "token_missing"},
            "truncated": {"signature_malformed", "token_wrong"},
            "repeated": {"header_repeated"},
            "foreign letters": {"signature_malformed", "token_malformed", "token_wrong"},
        }[cut]
    )


@pytest.mark.parametrize("name", STAMPED)
def test_the_time_of_signing_must_be_near(name):
    scheme, headers = make(name), sign(name)
    scheme.verify(request(headers, at=NOW + 300_000))
    scheme.verify(request(headers, at=NOW - 300_000))
    assert refused(scheme, request(headers, at=NOW + 301_000)) == "timestamp_old"
    assert refused(scheme, request(headers, at=NOW - 301_000)) == "timestamp_future"
    del headers[STAMP[name]]
    assert refused(scheme, request(headers)) == "timestamp_missing"


def test_the_hint_of_an_old_request_says_by_how_much_the_clock_is_off():
    with pytest.raises(Rejected) as caught:
        make("zendesk").verify(request(sign("zendesk"), at=NOW + 3_600_000))
    assert "3600 s" in caught.value.hint


def test_a_repeated_timestamp_is_refused():
    pairs = [*sign("zendesk").items(), (STAMP["zendesk"], "2023-11-14T22:13:21Z")]
    assert refused(make("zendesk"), request(pairs)) == "header_repeated"


def test_a_timestamp_that_is_signed_but_no_time_is_refused():
    key = b"key"
    check = Check(Seal("x-s", "{{ timestamp }}{{ body }}", stamp=Stamp("x-t")), (key,), 300_000)
    import hmac

    for text in ("soon", "99999999999999999999", "2023-99-99", "-1", "١٢٣"):
        proof = hmac.digest(key, text.encode() + BODY, "sha256").hex()
        assert refused(check, request({"x-s": proof, "x-t": text})) == "timestamp_malformed"


def test_a_signed_header_or_url_or_method_that_changes_is_refused():
    scheme, headers = make("hmac, all"), sign("hmac, all")
    assert refused(scheme, request(headers | {"x-id": "e-2"})) == "signature_wrong"
    assert refused(scheme, request(headers, url="https://us/hooks/b")) == "signature_wrong"
    assert refused(scheme, request(headers, method="PUT")) == "signature_wrong"
    del headers["x-id"]
    assert refused(scheme, request(headers)) == "header_missing"


def test_hex_all_in_capitals_is_the_same_signature():
    headers = sign("hmac, body")
    make("hmac, body").verify(request({"x-signature": headers["x-signature"].upper()}))


def test_the_hint_tells_hex_from_base64():
    scheme = build(SchemeSpec("hmac", (Secret("key"),), {"header": "x-signature", "encoding": "base64"}))
    with pytest.raises(Rejected) as caught:
        scheme.verify(request(sign("hmac, body")))
    assert "looks like sha256 in hex, while sha256 in base64 is expected" in caught.value.hint


def test_times_are_read_in_seconds_milliseconds_and_as_text():
    options = {"header": "x-s", "content": "{{ timestamp }}{{ body }}", "timestamp_header": "x-t"}
    scheme = build(SchemeSpec("hmac", (Secret("key"),), options))
    import hmac

    for text in ("1700000000", "1700000000123", "2023-11-14T22:13:20Z", "2023-11-14T23:13:20.5+01:00"):
        proof = hmac.digest(b"key", text.encode() + BODY, "sha256").hex()
        scheme.verify(request({"x-s": proof, "x-t": text}))


def test_bearer_takes_any_case_of_its_word_and_a_bare_token_only_in_a_header_of_its_own():
    make("bearer").verify(request({"Authorization": "bEARER  Sesam-1"}))
    make("bearer, own header").verify(request({"X-Token": "Bearer Sesam-2"}))
    assert refused(make("bearer"), request({"Authorization": "Sesam-1"})) == "token_malformed"
    assert refused(make("basic"), request({"Authorization": "Bearer a-token"})) == "token_malformed"


def test_signatures_of_unknown_versions_are_passed_over():
    headers = sign("standard-webhooks")
    good = headers["webhook-signature"]
    wrong = "v1," + base64.b64encode(bytes(32)).decode()
    scheme = make("standard-webhooks")
    scheme.verify(request(headers | {"webhook-signature": f"v2,x {wrong} v1a,y {good}"}))
    assert (
        refused(scheme, request(headers | {"webhook-signature": good.replace("v1,", "v2,")})) == "signature_malformed"
    )
    assert refused(scheme, request(headers | {"webhook-signature": f"{wrong} {wrong}"})) == "signature_wrong"


def test_svix_names_of_the_headers_count_as_well():
    headers = {name.replace("webhook-", "svix-"): value for name, value in sign("standard-webhooks").items()}
    scheme = make("standard-webhooks")
    scheme.verify(request(headers))
    assert scheme.identify(request(headers), {}).external_id == "e-1"


def test_github_never_falls_back_to_sha1():
    import hmac

    legacy = "sha1=" + hmac.digest(SPECS["github"][0].encode(), BODY, "sha1").hex()
    assert refused(make("github"), request({"X-Hub-Signature": legacy})) == "signature_missing"


def test_a_vendor_with_its_time_inside_the_signature_header_is_data_too():
    """As Stripe's `t=...,v1=...` (https://docs.stripe.com/webhooks#verify-manually)."""
    seal = Seal(
        "Stripe-Signature",
        "{{ timestamp }}.{{ body }}",
        prefix="v1=",
        separator=",",
        stamp=Stamp("Stripe-Signature", prefix="t="),
    )
    scheme = Signed((Check(seal, (b"whsec_x",), 300_000),), Places())
    headers = scheme.sign(BODY, now=NOW, id="e")
    assert headers["Stripe-Signature"].startswith("t=1700000000,v1=")
    scheme.verify(request(headers))
    scheme.verify(request({"stripe-signature": headers["Stripe-Signature"] + ",v1=" + "0" * 64 + ",v0=x"}))
    assert refused(scheme, request(headers, at=NOW + 400_000)) == "timestamp_old"
    assert refused(scheme, request({"stripe-signature": headers["Stripe-Signature"][13:]})) == "timestamp_missing"


def test_the_names_of_proofs_are_known_as_secret():
    for name in SPECS:
        assert {PROOF[name], "authorization", "cookie"} <= make(name).secret_headers


@pytest.mark.parametrize("name", SPECS)
def test_nothing_a_refusal_says_holds_the_secret_or_the_proof(name):
    scheme, headers = make(name), sign(name)
    headers[PROOF[name]] = headers[PROOF[name]][:-1] + "!"
    with pytest.raises(Rejected) as caught:
        scheme.verify(request(headers))
    told = f"{caught.value!r} {caught.value} {caught.value.hint} {scheme!r}"
    assert SPECS[name][0] not in told
    assert headers[PROOF[name]][-8:-1] not in told
