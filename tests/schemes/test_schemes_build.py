"""A scheme that could let a stranger in is refused at load, and the fault names the key."""

import base64

import pytest

from relay.schemes import SchemeFault, SchemeSpec, build, names, options, vendor
from relay.secret import Secret
from tests.schemes.cases import SCHEMES, SECRET, WAYS, way
from tests.schemes.pairs import certificate, private, public, rsa_key

HMAC = {"header": "X-Signature"}
TIMED = HMAC | {"content": "{{timestamp}}{{body}}", "timestamp_header": "X-T"}
NEEDY = [scheme for scheme in SCHEMES if vendor(scheme).secret and vendor(scheme).secret_required]
FIRSTS = [name for name in SECRET if " " not in name]


def fault(scheme, *secrets, **given):
    with pytest.raises(SchemeFault) as caught:
        build(SchemeSpec(scheme, tuple(map(Secret, secrets)), given))
    for secret in secrets:
        assert not secret.strip() or secret not in str(caught.value)
    assert caught.value.message
    return caught.value.key


@pytest.mark.parametrize("scheme", NEEDY)
def test_without_a_secret_nothing_is_built(scheme):
    """Asana and Notion bring it with a handshake: until then everything is refused, see test_schemes_manners.py."""
    if vendor(scheme).learns:
        assert build(SchemeSpec(scheme)).proves
    else:
        assert fault(scheme, **way(scheme).options) == "secret"


@pytest.mark.parametrize("name", FIRSTS)
def test_an_empty_secret_is_refused_even_beside_a_good_one(name):
    known = way(name)
    for secrets in (("",), (" \n",), ("\t", known.secret), (known.secret, "")):
        assert fault(known.scheme, *secrets, **known.options) == "secret"


@pytest.mark.parametrize("scheme", sorted(names()))
def test_a_key_of_another_scheme_is_refused_by_name(scheme):
    assert fault(scheme, colour="red") == "colour"


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if vendor(scheme).secret is None])
def test_a_scheme_without_a_secret_takes_none(scheme):
    assert fault(scheme, "x", **way(scheme).options) == "secret"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_key_that_a_vendor_needs_is_asked_for(scheme):
    known = way(scheme)
    for key, option in vendor(scheme).options.items():
        for value in ({}, {key: ""}) if option.required else ():
            given = {name: one for name, one in known.options.items() if name != key} | value
            assert fault(scheme, *([known.secret] if known.secret else []), **given) == key


def test_an_unknown_scheme_gets_a_near_miss():
    with pytest.raises(SchemeFault, match=r"did you mean zendesk\?") as caught:
        options("zendsk")
    assert caught.value.key == "scheme"
    with pytest.raises(SchemeFault, match="relay sources"):
        options("zzzzzzzz")


@pytest.mark.parametrize("name", WAYS)
def test_a_scheme_does_not_print_its_secret(name):
    scheme = way(name).make()
    told = f"{scheme!r} {scheme} {[repr(proof) for proof in scheme._proofs]}"
    assert way(name).secret is None or way(name).secret not in told


@pytest.mark.parametrize(
    "secret",
    [
        "whsec_%%%",
        "whsec_" + base64.b64encode(b"short").decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whpk_" + base64.b64encode(bytes(31)).decode(),
        "whpk_",
        "whsk_" + base64.b64encode(bytes(64)).decode(),
        "not base64 at all",
        "whsec_ü",
    ],
)
def test_standard_webhooks_wants_its_own_kinds_of_secret(secret):
    assert fault("standard-webhooks", secret) == "secret"


KEYS = {
    "discord": ["no key", "00" * 31],
    "sendgrid": ["no key", public(rsa_key(0))],
    "freshchat": ["no key", certificate(0), private(rsa_key(0))],
    "gong": ["no key", certificate(0), private(rsa_key(0))],
    "msteams-outgoing": ["%%%"],
    "close": ["Sesam"],
    "adyen-standard": ["Sesam"],
}


@pytest.mark.parametrize("scheme", KEYS)
def test_a_secret_that_is_no_key_of_the_schemes_kind_is_refused(scheme):
    assert [fault(scheme, secret) for secret in KEYS[scheme]] == ["secret"] * len(KEYS[scheme])


@pytest.mark.parametrize("scheme", ["aws-sns", "paypal"])
def test_a_pinned_certificate_that_is_none_is_refused(scheme):
    """Else every request would be refused, one by one."""
    for pem in ("x", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n", private(rsa_key(0))):
        assert fault(scheme, **way(scheme).options | {"cert_pem": pem}) == "cert_pem"


def test_kinds_of_secrets_of_unlike_strength_are_not_mixed():
    """GitLab's token shown as it is, beside its signing token: a stranger could choose the weaker."""
    signing, shown = way("gitlab").secret, way("gitlab 2").secret
    assert fault("gitlab", signing, shown) == fault("gitlab", shown, signing) == "secrets"


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("header", {}),
        ("header", {"header": "X Signature"}),
        ("header", {"header": ""}),
        ("header", {"header": 5}),
        ("algorithm", HMAC | {"algorithm": "md5"}),
        ("algorithm", HMAC | {"algorithm": "hmac-sha256"}),
        ("encoding", HMAC | {"encoding": "base32"}),
        ("key", HMAC | {"key": "whsec"}),
        ("prefix", HMAC | {"prefix": 1}),
        ("separator", HMAC | {"separator": 1}),
        ("content", HMAC | {"content": "constant"}),
        ("content", HMAC | {"content": "{{ timestamp }}", "timestamp_header": "X-T"}),
        ("content", HMAC | {"content": "{{ bodi }}{{ body }}"}),
        ("content", HMAC | {"content": "{{ body | upper }}"}),
        ("content", HMAC | {"content": "{{ body }"}),
        ("content", HMAC | {"content": "{% if x %}{{ body }}"}),
        ("content", HMAC | {"content": "{{ body }}", "timestamp_header": "X-T"}),
        ("content", HMAC | {"content": "{{ body? }}{{ bodi }}"}),
        ("timestamp_header", HMAC | {"content": "{{ timestamp }}{{ body }}"}),
        ("timestamp_header", TIMED | {"timestamp_header": "X:T"}),
        ("tolerance", HMAC | {"tolerance": 1000}),
        ("tolerance", TIMED | {"tolerance": 0}),
        ("tolerance", TIMED | {"tolerance": -1}),
        ("tolerance", TIMED | {"tolerance": True}),
        ("tolerance", TIMED | {"tolerance": "soon"}),
    ],
)
def test_faults_of_hmac_name_their_key(key, given):
    assert fault("hmac", "Sesam", **given) == key


@pytest.mark.parametrize(("form", "secret"), [("hex", "no hex"), ("base64", "%%%"), ("hex", "0")])
def test_a_secret_of_hmac_is_of_the_form_that_key_says(form, secret):
    assert fault("hmac", secret, **HMAC, key=form) == "secret"


def test_faults_of_basic_and_bearer_name_their_key():
    assert fault("basic", "no-colon") == "secret"
    assert fault("basic", ":Sesam-1") == "secret"
    assert fault("basic", "Sesam-2:") == "secret"
    assert fault("basic", "password", username="a:b") == "username"
    assert fault("basic", "password", username="") == "username"
    assert fault("bearer", "line\nbreak") == "secret"
    assert fault("bearer", " padded") == "secret"
    assert fault("bearer", "token", header="ü") == "header"
    assert fault("okta", "token", header="X Y") == "header"


def test_a_time_that_is_signed_as_a_header_value_counts_as_signed():
    given = HMAC | {"content": '{{ headers["X-T"] }}{{ body }}', "timestamp_header": "x-t", "tolerance": 60_000}
    build(SchemeSpec("hmac", (Secret("k"),), given))


def test_schemes_take_the_keys_that_their_entries_name():
    assert options("zendesk") == options("standard-webhooks") == {"tolerance"}
    assert options("github") == options("none") == frozenset()
    assert options("meta") == {"verify_token"}
    assert options("paypal") == {"webhook_id", "cert_pem", "tolerance"}


@pytest.mark.parametrize("scheme", sorted(names()))
def test_every_scheme_takes_what_is_cut_and_what_is_a_list(scheme):
    told = way(vendor(scheme).accepts[0] if vendor(scheme).accepts else scheme)
    live = (Secret(told.secret),) if told.secret else ()
    made = build(SchemeSpec(scheme, live, told.options | {"cut": ("data.a",), "xml_lists": ("Item",)}))
    assert "Item" in made.lists
    assert made.of(told.request).clean({"a": 1, "b": 2})[0] == {"b": 2}
