"""The likeliest cause of a refusal, told to the operator: what would have been right."""

import hmac
import json
from dataclasses import replace

import pytest

from relay.errors import Rejected
from relay.schemes import Headers, NeedsCertificate, Request, SchemeSpec, build, diagnose
from relay.schemes.recode import recode
from relay.secret import Secret
from tests.schemes.cases import NOW, SCHEMES, URL, way

BODY = '{"id": "e-1", "name": "Köln"}\n'.encode()
SECRET = "It's a Secret to Everybody"


def spec(scheme, secret=SECRET, **options):
    return SchemeSpec(scheme, (Secret(secret),) if secret else (), options)


def sign(of, body=BODY, url=URL):
    """What a sender of that scheme sends."""
    request = Request("POST", url, Headers.of({"content-type": "application/json"}), body, NOW)
    return build(of).sign(request, id="e-1", type="ticket.created")


def cause(of, request):
    """The diagnosis of a request that is refused."""
    with pytest.raises(Rejected) as caught:
        build(of).of(request).verify(request)
    return diagnose(of, request, caught.value)


def test_the_clock_is_off():
    late = replace(sign(spec("zendesk")), received_at=NOW + 7_200_000)
    assert "a clock is off by 7200 s" in cause(spec("zendesk"), late)
    assert "an old request is sent again" in cause(spec("zendesk"), late)


def test_the_secret_is_another():
    assert "the secret is not the sender's (or was rotated there)" in cause(
        spec("zendesk", "another"), sign(spec("zendesk"))
    )


@pytest.mark.parametrize(
    ("sent", "came", "said"),
    [
        (BODY, BODY[:-1], "with a line break at its end"),
        (BODY[:-1], BODY, "without the line break at its end"),
        (BODY[:-1], BODY[:-1] + b"\r\n", "without the line break at its end"),
        (b'{"a": 1,\n"b": 2}', b'{"a": 1,\r\n"b": 2}', "with plain line breaks"),
        (b'{"a":1,"b":[2]}', b'{"a": 1, "b": [2]}', "as compact JSON"),
        (b'{"a": 1, "b": [2]}', b'{"a":1,"b":[2]}', "as spaced JSON"),
        (b'{"a":"K\\u00f6ln"}', '{"a": "Köln"}'.encode(), "as compact JSON with its letters escaped"),
        ('{"a":"Köln"}'.encode(), b'{"a":"K\\u00f6ln"}', "as compact JSON"),
        (b'{"a": "K\\u00f6ln"}', '{"a":"Köln"}'.encode(), "as spaced JSON with its letters escaped"),
    ],
)
@pytest.mark.parametrize("scheme", ["github", "hubspot-v3", "stripe"])
def test_the_body_was_re_encoded_on_the_way(scheme, sent, came, said):
    told = cause(spec(scheme), replace(sign(spec(scheme), sent), body=came))
    assert told.startswith("the body was re-encoded on the way")
    assert said in told


def test_a_body_that_was_changed_is_not_called_re_encoded():
    told = cause(spec("github"), replace(sign(spec("github")), body=BODY.replace(b"e-1", b"e-2")))
    assert "re-encoded" not in told
    assert "something on the way changed the body" in told


@pytest.mark.parametrize(
    ("sent", "came", "said"),
    [
        ("https://us/hooks/a", "http://us/hooks/a", "https address"),
        ("http://us/hooks/a", "https://us/hooks/a", "http address"),
        ("https://us/hooks/a/", "https://us/hooks/a", "a slash at its end"),
        ("https://us/hooks/a", "https://us/hooks/a/", "without its last slash"),
    ],
)
@pytest.mark.parametrize("scheme", ["hubspot-v3", "square", "trello"])
def test_the_address_is_not_the_one_that_was_signed(scheme, sent, came, said):
    told = cause(spec(scheme), replace(sign(spec(scheme), url=sent), url=came))
    assert said in told
    assert "http.public_url" in told


def test_both_a_proxy_and_a_wrong_secret_leave_the_plain_hint():
    came = replace(sign(spec("hubspot-v3"), url="https://us/a"), url="http://us/a")
    assert "the secret is not the sender's" in cause(spec("hubspot-v3", "another"), came)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [("bitbucket", "intercom"), ("github", "bitbucket"), ("zendesk", "github"), ("salesloft", "front-rule")],
)
def test_it_is_right_for_another_scheme(mine, theirs):
    """Of schemes that sign alike any may be named; what is named takes the request."""
    request = sign(spec(theirs))
    told = cause(spec(mine), request)
    assert told.startswith("it is right for scheme ")
    named = told.removeprefix("it is right for scheme ").partition(":")[0]
    build(spec(named)).verify(request)


def test_the_headers_are_anothers_though_the_secret_is_unknown():
    told = cause(spec("github", "another"), sign(spec("stripe")))
    assert told == "the headers are those of scheme stripe: is that the sender?"


@pytest.mark.parametrize("key", ["hex", "base64"])
def test_the_secret_of_an_hmac_is_read_otherwise(key):
    mine = {"header": "X-Signature"}
    request = sign(spec("hmac", "00ff00ff", **mine, key=key))
    assert cause(spec("hmac", "00ff00ff", **mine), request).endswith(f"set `key: {key}`")


def test_a_weaker_scheme_of_the_same_vendor_is_not_advised():
    """Who signs with HubSpot's v1 has no time and no address in the signature; the choice left it out on purpose."""
    right_old = sign(spec("hubspot-v1"))
    request = replace(right_old, headers=Headers([*right_old.headers.flat(), ("x-hubspot-signature-version", "v1")]))
    assert "set that scheme" not in cause(spec("hubspot"), request)


def test_an_old_request_under_another_scheme_is_still_known_for_it():
    late = replace(sign(spec("stripe")), received_at=NOW + 86_400_000)
    assert cause(spec("github"), late).startswith("it is right for scheme ")


def test_large_bodies_are_not_tried_in_other_forms():
    large = json.dumps({"a": "x" * 70_000}).encode()
    assert "re-encoded" not in cause(spec("github"), replace(sign(spec("github"), large), body=large + b"\n"))


@pytest.mark.parametrize(
    ("reason", "status"), [("token_wrong", 401), ("header_repeated", 401), ("too_large", 413), ("signature_wrong", 403)]
)
def test_what_says_enough_by_itself_is_left_as_it_is(reason, status):
    error = Rejected("x", status=status, reason=reason, hint="the hint")
    assert diagnose(spec("github"), sign(spec("bitbucket")), error) == "the hint"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_whatever_comes_a_diagnosis_is_a_line_without_secrets(scheme):
    """Requests of the next few schemes in the alphabet, posted to this one."""
    known = way(scheme)
    mine = SchemeSpec(scheme, (Secret(known.secret),) if known.secret else (), known.options)
    at = SCHEMES.index(scheme)
    for other in (SCHEMES[(at + step) % len(SCHEMES)] for step in (1, 7, 23)):
        request = way(other).sign()
        try:
            build(mine).verify(request)
        except NeedsCertificate:
            continue
        except Rejected as error:
            told = diagnose(mine, request, error)
            assert told
            assert "\n" not in told
            proof = None if other == "none" else way(other).spot.read(request)
            assert not any(secret and secret in told for secret in (known.secret, way(other).secret, proof))


def test_a_request_without_anything_is_diagnosed():
    bare = Request("POST", "", Headers(), b"", NOW)
    assert "does not sign" in cause(spec("github"), bare)
    proof = hmac.digest(SECRET.encode(), b"", "sha256").hex()
    build(spec("github")).verify(replace(bare, headers=Headers.of({"x-hub-signature-256": f"sha256={proof}"})))


@pytest.mark.parametrize(
    "text",
    [
        '{"a":"K\\u00f6ln","b":[1,2.50,true,null]}',
        '{ "a" : "x, y: z" , "b" :\n\t[ { } , [ ] ] }',
        '{"a\\"b":"\\\\u0041 \\\\\\u0041\\/","\\ud83d\\ude00":"\\u0008\\u001f\\u0022\\u005c"}',
        '["\\ud800 half"]',
        '{"😀":"é\u007f"}',
    ],
)
def test_a_body_is_written_otherwise_as_a_library_writes_it(text):
    """Numbers keep their digits, which a library may change."""
    data = json.loads(text, parse_float=Digits)
    wanted = {
        json.dumps(data, ensure_ascii=plain, separators=marks).encode("utf-8", "surrogatepass")
        for plain in (False, True)
        for marks in ((",", ":"), (", ", ": "))
    }
    told = {body.replace(b"2.50", b"2.5") for body, _ in recode(text.encode())}
    if "half" in text:  # no library writes half a pair as it is
        wanted = {body for body in wanted if body.isascii()}
    assert told == wanted


class Digits(float):
    pass


@pytest.mark.parametrize("body", [b"", b"a=1", b"<a/>", b"\xff{", b'{"\xff": 1}', b'{"a":"' + b"x" * 17_000 + b'"}'])
def test_what_is_no_small_json_is_not_written_otherwise(body):
    assert list(recode(body)) == []


@pytest.mark.parametrize("around", ["{}\n", " {}", "\ufeff{}", '"{}"', "{}\r\n"])
def test_the_secret_was_copied_with_what_stood_around_it(around):
    wrong = spec("zendesk", around.format(SECRET))
    assert "it is right for the secret without the line break" in cause(wrong, sign(spec("zendesk")))


def test_the_public_address_holds_a_path_that_senders_do_not_call():
    sent = sign(spec("hubspot-v3"), url="https://h.example/hooks/s")
    came = replace(sent, url="https://h.example/relay/hooks/hooks/s")
    told = cause(spec("hubspot-v3"), came)
    assert "https://h.example/hooks/s, and https://h.example/relay/hooks/hooks/s was verified" in told


def test_the_address_that_was_verified_is_told_without_its_query():
    came = replace(sign(spec("hubspot-v3")), url="https://elsewhere.example/hooks/s?token=hidden")
    told = cause(spec("hubspot-v3"), came)
    assert "the address that was verified is https://elsewhere.example/hooks/s" in told
    assert "hidden" not in told
