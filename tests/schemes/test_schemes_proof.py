"""Every scheme: what it signs it accepts, and nothing of another secret, or whose proof is not whole."""

import copy

import pytest

from relay.errors import Rejected
from relay.hooks.kept import keep
from relay.schemes import SchemeSpec, build, example, vendor
from relay.schemes.entry import Jwt
from relay.secret import Secret
from tests.schemes.cases import SCHEMES, SECRET, SIGNED, WAYS, form_of, refused, way, where

GARBAGE = (
    "\0", "☃", "=", ",", ";", "Bearer", "Basic", "HMAC", "v1,", "v1=,v1=", "t=,v1=", "sha256=", "x" * 10_000,
    "e30.e30.", "a.b.c", "-1", "null", "%00", "0", " ,".join("x" * 200),
)  # fmt: skip
FOREIGN = ("sha256=\udcff\udcfe", "\ud800", "٣" * 64)


def shapes(proof):
    """What stands in a proof's place when it is not whole; no value at all first."""
    return [[], [""], [" "], [proof[:-3]], [proof[: len(proof) // 2]], [proof[::-1]]]


@pytest.mark.parametrize("name", WAYS)
def test_what_a_scheme_signs_it_accepts(name):
    way(name).make().verify(way(name).sign())


@pytest.mark.parametrize("name", WAYS)
def test_signing_leaves_the_request_as_it_was(name):
    request = way(name).spot.write(way(name).request)
    before = (request.url, request.headers.flat(), request.body, copy.deepcopy(request.data))
    way(name).sign(request)
    assert (request.url, request.headers.flat(), request.body, request.data) == before


@pytest.mark.parametrize("name", SECRET)
def test_another_secret_is_refused(name):
    signed = way(name).sign(pair=way(name).other())
    assert refused(way(name).make(), signed) in {"signature_wrong", "token_wrong"}


@pytest.mark.parametrize("name", SECRET)
def test_either_secret_counts_during_a_rotation(name):
    new, old = way(name).other(), way(name).sign()
    both = way(name).make(new.secret, way(name).secret)
    both.verify(way(name).sign(pair=new))
    both.verify(old)
    refused(way(name).make(new.secret), old)


@pytest.mark.parametrize("name", WAYS)
def test_a_proof_that_is_missing_or_not_whole_is_refused(name):
    signed, spot, scheme = way(name).sign(), way(name).spot, way(name).make()
    missing, *others = (refused(scheme, spot.write(signed, *values)) for values in shapes(spot.read(signed)))
    assert missing in {"signature_missing", "token_missing"}
    assert all(reason.endswith(("_missing", "_malformed", "_wrong")) for reason in others)


@pytest.mark.parametrize("name", WAYS)
def test_garbage_in_place_of_a_proof_is_refused(name):
    signed, spot, scheme = way(name).sign(), way(name).spot, way(name).make()
    for text in GARBAGE + (FOREIGN if spot.where == "header" else ()):
        refused(scheme, spot.write(signed, text))
    for value in (True, 5, None, [], {}, [spot.read(signed)]) if spot.where == "data" else ():
        refused(scheme, spot.write(signed, value))


@pytest.mark.parametrize("name", [name for name in WAYS if where(name) != "data" and name != "docusign"])
def test_a_repeated_proof_is_refused(name):
    """A proxy and the relay might each look at another one."""
    signed, spot, scheme = way(name).sign(), way(name).spot, way(name).make()
    right = spot.read(signed)
    for shown in ((right, right[::-1]), (right[::-1], right), (right, right)):
        refused(scheme, spot.write(signed, *shown))


@pytest.mark.parametrize("name", WAYS)
def test_the_headers_of_a_proof_are_known_as_secret(name):
    scheme, spot, signed = way(name).make(), way(name).spot, way(name).sign()
    assert {"authorization", "cookie"} <= scheme.secret_headers
    if spot.where == "header":
        assert spot.name in scheme.secret_headers
    assert spot.read(signed) not in str(keep(signed.headers, scheme.secret_headers))


@pytest.mark.parametrize("name", [name for name in WAYS if where(name) == "data"])
def test_a_proof_in_the_body_is_cut_before_anything_is_kept(name):
    scheme, signed = way(name).make(), way(name).sign()
    kept = scheme.items(scheme.clean(scheme.read(signed).data)[0])
    assert way(name).spot.read(signed) not in str(kept)


@pytest.mark.parametrize("name", WAYS)
def test_nothing_a_refusal_says_holds_the_secret_or_the_proof(name):
    signed, spot, scheme = way(name).sign(), way(name).spot, way(name).make()
    proof = spot.read(signed)
    for values in shapes(proof):
        with pytest.raises(Rejected) as caught:
            scheme.verify(spot.write(signed, *values))
        told = f"{caught.value!r} {caught.value} {vars(caught.value)} {scheme!r}"
        assert way(name).secret is None or way(name).secret not in told
        assert proof[-20:-10] not in told
        assert proof[::-1][:10] not in told


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_secret_made_up_for_a_scheme_signs_what_is_accepted(scheme):
    """What `relay check`, `relay init` and the demonstration use where no secret is set."""
    made = example(scheme)
    assert (made.secret is None) is (vendor(scheme).secret is None)
    if made.secret is not None:
        known = way(scheme)
        live = (Secret(made.secret),)
        built = build(SchemeSpec(scheme, live, known.options))
        built.verify(built.sign(known.request, id="e-1", private=made.private))
        assert made.secret not in repr(live)


def loosened(name, shown):
    """What a sender shows, with blanks wherever some sender has put them: around it, behind prefixes, at separators."""
    form = form_of(name)
    yield from (f" {shown}", f"{shown} ", f"\t{shown}\t")
    if isinstance(form, Jwt):
        lead, _, token = shown.rpartition(" ")
        if lead:
            yield f"{lead}   {token}"
        return
    stamp = form.timestamp.prefix if form.timestamp else None
    for prefix in filter(None, (form.prefix, stamp)):
        if prefix in shown:
            yield shown.replace(prefix, f"{prefix} ")
            yield shown.replace(prefix, f" {prefix}\t")
    if form.separator and form.separator.strip():
        yield shown.replace(form.separator, f" {form.separator} ")


@pytest.mark.parametrize("name", SIGNED)
def test_blanks_around_a_signature_mean_nothing(name):
    signed, scheme, spot = way(name).sign(), way(name).make(), way(name).spot
    shown = spot.read(signed)
    for text in loosened(name, shown):
        scheme.verify(spot.write(signed, text))
    inside = len(shown) - 3
    with pytest.raises(Rejected):
        scheme.verify(spot.write(signed, f"{shown[:inside]} {shown[inside:]}"))
