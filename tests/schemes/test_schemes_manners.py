"""What single schemes take or leave, by hand: versions, prefixes, several signatures, the hints of refusals."""

import base64
import hashlib
import hmac
import json
from dataclasses import replace
from urllib.parse import urlencode

import pytest

from relay.errors import Rejected
from relay.schemes import Headers, Request, SchemeSpec, build
from relay.secret import Secret
from tests.schemes.cases import NOW, URL, refused, way
from tests.schemes.spots import Spot

BODY = b'{"id": "e-1"}'


def make(scheme, *secrets, **options):
    return build(SchemeSpec(scheme, tuple(map(Secret, secrets)), options))


def request(headers, body=BODY, **over):
    return replace(Request("POST", URL, Headers.of(headers), body, NOW), **over)


def test_hex_all_in_capitals_is_the_same_signature_and_mixed_case_is_not():
    """Some platforms print it so (Java's, .NET's)."""
    signed, scheme, spot = way("hmac body").sign(), way("hmac body").make(), way("hmac body").spot
    proof = spot.read(signed)
    scheme.verify(spot.write(signed, proof.upper()))
    assert refused(scheme, spot.write(signed, proof[:-9] + proof[-9:].swapcase())) == "signature_wrong"


def test_the_hint_tells_hex_from_base64_and_one_algorithm_from_another():
    signed = way("hmac body").sign()
    for options, said in (
        ({"encoding": "base64"}, "looks like sha256 in hex, while sha256 in base64 is expected"),
        ({"algorithm": "sha512"}, "looks like sha256 in hex, while sha512 in hex is expected"),
        ({"prefix": "sha256="}, "must hold sha256=<"),
    ):
        with pytest.raises(Rejected) as caught:
            make("hmac", "x", header="X-Signature", **options).verify(signed)
        assert caught.value.reason == "signature_malformed"
        assert said in caught.value.hint


def test_bearer_takes_any_case_of_its_word_and_a_bare_token_only_in_a_header_of_its_own():
    bearer, own = make("bearer", "Sesam-1"), make("bearer", "Sesam-2", header="X-Token")
    bearer.verify(request({"Authorization": "bEARER  Sesam-1"}))
    own.verify(request({"X-Token": "Bearer Sesam-2"}))
    own.verify(request({"X-Token": "Sesam-2"}))
    assert refused(bearer, request({"Authorization": "Sesam-1"})) == "token_malformed"
    assert refused(make("basic", "user:password"), request({"Authorization": "Bearer a-token"})) == "token_malformed"


@pytest.mark.parametrize(
    ("scheme", "secret", "options", "challenge"),
    [
        ("basic", "user:password", {}, 'Basic realm="relay", charset="UTF-8"'),
        ("bearer", "token", {}, 'Bearer realm="relay"'),
        ("bearer", "token", {"header": "X-Token"}, None),
        ("postmark", "user:password", {}, 'Basic realm="relay", charset="UTF-8"'),
        ("github", "secret", {}, None),
    ],
)
def test_a_refusal_by_login_says_how_to_log_in(scheme, secret, options, challenge):
    """RFC 9110: a 401 has a challenge; a scheme that signs has no word for one."""
    assert make(scheme, secret, **options).challenge == challenge


def test_signatures_of_unknown_versions_are_passed_over():
    signed, scheme, spot = (
        way("standard-webhooks").sign(),
        way("standard-webhooks").make(),
        way("standard-webhooks").spot,
    )
    good, wrong = spot.read(signed), "v1," + base64.b64encode(bytes(32)).decode()
    scheme.verify(spot.write(signed, f"v2,x {wrong} v1a,y {good}"))
    assert refused(scheme, spot.write(signed, good.replace("v1,", "v2,"))) == "signature_malformed"
    assert refused(scheme, spot.write(signed, f"{wrong} {wrong}")) == "signature_wrong"


def test_of_very_many_signatures_only_the_first_are_tried():
    """A header of 8 KiB must not cost a thousand comparisons of a public key."""
    signed, scheme, spot = (
        way("standard-webhooks").sign(),
        way("standard-webhooks").make(),
        way("standard-webhooks").spot,
    )
    wrong = " ".join("v1," + base64.b64encode(hashlib.sha256(b"%d" % at).digest()).decode() for at in range(128))
    assert refused(scheme, spot.write(signed, f"{wrong} {spot.read(signed)}")) == "signature_wrong"


def test_svix_names_of_the_headers_count_as_well():
    signed = way("standard-webhooks 3").sign()
    assert {"svix-id", "svix-timestamp", "svix-signature"} <= set(signed.headers)
    assert "webhook-signature" not in signed.headers
    way("standard-webhooks").make(way("standard-webhooks 3").secret).verify(signed)


def test_a_public_key_and_a_shared_secret_are_never_taken_for_one_another():
    """Who knows the public key could else sign with it as an HMAC's."""
    shared, public = way("standard-webhooks"), way("standard-webhooks 2")
    spot = shared.spot
    signed = public.sign()
    message = f"{signed.headers.first('webhook-id')}.{NOW // 1_000}.".encode() + signed.body
    for key in (public.secret.encode(), base64.b64decode(public.secret.removeprefix("whpk_"))):
        forged = "v1," + base64.b64encode(hmac.digest(key, message, "sha256")).decode()
        refused(public.make(), spot.write(signed, forged))
    refused(shared.make(), signed)


@pytest.mark.parametrize("scheme", ["github", "bitbucket", "jira", "meta", "websub-sha256"])
def test_a_vendor_with_sha256_never_falls_back_to_sha1(scheme):
    secret = "It's a Secret to Everybody"
    legacy = "sha1=" + hmac.digest(secret.encode(), BODY, "sha1").hex()
    options = {"verify_token": "x"} if scheme == "meta" else {}
    for name in ("X-Hub-Signature", "X-Hub-Signature-256"):
        reason = refused(make(scheme, secret, **options), request({name: legacy}))
        assert reason in {"signature_missing", "signature_malformed"}


def test_stripe_takes_any_of_its_signatures_and_none_of_another_version():
    """https://docs.stripe.com/webhooks#verify-manually: `t=...,v1=...`, v0 being a test's."""
    signed, scheme, spot = way("stripe").sign(), way("stripe").make(), way("stripe").spot
    proof = spot.read(signed)
    assert proof.startswith("t=1700000000,v1=")
    scheme.verify(spot.write(signed, f"{proof},v1={'0' * 64},v0=x"))
    scheme.verify(spot.write(signed, proof.replace(",v1", f",v1={'0' * 64},v1")))
    assert refused(scheme, spot.write(signed, proof.replace("v1=", "v0="))) == "signature_malformed"
    assert refused(scheme, spot.write(signed, proof.partition(",")[2])) == "timestamp_missing"
    assert refused(scheme, spot.write(signed, f"{proof},t=1700000000")) == "timestamp_missing"


def test_gitlab_takes_its_token_only_where_no_signing_token_is_configured():
    """What begins with whsec_ is never taken for a token shown as it is: whoever sees it shown could sign."""
    signing, shown = way("gitlab"), way("gitlab 2")
    refused(signing.make(), request({"X-Gitlab-Token": signing.secret}))
    shown.make().verify(request({"X-Gitlab-Token": shown.secret}))
    refused(shown.make(), signing.sign())


def test_mailgun_signs_its_forms_as_its_json():
    """https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks: time and token."""
    token = "a8ce0edb2dd8301dee6c2405235584e45aa91d1e9f979f3de0"
    proof = hmac.digest(b"key", f"{NOW // 1_000}{token}".encode(), "sha256").hex()
    told = {"timestamp": str(NOW // 1_000), "token": token, "signature": proof, "event": "delivered"}
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    scheme = make("mailgun", "key")
    scheme.verify(request(kind, urlencode(told).encode()))
    for wrong in ({"token": token[:-1] + "1"}, {"timestamp": str(NOW // 1_000 + 1)}, {"signature": proof[::-1]}):
        assert refused(scheme, request(kind, urlencode(told | wrong).encode())) == "signature_wrong"
    nested = json.dumps({"signature": told, "event-data": {}}).encode()
    scheme.verify(request({"Content-Type": "application/json"}, nested))


def test_every_notification_of_adyen_must_be_signed():
    signed, scheme, spot = way("adyen-standard").sign(), way("adyen-standard").make(), way("adyen-standard").spot
    refused(scheme, spot.write(signed))
    data = json.loads(signed.body)
    for items in ([], None, {}, "x", [{}], [*data["notificationItems"], {}], [*data["notificationItems"], 5]):
        refused(scheme, replace(signed, body=json.dumps(data | {"notificationItems": items}).encode()))


def test_every_notification_of_microsoft_must_show_the_secret():
    signed, scheme = way("ms-graph").sign(), way("ms-graph").make()
    data = json.loads(signed.body)
    for items in (
        [],
        None,
        {},
        "x",
        [{}],
        [*data["value"], {}],
        [*data["value"], 5],
        [*data["value"], {"clientState": "x"}],
    ):
        refused(scheme, replace(signed, body=json.dumps(data | {"value": items}).encode()))


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("aws-sns", "topics", ("arn:aws:sns:eu-central-1:123456789012:Other",)),
        ("salesforce-outbound-message", "organization_id", "00D5e000000Other"),
    ],
)
def test_what_is_signed_for_another_account_is_refused(name, option, value):
    known = way(name)
    live = (Secret(known.secret),) if known.secret else ()
    scheme = build(SchemeSpec(known.scheme, live, known.options | {option: value}))
    assert refused(scheme, known.sign()) == "sender_foreign"


@pytest.mark.parametrize("scheme", ["asana", "notion"])
def test_before_the_handshake_has_brought_the_secret_nothing_is_accepted(scheme):
    assert refused(make(scheme), way(scheme).sign()) == "secret_unknown"
    assert make(scheme).proves


def test_docusign_counts_each_of_its_numbered_signatures():
    """https://developers.docusign.com/platform/webhooks/connect/validate/: one header for each of up to 100 keys."""
    signed, scheme = way("docusign").sign(), way("docusign").make()
    good = way("docusign").spot.read(signed)
    first, second, other = (Spot("header", f"x-docusign-signature-{at}") for at in ("1", "2", "x"))
    scheme.verify(second.write(first.write(signed, good[::-1]), good))
    assert refused(scheme, first.write(signed, good[::-1])) in {"signature_wrong", "signature_malformed"}
    assert refused(scheme, other.write(first.write(signed), good)) == "signature_missing"


@pytest.mark.parametrize("scheme", ["none", "salesforce-outbound-message"])
def test_where_nothing_is_proved_it_is_said(scheme):
    assert not make(scheme).proves
    make(scheme).verify(request({}))
    assert make(scheme).applies(request({}))


def test_the_url_that_is_signed_is_the_one_the_sender_used():
    """HubSpot undoes just the escapes that its table names; Twilio leaves any port out, or the usual one in."""
    known = way("hubspot-v3")
    odd = replace(known.request, url="https://us/hooks/a?x=%3A%2F%20%2b%26&y=%40")
    signed = known.sign(odd)
    known.make().verify(signed)
    known.make().verify(replace(signed, url="https://us/hooks/a?x=:/%20%2b%26&y=@"))
    for url in ("https://us/hooks/a?x=:/ %2b%26&y=@", "https://us/hooks/a?x=:/%20+%26&y=@", "http://us/hooks/a"):
        refused(known.make(), replace(signed, url=url))
    twilio = way("twilio").sign(replace(way("twilio").request, url="https://us:443/hooks/a"))
    way("twilio").make().verify(replace(twilio, url="https://us/hooks/a"))
    refused(way("twilio").make(), replace(twilio, url="https://us:8443/hooks/a"))
    without = way("twilio").sign(replace(way("twilio").request, url="https://us/hooks/a"))
    way("twilio").make().verify(replace(without, url="https://us:8443/hooks/a"))
