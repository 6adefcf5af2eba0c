"""The time of signing: near enough, in the vendor's unit, and signed."""

import hmac
from dataclasses import replace

import pytest

from relay import moment
from relay.errors import Rejected
from relay.schemes import Headers, Request, SchemeSpec, build
from relay.schemes.build import options
from relay.secret import Secret
from relay.units import duration
from tests.schemes import spots
from tests.schemes.cases import NOW, STAMPED, WAYS, form_of, refused, way

BODY = b'{"id": "e-1"}'
HMAC = {"header": "x-s", "content": "{{ timestamp }}{{ body }}", "timestamp_header": "x-t"}


def stamped(text, *, at=NOW, tolerance="5m"):
    """A request whose signed time is this text, and the scheme that judges it."""
    proof = hmac.digest(b"key", text.encode("utf-8", "surrogateescape") + BODY, "sha256").hex()
    request = Request("POST", "", Headers.of({"x-s": proof, "x-t": text}), BODY, at)
    return build(SchemeSpec("hmac", (Secret("key"),), HMAC | {"tolerance": tolerance})), request


@pytest.mark.parametrize("name", STAMPED)
def test_the_time_of_signing_must_be_near(name):
    known = way(name)
    scheme, signed = known.make(), known.sign()
    tolerance = duration(known.options["tolerance"]) if "tolerance" in known.options else form_of(name).tolerance
    for age in (-tolerance, 0, tolerance):
        scheme.verify(replace(signed, received_at=NOW + age))
    assert refused(scheme, replace(signed, received_at=NOW + tolerance + 1_000)) == "timestamp_old"
    assert refused(scheme, replace(signed, received_at=NOW - tolerance - 1_000)) == "timestamp_future"


@pytest.mark.parametrize("name", STAMPED)
def test_the_operator_may_choose_another_tolerance(name):
    known = way(name)
    live = (Secret(known.secret),) if known.secret else ()
    wide = build(SchemeSpec(known.scheme, live, known.options | {"tolerance": "24h"}))
    wide.verify(replace(known.sign(), received_at=NOW + 86_400_000))
    assert refused(wide, replace(known.sign(), received_at=NOW + 86_401_000)) == "timestamp_old"


def test_only_schemes_with_a_time_take_a_tolerance():
    timed = {way(name).scheme for name in WAYS if name in STAMPED or hasattr(form_of(name), "claims")} | {"hmac"}
    assert {way(name).scheme for name in WAYS if "tolerance" in options(way(name).scheme)} == timed


@pytest.mark.parametrize("name", [name for name in STAMPED if spots.of_time(form_of(name))])
def test_a_time_that_is_missing_is_named(name):
    signed, scheme, spot = way(name).sign(), way(name).make(), spots.of_time(form_of(name))
    assert refused(scheme, spot.write(signed)) in {"timestamp_missing", "signed_part_missing", "signature_wrong"}


def test_the_hint_of_an_old_request_says_by_how_much_the_clock_is_off():
    scheme, request = stamped("1700000000", at=NOW + 3_600_000)
    with pytest.raises(Rejected) as caught:
        scheme.verify(request)
    assert "3600 s" in caught.value.hint
    assert "5m are allowed" in caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "1700000000",
        "1700000000123",
        "1700000000.5",
        "2023-11-14T22:13:20Z",
        "2023-11-14T22:13:20.123456Z",
        "2023-11-14T23:13:20.5+01:00",
        "Tue, 14 Nov 2023 22:13:20 GMT",
    ],
)
def test_times_are_read_in_seconds_milliseconds_and_as_text(text):
    scheme, request = stamped(text)
    scheme.verify(request)


@pytest.mark.parametrize(
    "text",
    [
        "soon", "-1", "+1700000000", "1e9", "1_700_000_000", "0x65", "\u0661\u0667", "99999999999999999999", "NaN",
        "2023-99-99", "2023-11-14T22:13:20+99:99", "Tue, 99 Nov 2023 22:13:20 GMT", "Tue,", "1700000000,0", "\udcff",
    ],
)  # fmt: skip
def test_a_time_that_is_signed_but_no_time_is_refused(text):
    scheme, request = stamped(text)
    assert refused(scheme, request) == "timestamp_malformed"


@pytest.mark.parametrize(("unit", "text"), [
    ("seconds", "1700000000"),
    ("milliseconds", "1700000000000"),
    ("rfc3339", "2023-11-14T22:13:20Z"),
    ("http", "Tue, 14 Nov 2023 22:13:20 GMT"),
])  # fmt: skip
def test_what_is_written_in_a_unit_is_read_again(unit, text):
    assert moment.WRITE[unit](NOW) == text
    assert moment.read(text) == NOW


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1_700_000_000, 1_700_000_000_000),
        (1_700_000_000.9, 1_700_000_000_900),
        ("1700000000123", 1_700_000_000_123),
        ("1700000000.25", 1_700_000_000_250),
        ("2023-11-14T22:13:20Z", 1_700_000_000_000),
        (0, 0),
        (True, None),
        (float("inf"), None),
        (float("nan"), None),
        (-5, None),
        (10**400, None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-14:00", None),
        ("yesterday", None),
        ("", None),
        (None, None),
        ([], None),
    ],
)
def test_times_in_payloads_are_read_or_left_out(value, expected):
    assert moment.find(value) == expected
