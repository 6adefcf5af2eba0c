"""A scheme that could let a stranger in is refused at load, and the fault names the key."""

import base64

import pytest

from relay.schemes import NAMES, SchemeFault, SchemeSpec, build, options
from relay.secret import Secret

HMAC = {"header": "X-Signature"}


def fault(scheme, *secrets, **given):
    with pytest.raises(SchemeFault) as caught:
        build(SchemeSpec(scheme, tuple(map(Secret, secrets)), given))
    for secret in secrets:
        assert not secret.strip() or secret not in str(caught.value)
    return caught.value.key


@pytest.mark.parametrize("scheme", sorted(NAMES - {"none"}))
def test_without_a_secret_or_with_an_empty_one_nothing_is_built(scheme):
    given = HMAC if scheme == "hmac" else {}
    assert fault(scheme, **given) == "secret"
    assert fault(scheme, "", **given) == "secret"
    assert fault(scheme, " \n", **given) == "secret"
    assert fault(scheme, "user:a-good-one-of-some-length", "", **given) == "secret"


@pytest.mark.parametrize("scheme", sorted(NAMES))
def test_a_key_of_another_scheme_is_refused_by_name(scheme):
    assert fault(scheme, colour="red") == "colour"


def test_an_unknown_scheme_gets_a_near_miss():
    with pytest.raises(SchemeFault, match="did you mean github") as caught:
        options("githab")
    assert caught.value.key == "scheme"


def test_scheme_none_takes_no_secret():
    assert fault("none", "x") == "secret"


@pytest.mark.parametrize(
    "secret",
    [
        "whsec_%%%",
        "whsec_" + base64.b64encode(b"short").decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
        "whpk_" + base64.b64encode(bytes(32)).decode(),
        "not base64 at all",
        "whsec_ü",
    ],
)
def test_standard_webhooks_wants_its_own_kind_of_secret(secret):
    assert fault("standard-webhooks", secret) == "secret"


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("header", {}),
        ("header", {"header": "X Signature"}),
        ("header", {"header": ""}),
        ("header", {"header": 5}),
        ("algorithm", HMAC | {"algorithm": "md5"}),
        ("encoding", HMAC | {"encoding": "base32"}),
        ("prefix", HMAC | {"prefix": 1}),
        ("content", HMAC | {"content": "constant"}),
        ("content", HMAC | {"content": "{{ timestamp }}", "timestamp_header": "X-T"}),
        ("content", HMAC | {"content": "{{ bodi }}{{ body }}"}),
        ("content", HMAC | {"content": "{{ body | upper }}"}),
        ("content", HMAC | {"content": "{{ body }"}),
        ("content", HMAC | {"content": "{% if x %}{{ body }}"}),
        ("content", HMAC | {"content": "{{ body }}", "timestamp_header": "X-T"}),
        ("timestamp_header", HMAC | {"content": "{{ timestamp }}{{ body }}"}),
        ("timestamp_header", HMAC | {"content": "{{ timestamp }}{{ body }}", "timestamp_header": "X:T"}),
        ("tolerance", HMAC | {"tolerance": 1000}),
        ("tolerance", HMAC | {"content": "{{timestamp}}{{body}}", "timestamp_header": "X-T", "tolerance": 0}),
        ("tolerance", HMAC | {"content": "{{timestamp}}{{body}}", "timestamp_header": "X-T", "tolerance": "soon"}),
    ],
)
def test_faults_of_hmac_name_their_key(key, given):
    assert fault("hmac", "key", **given) == key


def test_faults_of_basic_and_bearer_name_their_key():
    assert fault("basic", "no-colon") == "secret"
    assert fault("basic", ":Sesam-1") == "secret"
    assert fault("basic", "Sesam-2:") == "secret"
    assert fault("basic", "password", username="a:b") == "username"
    assert fault("basic", "password", username="") == "username"
    assert fault("bearer", "line\nbreak") == "secret"
    assert fault("bearer", " padded") == "secret"
    assert fault("bearer", "token", header="ü") == "header"


def test_a_time_that_is_signed_as_a_header_value_counts_as_signed():
    given = HMAC | {"content": '{{ headers["X-T"] }}{{ body }}', "timestamp_header": "x-t", "tolerance": 60_000}
    build(SchemeSpec("hmac", (Secret("k"),), given))


def test_only_schemes_with_a_time_take_a_tolerance():
    assert options("zendesk") == options("standard-webhooks") == {"tolerance"}
    assert options("github") == options("none") == frozenset()
