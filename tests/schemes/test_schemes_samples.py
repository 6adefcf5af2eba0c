"""Each vendor's sample, from the signed request to its events, and its handshakes to their answers."""

import json
from dataclasses import replace

import pytest

from relay.errors import Rejected
from relay.hooks import Hook
from relay.hooks.decode import decode
from relay.schemes import SchemeSpec, build, names, vendor
from relay.secret import Secret
from tests.schemes import spots
from tests.schemes.cases import FOLDER, NOW, request_of, sample, way

NAMES = sorted(names())
HANDSHAKES = [(name, at) for name in NAMES for at in range(len(vendor(name).handshakes))]


def make(name, **options):
    """The scheme as its sample has it."""
    if vendor(name).picks:
        return build(SchemeSpec(name, (Secret(sample(name)["secret"]),), sample(name).get("options", {}) | options))
    known = way(name)
    live = (Secret(known.secret),) if known.secret else ()
    return build(SchemeSpec(name, live, known.options | options))


def sign(name, request=None):
    """The sample, or another request of that vendor, signed."""
    if vendor(name).picks:
        return make(name).sign(request or request_of(name), id="e-1", type="ticket.created")
    return way(name).sign(request or request_of(name))


def decoded(name, signed, **options):
    """The events of a request that is signed."""
    scheme = make(name, **options).of(signed)
    scheme.verify(signed)
    assert scheme.greet(signed, proved=False) is None
    assert scheme.greet(signed, proved=True) is None
    return decode(Hook("source", scheme, SchemeSpec(name)), scheme, signed, ids=lambda: "id")


def paths(tree, path):
    """The values at a path, `*` being every item."""
    if not path:
        return [tree]
    if path[0] == "*":
        return [one for item in tree for one in paths(item, path[1:])]
    return paths(tree[path[0]], path[1:]) if isinstance(tree, dict) and path[0] in tree else []


def test_every_scheme_has_a_sample_and_every_sample_a_scheme():
    assert sorted(file.stem for file in FOLDER.glob("*.yaml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_a_sample_promises_comes_out(name):
    events = decoded(name, sign(name))
    promised = sample(name)["events"]
    assert len(events) == len(promised)
    for event, told in zip(events, promised, strict=True):
        found = {"id": event.external_id, "type": event.type, "subject": event.subject, "data": event.data}
        assert {key: found[key] for key in told if key != "time"} == {key: told[key] for key in told if key != "time"}
        assert event.unreadable is None
        assert event.external_id or vendor(name).category == "generic" or not vendor(name).event.hash


@pytest.mark.parametrize("name", NAMES)
def test_a_redelivery_is_the_same_events(name):
    """Signed anew a minute later; a promise of the ledger's hangs on it: the same event again makes nothing new."""
    first, again = request_of(name), replace(request_of(name), received_at=NOW + 60_000)
    ids = [event.external_id for event in decoded(name, sign(name, first))]
    assert [event.external_id for event in decoded(name, sign(name, again))] == ids


def counted(tree, keys):
    """The tree with other values under these keys, wherever they stand."""
    if isinstance(tree, dict):
        return {key: 99 if key in keys else counted(value, keys) for key, value in tree.items()}
    return [counted(item, keys) for item in tree] if isinstance(tree, list) else tree


@pytest.mark.parametrize("name", [name for name in NAMES if vendor(name).event.without])
def test_what_counts_the_tries_makes_no_other_event(name):
    keys = {path.rpartition(".")[2] for path in vendor(name).event.without}
    first = request_of(name)
    again = replace(first, body=json.dumps(counted(json.loads(first.body), keys)).encode())
    assert again.body != first.body
    ids = [event.external_id for event in decoded(name, sign(name, first))]
    assert [event.external_id for event in decoded(name, sign(name, again))] == ids


@pytest.mark.parametrize("name", NAMES)
def test_two_events_of_one_request_have_two_ids(name):
    ids = [event.external_id for event in decoded(name, sign(name)) if event.external_id]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("name", [name for name in NAMES if vendor(name).event.each and name != "twilio"])
def test_the_sample_of_a_batch_has_several_events(name):
    """Twilio's sample is a message; only its Event Streams come as lists."""
    assert len(sample(name)["events"]) > 1


@pytest.mark.parametrize("name", [name for name in NAMES if vendor(name).cut])
def test_what_is_cut_is_nowhere_in_what_is_kept(name):
    request = request_of(name)
    for path in vendor(name).cut:
        if not paths(request.data, path.split(".")[1:]):
            request = spots.Spot("data", path.removeprefix("data.")).write(request, "Sesam-cut")
    signed = sign(name, request)
    values = [value for path in vendor(name).cut for value in paths(signed.data, path.split(".")[1:])]
    assert values
    for event in decoded(name, signed):
        kept = f"{event.data!r} {event.raw.decode()} {event.headers} {event}"
        for value in values:
            assert (str(value) if isinstance(value, str) else json.dumps(value)) not in kept


@pytest.mark.parametrize("name", NAMES)
def test_the_operator_may_have_more_cut(name):
    """`cut` on a source, in every event of a batch: here a key of the first event."""
    signed = sign(name)
    first, *_ = decoded(name, signed)
    each = next(
        (f"{one}.*" for one in make(name).of(signed).vendor.event.each if len(sample(name)["events"]) > 1), "data"
    )
    key = next(key for key in first.data if key not in vendor(name).event.carry)
    less = decoded(name, signed, cut=(f"{each}.{key}",))
    assert less[0].data == {name: value for name, value in first.data.items() if name != key}
    kept = json.loads(less[0].raw)
    assert (kept["data"] if "specversion" in kept else kept) == less[0].data
    assert not any(key in event.data for event in less)


def test_a_body_that_is_a_list_and_no_batch_is_kept_without_what_is_cut():
    request = replace(request_of("none"), body=b'[{"token": "Sesam", "a": 1}]')
    event, *_ = decoded("none", request, cut=("data.*.token",))
    assert (event.data, json.loads(event.raw)) == ([{"a": 1}], [{"a": 1}])


@pytest.mark.parametrize("name", NAMES)
def test_the_vendor_is_answered_as_it_wants(name):
    """202 and JSON are the relay's own answer, where the entry wants no other."""
    signed, told = sign(name), sample(name).get("answer", {"status": 202})
    reply = make(name).of(signed).reply(signed)
    if reply is None:
        assert told == {"status": 202}
        return
    assert told["status"] == reply.status
    assert told.get("type", reply.type) == reply.type
    assert told.get("text", "") == reply.body.decode()


def greeting_of(name, at):
    """A handshake's entry and its sample."""
    entry = vendor(name).handshakes[at]
    return entry, next(told for told in sample(name)["handshakes"] if told["name"] == entry.name)


@pytest.mark.parametrize(("name", "at"), HANDSHAKES)
def test_a_handshake_is_answered_and_is_no_event(name, at):
    entry, told = greeting_of(name, at)
    request = request_of(name, told)
    if entry.proof:
        bare = way((*vendor(name).picks, name)[0]).spot.write(request)
        with pytest.raises(Rejected):
            make(name).of(bare).verify(bare)
        request = sign(name, request)
        make(name).of(request).verify(request)
    scheme = make(name).of(request)
    greeting = scheme.greet(request, proved=entry.proof)
    assert scheme.greet(request, proved=not entry.proof) is None
    assert entry.method in scheme.methods
    assert (greeting.name, greeting.reply.status) == (entry.name, told["answer"]["status"])
    assert greeting.reply.type == told["answer"].get("type", greeting.reply.type)
    assert greeting.reply.body.decode() == told["answer"].get("text", "")
    assert (greeting.learn is None) is (entry.learn is None)
    assert (greeting.confirm is None) is (entry.confirm is None)


@pytest.mark.parametrize(("name", "at"), HANDSHAKES)
def test_what_is_learnt_or_echoed_came_with_the_handshake(name, at):
    entry, told = greeting_of(name, at)
    request = request_of(name, told)
    greeting = make(name).of(request).greet(request, proved=entry.proof)
    came = f"{request.url} {request.headers.flat()} {request.body.decode()}"
    if greeting.learn:
        assert greeting.learn.reveal() in came
        assert greeting.learn.reveal() not in repr(greeting.learn)
    if greeting.confirm:
        assert greeting.confirm in came
    assert all(value in came or value in {"*", "POST", "nosniff"} for value in greeting.reply.headers.values())
    assert all("\n" not in value for value in greeting.reply.headers.values())


@pytest.mark.parametrize(("name", "at"), [one for one in HANDSHAKES if vendor(one[0]).handshakes[one[1]].equal])
def test_a_handshake_that_is_not_ours_is_refused(name, at):
    """Another verify token, topic or origin than the source is configured with: 403, and nothing is echoed."""
    entry, told = greeting_of(name, at)
    wrong = json.loads(json.dumps(told))
    for one in entry.equal:
        key = one.split('"')[1]
        place = "headers" if "headers[" in one else "query"
        wrong[place] = {k: "other" if k.lower() == key.lower() else v for k, v in wrong[place].items()}
    request = request_of(name, wrong)
    with pytest.raises(Rejected) as caught:
        make(name).greet(request, proved=entry.proof)
    assert (caught.value.status, caught.value.reason) == (403, "handshake_wrong")
    assert caught.value.hint


@pytest.mark.parametrize(("name", "at"), [one for one in HANDSHAKES if vendor(one[0]).handshakes[one[1]].confirm])
def test_an_address_to_confirm_is_only_the_vendors(name, at):
    entry, told = greeting_of(name, at)
    known = make(name).greet(request_of(name, told), proved=entry.proof).confirm
    host = known.split("/")[2]
    for url in (
        known.replace("https:", "http:"),
        known.replace(host, "example.com"),
        known.replace(host, f"{host}.example.com"),
        known.replace(host, f"example.com#{host}"),
        known.replace(host, f"{host}@example.com"),
        known.replace(host, f"{host}:8443"),
        known.replace(host, f"x{host}"),
        known.replace(f"{host}/", f"{host}\\@example.com/"),
        "",
    ):
        request = request_of(name, told | {"body": told["body"].replace(known, url.replace("\\", "\\\\"))})
        with pytest.raises(Rejected) as caught:
            make(name).greet(request, proved=entry.proof)
        assert (caught.value.status, caught.value.reason) == (403, "handshake_wrong")
