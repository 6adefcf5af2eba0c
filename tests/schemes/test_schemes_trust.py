"""Certificates that requests name: fetched from the vendor's own hosts alone, kept for a day, or pinned."""

from dataclasses import replace

import pytest

from relay.errors import Rejected
from relay.schemes import NeedsCertificate, SchemeSpec, build
from relay.schemes.example import Pair
from tests.schemes.cases import NOW, refused, way
from tests.schemes.pairs import certificate, private, public, rsa_key, sign_certificate
from tests.schemes.spots import Spot

PATH = {
    "aws-sns": "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
    "paypal": "/v1/notifications/certs/CERT-360caa42-fca2a594-90621ecd",
}
DAY = 86_400_000
WAYS = ["aws-sns", "aws-sns 2", "paypal"]
WHERE = {
    "aws-sns": Spot("data", "SigningCertURL"),
    "aws-sns 2": Spot("data", "SigningCertURL"),
    "paypal": Spot("header", "paypal-cert-url"),
}
HOST = {"aws-sns": "sns.eu-central-1.amazonaws.com", "paypal": "api.paypal.com"}


def unpinned(name):
    """The scheme without a certificate of the operator's."""
    options = {key: value for key, value in way(name).options.items() if key != "cert_pem"}
    return build(SchemeSpec(way(name).scheme, (), options))


def needed(scheme, request):
    """The address of the certificate that must be fetched first."""
    with pytest.raises(NeedsCertificate) as caught:
        scheme.verify(request)
    return caught.value


@pytest.mark.parametrize("name", WAYS)
def test_a_certificate_is_asked_for_and_then_judges(name):
    scheme, signed = unpinned(name), way(name).sign()
    asked = needed(scheme, signed)
    assert asked.url == WHERE[name].read(signed)
    asked.trust.keep(asked.url, certificate(0).encode(), NOW)
    scheme.verify(signed)
    stranger = way(name).sign(pair=Pair(None, private(rsa_key(1))))
    assert refused(scheme, stranger) == "signature_wrong"


@pytest.mark.parametrize("name", WAYS)
def test_a_kept_certificate_is_fetched_anew_after_a_day(name):
    scheme, signed = unpinned(name), way(name).sign()
    asked = needed(scheme, signed)
    for at in (NOW - DAY, NOW + DAY):
        asked.trust.keep(asked.url, certificate(0).encode(), at)
        scheme.verify(signed)
    for at in (NOW - DAY - 1, NOW + DAY + 1):
        asked.trust.keep(asked.url, certificate(0).encode(), at)
        assert needed(scheme, signed).url == asked.url


@pytest.mark.parametrize("name", WAYS)
def test_a_certificate_counts_for_its_own_address_only(name):
    scheme, signed = unpinned(name), way(name).sign()
    asked = needed(scheme, signed)
    asked.trust.keep(f"{asked.url}x", certificate(0).encode(), NOW)
    assert needed(scheme, signed).url == asked.url


@pytest.mark.parametrize("name", WAYS)
def test_addresses_are_kept_within_bounds(name):
    """Else whoever names ever new addresses on the vendor's host would fill the memory."""
    scheme, signed = unpinned(name), way(name).sign()
    asked = needed(scheme, signed)
    for at in range(40):
        asked.trust.keep(f"{asked.url}{at}", certificate(0).encode(), NOW)
    assert len(asked.trust._known) == 32


@pytest.mark.parametrize("name", WAYS)
def test_what_is_no_certificate_is_not_kept(name):
    scheme, signed = unpinned(name), way(name).sign()
    asked = needed(scheme, signed)
    for pem in (b"", b"<html>", public(rsa_key(0)).encode(), private(rsa_key(0)).encode()):
        with pytest.raises(Rejected) as caught:
            asked.trust.keep(asked.url, pem, NOW)
        assert (caught.value.status, caught.value.reason) == (401, "certificate_wrong")
    assert needed(scheme, signed).url == asked.url


def foreign(name):
    """Addresses that look like the vendor's and are not."""
    host, path = HOST[name.partition(" ")[0]], PATH[name.partition(" ")[0]]
    return [
        "",
        "x",
        f"http://{host}{path}",
        f"ftp://{host}{path}",
        f"//{host}{path}",
        f"{host}{path}",
        f"https://example.com{path}",
        f"https://example.com/{host}{path}",
        f"https://{host}.example.com{path}",
        f"https://x{host}{path}",
        f"https://x.{host}{path}",
        f"https://{host}@example.com{path}",
        f"https://example.com@{host}{path}",
        f"https://user:password@{host}{path}",
        f"https://{host}:8443{path}",
        f"https://{host}:443{path}",
        f"https://{host}#@example.com{path}",
        f"https://example.com#{host}{path}",
        f"https://example.com\\@{host}{path}",
        f"https://example.com?{host}{path}",
        f"https://{host.replace('.', '-', 1)}{path}",
        f"https://{host}./{path}",
        f"https://[::1]{path}",
        f"https://[{path}",
        f"https://{host}/other/place",
        f"https://{host}{path}?x=1",
        f"https://{host}{path}?",
        f"https://{host}{path}#x",
        f"https://{host}{path};x",
        f"https://{host}{path}/x",
        f"https://{host}/x{path}",
        f"https://{host}/..{path}",
        f"HTTPS://{host}{path}",
        f"https://{host}",
    ]


@pytest.mark.parametrize("name", WAYS)
def test_an_address_that_is_not_the_vendors_is_refused_and_never_fetched(name):
    scheme, signed = unpinned(name), way(name).sign()
    for url in foreign(name):
        assert refused(scheme, WHERE[name].write(signed, url)) == "certificate_foreign", url
    assert refused(scheme, WHERE[name].write(signed)) == "certificate_foreign"


@pytest.mark.parametrize(
    "url",
    [
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
        "https://sns.cn-north-1.amazonaws.com.cn/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
        "https://sns.us-gov-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
    ],
)
def test_amazons_own_regions_are_known(url):
    signed = way("aws-sns").sign(WHERE["aws-sns"].write(way("aws-sns").request, url))
    assert needed(unpinned("aws-sns"), signed).url == url


@pytest.mark.parametrize(
    "place",
    [
        "sns.x.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
        "sns.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
        "sns.mybucket.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
        "sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem",
        "sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789ABCDEF0123456789ABCDEF.pem",
        "sns.us-east-1.amazonaws.com/bucket/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
        "sns.us-east-1.amazonaws.com/x.pem",
        "sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem\n",
    ],
)
def test_not_every_place_at_amazon_holds_certificates_of_sns(place):
    signed = WHERE["aws-sns"].write(way("aws-sns").sign(), f"https://{place}")
    assert refused(unpinned("aws-sns"), signed) == "certificate_foreign"


@pytest.mark.parametrize("name", WAYS)
def test_a_certificate_of_somebody_else_or_out_of_date_is_not_kept(name):
    scheme, signed = unpinned(name), way(name).sign()
    asked = needed(scheme, signed)
    year = 365 * DAY
    wrong = [
        (sign_certificate(rsa_key(0), "sns.example.com"), NOW),
        (sign_certificate(rsa_key(0), "xsns.amazonaws.com"), NOW),
        (certificate(0), NOW - 2 * year),
        (certificate(0), NOW + 40 * year),
    ]
    for pem, at in wrong:
        with pytest.raises(Rejected) as caught:
            asked.trust.keep(asked.url, pem.encode(), at)
        assert caught.value.reason == "certificate_wrong"
    assert needed(scheme, signed).url == asked.url


@pytest.mark.parametrize("name", WAYS)
def test_a_pinned_certificate_counts_whatever_a_request_names(name):
    """Tests of the operator's, and networks that reach no vendor."""
    scheme, signed = way(name).make(), way(name).sign()
    scheme.verify(signed)
    scheme.verify(way(name).sign(WHERE[name].write(way(name).request, "https://example.com/")))
    known = way(name)
    stranger = build(SchemeSpec(known.scheme, (), known.options | {"cert_pem": certificate(1)}))
    assert refused(stranger, signed) == "signature_wrong"


@pytest.mark.parametrize("name", WAYS)
def test_only_an_rsa_key_judges(name):
    from cryptography.hazmat.primitives.asymmetric import ec

    scheme, signed = unpinned(name), way(name).sign()
    asked = needed(scheme, signed)
    with pytest.raises(Rejected) as caught:
        asked.trust.keep(asked.url, sign_certificate(ec.derive_private_key(4711, ec.SECP256R1())).encode(), NOW)
    assert "RSA" in caught.value.hint


def test_a_signature_of_sns_is_of_the_version_that_it_names():
    """Version 1 is SHA-1, version 2 SHA-256; neither does for the other."""
    first, second = way("aws-sns").sign(), way("aws-sns 2").sign()
    version = Spot("data", "SignatureVersion")
    for signed, other_version in ((first, "2"), (second, "1"), (first, "3"), (second, "")):
        refused(way("aws-sns").make(), version.write(signed, other_version))
    refused(way("aws-sns").make(), version.write(first))


def test_paypal_signs_for_one_webhook():
    """The webhook's id is signed and not sent: a request to another webhook of the same account is refused."""
    known = way("paypal")
    other_id = build(SchemeSpec("paypal", (), known.options | {"webhook_id": "another"}))
    assert refused(other_id, known.sign()) == "signature_wrong"
    assert refused(known.make(), replace(known.sign(), body=b"{}")) == "signature_wrong"
