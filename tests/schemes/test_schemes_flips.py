"""One flipped bit of what is signed, or of the proof itself, and the request is somebody else's."""

import json
import re
from dataclasses import replace
from urllib.parse import parse_qsl, urlsplit

import pytest

from relay.errors import Rejected
from relay.schemes import phrase
from relay.schemes.entry import Jwt
from tests.schemes import spots
from tests.schemes.cases import SIGNED, STAMPED, WAYS, form_of, refused, way

PARTLY = {
    "adyen-standard": "eight fields of each notification",
    "aws-sns": "the fields that the vendor lists",
    "aws-sns 2": "likewise",
    "gitea 2": "the field `payload`, which is the whole event",
    "mailchimp-transactional": "the fields of the form, decoded; their order is nothing",
    "mandrill": "likewise",
    "segment": "the first event of a batch",
    "twilio": "the fields of the form, decoded; their order is nothing",
}
"""What the signature covers of a body, where that is not all of it."""

UNCOVERED = {
    "mailgun": "the signature covers its own time and token",
    "monday": "the token covers the address",
    "twitter 2": "a GET has no body",
}
"""Signatures that cover nothing of a body. A token shown as it is covers nothing either."""

ASYMMETRIC_STEP = 7
"""Public keys judge slowly: every seventh flip is tried."""


def covered(name):
    """The names in all that a proof compares, without filters."""
    form = form_of(name)
    if isinstance(form, Jwt):
        texts = list(form.claims.values())
    else:
        texts = [form.content, *(one for pair in form.equal.items() for one in pair)]
    return {part.split("|")[0].strip(" ?") for text in texts for part in phrase.names(text)}


def whole(name):
    return "body" in covered(name)


def step(name):
    return ASYMMETRIC_STEP if way(name).asymmetric else 1


def what_is_covered(name, body):
    """What a partly covered body says where it is covered; None when it cannot be read.

    A byte that is not UTF-8 stays the byte that it is: it may stand in what is not covered, and there alone.
    """
    try:
        if name.startswith(("twilio", "mailchimp", "mandrill", "gitea")):
            return sorted(set(parse_qsl(body.decode(), keep_blank_values=True, errors="strict")))
        if name == "segment":
            return json.JSONDecoder(strict=False).raw_decode(body.decode(errors="surrogateescape"), 1)
        data = json.loads(body.decode(errors="surrogateescape"), strict=False)
    except ValueError:
        return None
    items = data.get("notificationItems") if isinstance(data, dict) else None
    return [[_at(item, part) for part in sorted(covered(name))] for item in (items or [data])]


def _at(item, part):
    if part.startswith("pairs"):
        return {key: item.get(key) for key in re.findall(r"[A-Z]\w+", part)}
    return phrase.dig(item, part.split(".")[1:]) or ""


def test_what_leaves_a_body_unsigned_is_listed_here():
    """A new entry whose signature does not cover the body must say why."""
    assert {name for name in SIGNED if not whole(name)} == {*PARTLY, *UNCOVERED}


@pytest.mark.parametrize("name", [name for name in SIGNED if whole(name)])
def test_a_flipped_bit_in_the_body_is_refused(name):
    signed, scheme = way(name).sign(), way(name).make()
    for body in spots.bent(signed.body, step(name)):
        refused(scheme, replace(signed, body=body))
    for body in (b"", signed.body + b" ", signed.body[:-1], b"\xef\xbb\xbf" + signed.body):
        refused(scheme, replace(signed, body=body))


@pytest.mark.parametrize("name", PARTLY)
def test_a_flipped_bit_in_what_is_signed_of_a_body_is_refused(name):
    """Whatever is accepted says the same where it is signed."""
    signed, scheme = way(name).sign(), way(name).make()
    known, statuses = what_is_covered(name, signed.body), []
    for body in spots.bent(signed.body):
        try:
            scheme.verify(replace(signed, body=body))
        except Rejected as error:
            statuses.append(error.status)
        else:
            assert what_is_covered(name, body) == known
    assert set(statuses) == {401}
    assert len(statuses) > len(signed.body) / 8


@pytest.mark.parametrize("name", WAYS)
def test_a_flipped_bit_in_the_proof_is_refused(name):
    """The scheme's word (Bearer, Basic) is no part of the credential, and its case says nothing (RFC 9110)."""
    signed, scheme, spot = way(name).sign(), way(name).make(), way(name).spot
    proof = spot.read(signed)
    lead, space, rest = proof.rpartition(" ") if proof.startswith(("Bearer ", "Basic ")) else ("", "", proof)
    for flipped in spots.flips(rest, step(name)):
        if flipped.strip() != rest:
            reason = refused(scheme, spot.write(signed, lead + space + flipped))
            assert reason.endswith(("_wrong", "_malformed", "_missing"))


@pytest.mark.parametrize("name", STAMPED)
def test_a_flipped_bit_in_the_time_of_signing_is_refused(name):
    """Where it stands in the signature's own header, the proof's own flips have shown it."""
    signed, scheme, spot = way(name).sign(), way(name).make(), spots.of_time(form_of(name))
    if spot is None:
        assert str(signed.received_at // 1_000) in way(name).spot.read(signed)
        return
    stamp = str(spot.read(signed))
    for flipped in spots.flips(stamp):
        if flipped.strip() != stamp:
            reason = refused(scheme, spot.write(signed, flipped))
            assert reason in {"signature_wrong", "signed_part_missing", "timestamp_malformed", "timestamp_missing"}
    refused(scheme, spot.write(signed))
    refused(scheme, spot.write(signed, stamp, stamp) if spot.where == "header" else spot.write(signed, ""))


@pytest.mark.parametrize("name", [name for name in SIGNED if {"url", "path", "method"} & covered(name)])
def test_another_address_or_method_is_refused(name):
    """A request to one source of a vendor is none to another."""
    signed, scheme = way(name).sign(), way(name).make()
    if "method" in covered(name):
        for method in ("PUT", "GET", "post"):
            refused(scheme, replace(signed, method=method))
    for flipped in spots.flips(signed.url) if {"url", "path"} & covered(name) else ():
        if "url" in covered(name) or urlsplit(flipped).path != urlsplit(signed.url).path:
            refused(scheme, replace(signed, url=flipped))


@pytest.mark.parametrize("name", [name for name in SIGNED if any("headers" in part for part in covered(name))])
def test_a_signed_header_that_changes_is_refused(name):
    signed, scheme = way(name).sign(), way(name).make()
    named = [spots.of_phrase(f"{{{{ {part} }}}}") for part in covered(name) if part.startswith("headers[")]
    listed = [spots.Spot("header", "x-contentful-signed-headers")] if name == "contentful" else []
    for spot in [*named, *listed]:
        value = spot.read(signed)
        for shown in ([], [value + "x"], [value, value], [value[:-1]]):
            refused(scheme, spot.write(signed, *shown))
