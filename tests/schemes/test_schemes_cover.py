"""Over all schemes: where an event's id is not signed, what is signed is remembered, or an entry says why not."""

import json
from dataclasses import replace

import pytest

from relay.schemes import SchemeSpec, build, names, phrase, vendor
from relay.schemes.cover import covers
from relay.schemes.entry import Fields, Jwt, Signature
from relay.schemes.reading import Form, settle
from relay.secret import Secret
from tests.schemes.cases import NOW, refused, way
from tests.schemes.spots import Spot

PROOFS = [
    (name, at)
    for name in sorted(names())
    for at, form in enumerate(vendor(name).proof)
    if isinstance(form, Signature | Jwt)
]
HONEST = {
    "attio": "a body says which record changed, not how and not when",
    "gong": "two rules that fire on one call send the same",
    "dropbox": "a body says whose files changed, and nothing else",
}
"""Those whose honest events repeat a body, so that what is signed tells nothing."""

UNSIGNED = {"monday": "the token is tied to the address alone: whoever sees one can send any body with it"}
"""Those whose proof is tied to nothing of the event."""


@pytest.mark.parametrize(("name", "at"), PROOFS)
def test_an_id_is_signed_or_what_is_signed_is_remembered_beside_it(name, at):
    """A new entry whose id stands in an unsigned header fails here unless it keeps what is signed."""
    entry, form = vendor(name), vendor(name).proof[at]
    covered = covers(form, entry.event)
    if getattr(form, "id", None):
        assert covers(form, Fields(id=(form.id,)))[0], "the id that a proof is said to sign is in what it signs"
        return
    if all(covered[:-1]) and (covered[-1] or not entry.event.hash):
        return
    if name in UNSIGNED:
        assert not any(covered)
        return
    assert (entry.replay == "allow") is (name in HONEST)


@pytest.mark.parametrize(("name", "at"), PROOFS)
def test_what_is_remembered_is_all_that_the_proof_holds_for(name, at):
    """Items that prove themselves one by one have an id of signed fields alone."""
    entry, form = vendor(name), vendor(name).proof[at]
    if isinstance(form, Signature) and form.each:
        assert all(covers(form, entry.event)[:-1])
        assert entry.event.id


@pytest.mark.parametrize("name", sorted(HONEST))
def test_an_entry_that_lets_bodies_repeat_says_why(name):
    assert vendor(name).replay == "allow"


def test_only_senders_that_prove_headers_and_body_alike_speak_of_themselves_in_headers():
    assert {name for name in names() if vendor(name).cloudevents} == {"cloudevents", "none", "bearer", "basic"}


def test_a_body_is_read_as_its_own_form_but_for_senders_whose_body_the_operator_writes_and_who_sign_nothing():
    """What nothing signs may be read by its content type: whoever can change that can change the body as well."""
    free = {name for name in names() if "any" in vendor(name).bodies}
    assert free == {
        "none", "bearer", "basic", "hmac", "cloudevents", "auth0", "freshdesk", "freshsales", "freshservice", "gorgias",
        "servicenow",
    }  # fmt: skip
    signing = {name for name in free if any(isinstance(form, Signature | Jwt) for form in vendor(name).proof)}
    assert signing == set()


@pytest.mark.parametrize(
    ("bodies", "raw", "form"),
    [
        (("json",), b'{"a": 1}', Form.JSON),
        (("json",), b"a=1", Form.JSON),
        (("json",), b"", Form.JSON),
        (("json",), b"<a/>", Form.JSON),
        (("json", "form"), b"a=1", Form.FIELDS),
        (("json", "form"), b"", Form.JSON),
        (("json", "form"), b"what is no form = nothing", Form.JSON),
        (("json", "form"), b"\xef\xbb\xbf [1]", Form.JSON),
        (("form", "json"), b"{}", Form.JSON),
        (("form",), b"{}", Form.FIELDS),
        (("json", "xml"), b"\n <a/>", Form.XML),
        (("json", "xml", "form"), b"a=<b/>", Form.FIELDS),
        (
            ("json", "form", "multipart"),
            b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--',
            Form.PARTS,
        ),
    ],
)
def test_the_form_of_a_body_shows_in_it_whatever_its_content_type(bodies, raw, form):
    types = [
        "",
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "text/xml; charset=utf-16",
        "x/y",
    ]
    found = {settle(raw, one, bodies) for one in types}
    assert {one.form for one in found} == {form}
    assert len(found) == 1, "nor does the charset follow it"


@pytest.mark.parametrize("name", ["standard-webhooks", "standard-webhooks 2", "standard-webhooks 3", "gitlab"])
def test_an_id_and_a_time_cannot_be_cut_elsewhere(name):
    """A capture a month old, in whose body a stranger wrote a time of today between full stops: id, time and body are
    read anew from the same bytes."""
    known = way(name)
    form = known.form
    month = 30 * 86_400_000
    body = b'{"type": "a", "text": "%d.%d.[1]"}' % (7, NOW // 1_000)
    old = replace(known.request, body=body, received_at=NOW - month)
    signed = known.sign(old)
    time = Spot("header", form.timestamp.header.lower())
    id_ = Spot("header", next(iter(phrase.named_headers(form.content))))
    rest = body.partition(b".%d." % (NOW // 1_000))
    cut = replace(
        time.write(id_.write(signed, f"{id_.read(signed)}.{time.read(signed)}.{rest[0].decode()}"), str(NOW // 1_000)),
        body=rest[2],
        received_at=NOW,
    )
    known.make().verify(signed)
    assert refused(known.make(), cut) == "signed_part_wrong"


def test_ids_of_paypal_hold_no_separator():
    known = way("paypal")
    signed = known.sign(Spot("header", "paypal-transmission-id").write(known.request, "a|b"))
    assert refused(known.make(), signed) == "signed_part_wrong"


def test_fields_of_adyen_cannot_be_cut_into_others():
    """The merchant's own reference, which a shopper may choose, holds a better end of the signed line."""
    known = way("adyen-standard")
    item = known.request.read().data["notificationItems"][0]["NotificationRequestItem"]
    item |= {"merchantReference": "x:999:EUR:AUTHORISATION:true", "success": "false"}
    signed = known.sign(replace(known.request, body=dump({"notificationItems": [{"NotificationRequestItem": item}]})))
    known.make().verify(signed)
    item = signed.read().data["notificationItems"][0]["NotificationRequestItem"]
    rest = f"true:{item['amount']['value']}:{item['amount']['currency']}:{item['eventCode']}:false"
    cut = item | {"merchantReference": "x", "amount": {"value": 999, "currency": "EUR"}, "success": rest}
    cut["eventCode"] = "AUTHORISATION"
    forged = replace(signed, body=dump({"notificationItems": [{"NotificationRequestItem": cut}]}))
    assert refused(known.make(), forged) == "signed_part_wrong"


def test_contentful_signs_the_list_of_what_it_signs():
    """A capture 30 days old: the list leaves out the time, which becomes part of another header's value."""
    known = way("contentful")
    old = replace(known.request, received_at=NOW - 30 * 86_400_000)
    signed = known.sign(old)
    known.make().verify(signed)
    listed, time = Spot("header", "x-contentful-signed-headers"), Spot("header", "x-contentful-timestamp")
    then, now = time.read(signed), str(NOW)
    names_ = [one.strip() for one in listed.read(signed).split(",")]
    rest = ",".join(names_)
    attempts = [
        time.write(signed, now),
        time.write(listed.write(signed, ",".join(one for one in names_ if "timestamp" not in one)), now),
        time.write(listed.write(signed, f"{rest};x-contentful-timestamp:{then}"), now),
        time.write(listed.write(signed, rest, rest), now),
        time.write(listed.write(signed), now),
    ]
    for forged in attempts:
        assert refused(known.make(), replace(forged, received_at=NOW)) in {"signed_part_missing", "signature_wrong"}


def test_segment_signs_the_first_item_so_others_behind_it_are_refused_unless_the_operator_knows():
    known = way("segment")
    event = b'{"messageId":"m-1","type":"track"}'
    strict = build(SchemeSpec("segment", (Secret(known.secret),)))
    signed = strict.sign(replace(known.request, body=event), id="e")
    strict.verify(signed)
    strict.verify(replace(signed, body=b"[" + event + b"]"))
    assert refused(strict, replace(signed, body=b"[" + event + b',{"messageId":"evil"}]')) == "signed_part_missing"


def dump(data):
    return json.dumps(data).encode()


OWN, VICTIM = "arn:aws:sns:eu-central-1:666:own", "arn:aws:sns:eu-central-1:123456789012:victim"


def sns(**fields):
    """A message as somebody has AWS sign it, and the scheme that takes the victim's topic alone."""
    known = way("aws-sns")
    options = known.options | {"topics": [VICTIM]}
    body = json.loads(known.request.body) | fields
    return build(SchemeSpec("aws-sns", (), options)), known.sign(replace(known.request, body=dump(body)))


def changed(signed, **fields):
    data = {key: value for key, value in (json.loads(signed.body) | fields).items() if value is not ...}
    return replace(signed, body=dump(data))


def test_a_message_of_ones_own_topic_cannot_be_cut_into_one_of_the_victims():
    time = json.loads(way("aws-sns").request.body)["Timestamp"]
    tail = f"MessageId\nevil\nTimestamp\n{time}\nTopicArn\n{VICTIM}\nType\nNotification"
    victim, signed = sns(Message=f"forged\n{tail}", TopicArn=OWN, Subject=None)
    real = json.loads(signed.body)
    rest = f"\nMessageId\n{real['MessageId']}\nTimestamp\n{time}\nTopicArn\n{OWN}\nType\nNotification"
    forged = changed(
        signed, Message="forged", MessageId="evil", TopicArn=VICTIM, Type=f"Notification{rest}", Timestamp=time
    )
    assert refused(victim, forged) == "signed_part_missing"
    assert refused(victim, signed) == "sender_foreign"


@pytest.mark.parametrize("break_", ["\n", "\r", "\r\n", "x\ny", "x\n"])
@pytest.mark.parametrize("key", ["MessageId", "Subject", "TopicArn", "Type"])
def test_only_the_message_itself_has_lines(key, break_):
    """Though AWS had signed it: it signs nothing of the kind."""
    scheme, signed = sns(TopicArn=VICTIM)
    scheme.verify(signed)
    body = json.loads(way("aws-sns").request.body) | {"TopicArn": VICTIM}
    assert refused(scheme, changed(signed, **{key: f"{body.get(key, '')}{break_}"})) == "signed_part_missing"


@pytest.mark.parametrize("key", ["MessageId", "Timestamp", "TopicArn", "Type", "Message"])
@pytest.mark.parametrize("value", [5, True, None, ["x"], {"a": 1}, ...])
def test_what_is_signed_is_there_and_is_text(key, value):
    """A number would be left out of what is verified, and its line could be the end of the message."""
    scheme, signed = sns(TopicArn=VICTIM)
    assert refused(scheme, changed(signed, **{key: value})) in {"signed_part_missing", "timestamp_missing"}


def test_a_number_cannot_take_the_place_of_an_id():
    scheme, signed = sns(TopicArn=VICTIM, Subject=None)
    real = json.loads(signed.body)
    forged = changed(signed, Message=f"{real['Message']}\nMessageId\n{real['MessageId']}", MessageId=4711)
    assert refused(scheme, forged) == "signed_part_missing"


@pytest.mark.parametrize("kind", ["notification", "Notification2", "Anything", ""])
def test_a_type_is_one_of_three(kind):
    scheme, signed = sns(TopicArn=VICTIM, Type=kind)
    assert refused(scheme, signed) == "signed_part_wrong"
