"""Every vendor's sample over HTTP: signed, it is taken once, answered as the vendor wants, kept without credentials."""

import hashlib
import json
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode

import pytest

from relay.schemes import Headers, vendor
from relay.schemes.entry import Signature
from tests.hooks.listener import gzipped, listen
from tests.hooks.vendors import NAMES, hooks, post, request, sign, spot, stored
from tests.schemes.cases import sample, way
from tests.schemes.spots import Spot

OURS = {"status": 202}
PROVED_EACH = ["adyen-standard", "ms-graph"]
"""Those whose every item carries its proof."""

BATCHES = [
    name for name in NAMES if vendor(name).event.each and name not in {*PROVED_EACH, "salesforce-outbound-message"}
]
"""The others whose events come in lists of JSON objects; Salesforce's are elements of XML, which have no wrong kind."""

RAW = [
    name
    for name in NAMES
    if not vendor(name).picks
    and isinstance(form := way(name).form, Signature)
    and "{{ body }}" in form.content
    and spot(name).where == "header"
    and not (form.timestamp and form.timestamp.at)
]
"""Those that sign the raw body, with proof and time beside it."""


@pytest.mark.parametrize("name", NAMES)
async def test_the_signed_sample_is_taken_once_and_answered_as_the_vendor_wants(name):
    promised = sample(name).get("answer", OURS)
    async with listen(hooks=hooks(name)) as listener:
        signed = sign(name, request(listener, name))
        status, headers, document = await post(listener, signed)
        assert status == promised["status"]
        if "text" in promised:
            kind = promised.get("type", "")
            assert document == (json.loads if kind.endswith("json") else str.encode)(promised["text"])
            assert headers.get("Content-Type", "") == (kind if promised["text"] else "")
        events = listener.intake.events
        found = [{"id": event.external_id, "type": event.type, "subject": event.subject} for event in events]
        wanted = [{key: one[key] for key in one.keys() & {"id", "type", "subject"}} for one in sample(name)["events"]]
        assert [one | told for one, told in zip(found, wanted, strict=True)] == found
        assert not any(event.unreadable for event in events)
        assert listener.rejected == []
        await post(listener, signed)
        first, second = listener.intake.deliveries
        assert [event.external_id for event in second] == [event.external_id for event in first]


@pytest.mark.parametrize("name", [name for name in NAMES if sample(name).get("answer", OURS) == OURS])
async def test_the_relays_own_answer_says_which_events_are_new_and_which_are_known(name):
    """Where the vendor gives no id and two events may be alike, each is new."""
    async with listen(hooks=hooks(name)) as listener:
        signed = sign(name, request(listener, name))
        _, _, document = await post(listener, signed)
        events = listener.intake.events
        assert [(one["id"], one["externalId"], one["status"]) for one in document["events"]] == [
            (event.id, event.external_id, "accepted") for event in events
        ]
        status, _, again = await post(listener, signed)
        known = [event.external_id is not None for event in events]
        assert status == (200 if all(known) else 202)
        assert [one["status"] for one in again["events"]] == ["duplicate" if one else "accepted" for one in known]
        assert [one["id"] == event.id for one, event in zip(again["events"], events, strict=True)] == known


@pytest.mark.parametrize("name", NAMES)
async def test_the_unsigned_sample_is_401_where_the_vendor_proves_itself(name):
    """Without its token, too, where that stands in the body."""
    hook = hooks(name)[name]
    async with listen(hooks={name: hook}) as listener:
        bare = request(listener, name)
        if spot(name).where == "data" and spot(name).name != "Signature":
            bare = spot(name).write(bare)
        status, headers, _ = await post(listener, bare)
        if not hook.scheme.proves:
            assert (status, len(listener.intake.events)) == (202, len(sample(name)["events"]))
            return
        assert (status, listener.intake.deliveries) == (401, [])
        assert headers.get("WWW-Authenticate") == hook.scheme.challenge
        [rejection] = listener.rejected
        assert (rejection.source, rejection.status, rejection.kept) == (name, 401, None)


def values_at(tree, path):
    """The values at a path, `*` being every item."""
    if not path:
        return [tree]
    if path[0] == "*":
        return [one for item in tree for one in values_at(item, path[1:])]
    return values_at(tree[path[0]], path[1:]) if isinstance(tree, dict) and path[0] in tree else []


def with_cut(name, made):
    """The request with something at every path that the entry cuts."""
    for path in vendor(name).cut:
        if not values_at(made.data, path.split(".")[1:]):
            made = Spot("data", path.removeprefix("data.")).write(made, "Sesam-cut")
    return made


@pytest.mark.parametrize("name", NAMES)
async def test_no_credential_is_in_what_is_stored_of_an_event(name):
    """Not the secret, not what showed it, not what the entry cuts; whatever the column."""
    async with listen(hooks=hooks(name)) as listener:
        signed = sign(name, with_cut(name, request(listener, name)))
        await post(listener, signed)
        kept = "\n".join(stored(event) for event in listener.intake.events)
    known = [secret.reveal() for secret in hooks(name)[name].spec.secrets]
    cut = [value for path in vendor(name).cut for value in values_at(signed.data, path.split(".")[1:])]
    texts = [text for value in cut for text in (value.values() if isinstance(value, dict) else [value])]
    shown = [spot(name).read(signed)] if hooks(name)[name].scheme.proves else []
    assert [word for word in (*known, *texts, *shown) if word in kept and not word.isdigit()] == []


def lists_in(name, data):
    """The lists of events in a body, as they stand in it."""
    return [
        found
        for path in vendor(name).event.each
        for found in values_at(data, path.split(".")[1:])
        if isinstance(found, list)
    ]


def batch(listener, name, change):
    """The sample with each of its lists of events changed in place, before it is signed."""
    made = request(listener, name)
    if name == "twilio":
        return event_streams(made, change)
    if made.headers.first("content-type") == "application/x-www-form-urlencoded":
        fields = changed(name, {key: json.loads(value) for key, value in parse_qsl(made.body.decode())}, change)
        return replace(made, body=urlencode({key: json.dumps(value) for key, value in fields.items()}).encode())
    return replace(made, body=json.dumps(changed(name, json.loads(made.body), change)).encode())


def changed(name, data, change):
    for found in lists_in(name, data):
        change(found)
    return data


def event_streams(made, change):
    """Twilio's sample is one form; its lists come as JSON, under a URL that holds the hash of the body."""
    items = [{"specversion": "1.0", "id": one, "type": "com.twilio.messaging"} for one in ("EZ1", "EZ2")]
    change(items)
    body = json.dumps(items).encode()
    url = f"{made.url}?bodySHA256={hashlib.sha256(body).hexdigest()}"
    return replace(made, url=url, body=body, headers=Headers([("content-type", "application/json")]))


def spoil(items):
    items.insert(1, 17)


@pytest.mark.parametrize("name", BATCHES)
async def test_a_bad_item_of_a_batch_is_kept_unreadable_by_its_place_and_the_others_are_taken(name):
    places, good = [], []

    def spoil_and_count(items):
        spoil(items)
        start = len(places) + len(good)
        places.append(start + 1)
        good.extend(start + at for at in range(len(items)) if at != 1)

    async with listen(hooks=hooks(name)) as listener:
        await post(listener, sign(name, batch(listener, name, spoil_and_count)))
        events = dict(enumerate(listener.intake.events))
    assert sorted([*places, *good]) == sorted(events)
    assert [place for place, event in events.items() if event.unreadable] == places
    for place in places:
        assert events[place].unreadable.startswith(f"item {place} of the batch (counted from 0) is wrong")
        assert events[place].raw == (b"" if vendor(name).cut else b"17")


@pytest.mark.parametrize("name", [name for name in BATCHES if name != "segment"])
async def test_an_empty_batch_is_answered_2xx_and_is_no_event(name):
    """Segment signs the first item, and sends no batch without one."""
    async with listen(hooks=hooks(name)) as listener:
        status, _, document = await post(listener, sign(name, batch(listener, name, list.clear)))
        told = sample(name).get("answer", OURS)
        assert (status, document) == (200, {"events": []}) if told == OURS else status == told["status"]
        assert listener.intake.deliveries == []


@pytest.mark.parametrize("change", [spoil, list.clear])
@pytest.mark.parametrize("name", PROVED_EACH)
async def test_where_each_item_carries_its_proof_one_without_and_none_at_all_are_401(name, change):
    async with listen(hooks=hooks(name)) as listener:
        made = sign(name, request(listener, name))
        data = changed(name, json.loads(made.body), change)
        assert (await post(listener, replace(made, body=json.dumps(data).encode())))[0] == 401
        assert listener.intake.deliveries == []


@pytest.mark.parametrize("name", RAW)
async def test_a_compressed_body_is_verified_as_it_came_and_read_inflated(name):
    async with listen(hooks=hooks(name)) as listener:
        plain = request(listener, name)
        pairs = [*plain.headers.flat(), ("content-encoding", "gzip")]
        packed = replace(plain, body=gzipped(plain.body), headers=Headers(pairs))
        status, _, _ = await post(listener, sign(name, packed))
        assert status in {200, 202, 204}
        assert [event.unreadable for event in listener.intake.events] == [None] * len(sample(name)["events"])
        assert (await post(listener, replace(sign(name, packed), body=gzipped(plain.body + b" "))))[0] == 401
