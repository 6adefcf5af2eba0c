"""A captured request that is sent again makes nothing new, whatever is changed of it that its sender did not sign."""

import contextlib
import json
import time
from dataclasses import replace
from urllib.parse import urlencode

import pytest
from sqlalchemy import func, select
from structlog.testing import capture_logs

from relay.intake import Intake
from relay.ledger import SqlLedger, Terms
from relay.ledger.engine import migrate as steps
from relay.ledger.engine.sqlite import SqliteStore
from relay.ledger.schema import events
from relay.life import Signals
from relay.model import new_id
from relay.rules import compile_rules
from relay.schemes import Headers, vendor
from relay.schemes.entry import Jwt, Signature
from relay.telemetry import Metrics
from tests.hooks import vendors
from tests.hooks.listener import HOOKS, hook, listen
from tests.schemes.cases import sample
from tests.schemes.test_schemes_cover import HONEST

SIGNING = [
    name
    for name in vendors.NAMES
    if any(isinstance(form, Signature | Jwt) for one in (vendor(name).picks or (name,)) for form in vendor(one).proof)
]


@contextlib.asynccontextmanager
async def relay(tmp_path, hooks):
    """A listener whose events go to a ledger on disk, and what counts them."""
    store = SqliteStore(str(tmp_path / "relay.db"))
    await store.write(steps.upgrade)
    ledger = SqlLedger(store, Terms(owner="one"))
    intake = Intake(
        ledger,
        compile_rules([], {}),
        high_water=1_000,
        ids=new_id,
        clock=lambda: int(time.time() * 1_000),
        metrics=Metrics(),
        boottime=lambda: 0,
        signals=Signals(),
    )

    async def count(source=None):
        wanted = select(func.count()).select_from(events)
        if source is not None:
            wanted = wanted.where(events.c.source == source)
        return await ledger.read(lambda conn, _: conn.execute(wanted).scalar_one())

    try:
        with capture_logs():
            async with listen(hooks=hooks, intake=intake) as listener:
                yield listener, count
    finally:
        await ledger.aclose()


def unsigned_headers(name):
    """Every header that an entry looks at for id or type, and CloudEvents' own."""
    entries = [vendor(one) for one in (vendor(name).picks or (name,))]
    texts = [text for entry in entries for text in (*(one.at for one in entry.event.id), *entry.event.type)]
    found = {part.split('"')[1] for text in texts for part in text.split("{{") if part.strip().startswith("headers[")}
    return sorted(found | {"webhook-id", "svix-id", "idempotency-key", "x-request-id"})


CLOUD = {"ce-specversion": "1.0", "ce-id": "evil", "ce-type": "evil.type", "ce-source": "/evil"}
TYPES = [
    "application/cloudevents+json",
    "application/cloudevents-batch+json",
    "application/x-www-form-urlencoded",
    "application/json; charset=utf-16",
    "application/json; charset=iso-8859-1",
    "application/x-ndjson",
    "text/xml",
    "text/plain",
    "multipart/form-data; boundary=x",
    "image/png",
    None,
]


def changes(name, signed):
    """The captured request with more, fewer and other headers."""

    def other(**headers):
        kept = [pair for pair in signed.headers.flat() if pair[0] not in headers]
        return replace(signed, headers=Headers([*kept, *((key, value) for key, value in headers.items() if value)]))

    yield signed
    yield other(**CLOUD)
    for kind in TYPES:
        yield other(**{"content-type": kind})
        yield other(**CLOUD, **{"content-type": kind})
    for encoding in ("gzip", "deflate", "identity", "br"):
        yield other(**{"content-encoding": encoding})
    named = unsigned_headers(name)
    for at in range(3):
        yield other(**dict.fromkeys(named, f"evil-{at}"))
        yield other(**dict.fromkeys(named, f"evil.type.{at}"), **CLOUD)
    for header in named:
        yield other(**{header: "evil-alone"})
        yield other(**{header: None})


@pytest.mark.parametrize("names_", [SIGNING[at::6] for at in range(6)], ids=range(6))
async def test_a_captured_request_makes_nothing_new_whatever_unsigned_is_changed(tmp_path, names_):
    """Over all that sign: other ids and types in headers, CloudEvents, content types, charsets, encodings."""
    made = {}
    async with relay(tmp_path, vendors.hooks(*names_)) as (listener, count):
        for name in names_:
            signed = vendors.sign(name, vendors.request(listener, name))
            await vendors.post(listener, signed)
            first = await count(name)
            assert first == len(sample(name)["events"])
            for changed in changes(name, signed):
                status, _, _ = await vendors.post(listener, changed)
                assert status < 500
                if now := await count(name) - first:
                    made.setdefault(name, (now, changed.headers.flat()))
    assert {name: number for name, number in made.items() if name not in HONEST} == {}


ATTACKED = {
    "ce-id": CLOUD,
    "structured": {"Content-Type": "application/cloudevents+json"},
    "form": {"Content-Type": "application/x-www-form-urlencoded"},
    "delivery": {"X-GitHub-Delivery": "evil", "X-GitHub-Event": "evil"},
}


@pytest.mark.parametrize("attack", ATTACKED)
async def test_a_captured_request_of_github_is_known(tmp_path, attack):
    async with relay(tmp_path, HOOKS) as (listener, count):
        body = b'{"action": "opened", "repository": {"full_name": "a/b"}}'
        status, _, document = await listener.send("code", body, id_="d-1", type_="issues")
        [first] = document["events"]
        assert (status, first["externalId"], first["type"]) == (202, "d-1", "issues.opened")
        with capture_logs() as lines:
            status, _, document = await listener.send("code", body, ATTACKED[attack], id_="d-1", type_="issues")
        [again] = document["events"]
        assert (status, again["status"], again["id"]) == (200, "duplicate", first["id"])
        assert [line["event"] for line in lines if line["event"] == "event.repeated"] == (
            ["event.repeated"] if attack == "delivery" else []
        )
        assert await count() == 1


async def test_hmac_by_hand_without_a_time_is_known_again(tmp_path):
    """Its events have no id of their own, and its sender's content type chooses how they are read."""
    made = hook("plain", "hmac", "Sesam-plain", header="X-Signature")
    named = hook("named", "hmac", "Sesam-named", header="X-Signature", event={"id": "{{ data.id }}"})
    loose = hook("loose", "hmac", "Sesam-loose", header="X-Signature", event={"id": '{{ headers["x-id"] }}'})
    async with relay(tmp_path, {one.name: one for one in (made, named, loose)}) as (listener, count):
        for source in (made, named, loose):
            signed = replace(vendors.request(listener, "github"), body=b'{"id": "a", "n": 1}')
            signed = replace(signed, url=f"{listener.url}/hooks/{source.name}")
            signed = source.scheme.sign(signed, id="x")
            for changed in changes("github", signed):
                await vendors.post(listener, changed)
            for name in ("one", "two"):
                await vendors.post(listener, replace(signed, headers=Headers([*signed.headers.flat(), ("x-id", name)])))
            assert await count(source.name) == 1, source.name
            other = replace(signed, body=b'{"id": "b", "n": 2}')
            await vendors.post(listener, source.scheme.sign(other, id="x"))
            assert await count(source.name) == 2


async def test_the_operator_may_let_a_sender_repeat_its_bodies(tmp_path):
    made = hook("pings", "hmac", "Sesam-pings", header="X-Signature", replay="allow")
    async with relay(tmp_path, {"pings": made}) as (listener, count):
        signed = replace(vendors.request(listener, "github"), url=f"{listener.url}/hooks/pings", body=b'{"ping": 1}')
        for _ in range(3):
            assert (await vendors.post(listener, made.scheme.sign(signed, id="x")))[0] == 202
        assert await count() == 3


async def test_topics_of_shopify_with_one_body_are_events_of_their_own_and_each_comes_once(tmp_path):
    async with relay(tmp_path, vendors.hooks("shopify")) as (listener, count):

        async def send(topic, delivery):
            made = vendors.request(listener, "shopify")
            told = {"x-shopify-topic": topic, "x-shopify-webhook-id": delivery}
            kept = [pair for pair in made.headers.flat() if pair[0] not in told]
            signed = vendors.sign("shopify", replace(made, headers=Headers([*kept, *told.items()])))
            return [one["status"] for one in (await vendors.post(listener, signed))[2]["events"]]

        assert await send("orders/create", "d-1") == ["unmatched"]
        assert await send("orders/paid", "d-2") == ["unmatched"]
        assert await send("orders/create", "d-3") == ["duplicate"]
        assert await send("orders/paid", "d-4") == ["duplicate"]
        assert await send("evil/type", "d-5") == ["duplicate"]
        assert await count() == 2


async def test_a_form_of_gitea_is_the_json_that_was_signed(tmp_path):
    """Its signature covers the JSON alone, so that it can be put into a form; what else is in that is not read."""
    body = b'{"ref": "refs/heads/main", "repository": {"full_name": "a/b"}}'
    async with relay(tmp_path, vendors.hooks("gitea")) as (listener, count):
        signed = vendors.sign("gitea", replace(vendors.request(listener, "gitea"), body=body))
        await vendors.post(listener, signed)
        form = urlencode({"payload": body.decode(), "more": "evil"}).encode()
        wrapped = json.dumps({"payload": body.decode(), "repository": {"full_name": "evil"}}).encode()
        for at, evil in enumerate((form, wrapped)):
            headers = [pair for pair in signed.headers.flat() if pair[0] not in {"x-gitea-delivery", "content-type"}]
            kind = ("content-type", "application/x-www-form-urlencoded")
            sent = replace(signed, headers=Headers([*headers, kind, ("x-gitea-delivery", f"evil-{at}")]), body=evil)
            status, _, _ = await vendors.post(listener, sent)
            assert status == (200 if evil is form else 401)
        assert await count() == 1


async def test_another_body_under_a_signature_of_mailgun_is_no_event(tmp_path):
    """It signs its time and a token, not the body."""
    async with relay(tmp_path, vendors.hooks("mailgun")) as (listener, count):
        signed = vendors.sign("mailgun", vendors.request(listener, "mailgun"))
        await vendors.post(listener, signed)
        before = await count()
        data = json.loads(signed.body)
        data["event-data"] |= {"id": "evil", "event": "evil"}
        assert (await vendors.post(listener, replace(signed, body=json.dumps(data).encode())))[0] == 200
        assert await count() == before


@pytest.mark.parametrize(("signature", "other"), [("svix", "webhook"), ("webhook", "svix")])
async def test_the_id_is_the_one_that_the_signature_covers(tmp_path, signature, other):
    async with relay(tmp_path, HOOKS) as (listener, count):
        made = replace(vendors.request(listener, "svix"), url=f"{listener.url}/hooks/partners")
        scheme = HOOKS["partners"].scheme
        proof = next(one for one in scheme._proofs if one.form.header == f"{signature}-signature")
        signed = proof.sign(
            replace(made, headers=Headers([("content-type", "application/json"), (f"{signature}-id", "msg_1")])), None
        )
        for name in ("evil-1", "evil-2", None):
            more = [(f"{other}-id", name)] if name else []
            _, _, document = await vendors.post(
                listener, replace(signed, headers=Headers([*signed.headers.flat(), *more]))
            )
            assert [one["externalId"] for one in document["events"]] == ["msg_1"]
        assert await count() == 1


async def test_cloudevents_are_read_where_the_proof_is_worth_as_much_for_headers_as_for_the_body(tmp_path):
    async with relay(tmp_path, HOOKS) as (listener, _):
        for source in ("open", "token", "login"):
            _, _, document = await listener.send(source, b'{"a": 1}', CLOUD)
            assert [(one["externalId"], one["type"]) for one in document["events"]] == [("evil", "evil.type")]
        _, _, document = await listener.send("shop", b'{"order": {"id": 7}}', CLOUD)
        assert [one["externalId"] for one in document["events"]] == ["7"]


async def test_with_the_option_a_signed_body_may_be_a_cloudevent_whatever_its_headers_say(tmp_path):
    cloud = {"specversion": "1.0", "id": "c-1", "source": "/us", "type": "a.b", "data": {"n": 1}}
    made = hook("bus", "hmac", "Sesam-bus", header="X-Signature", cloudevents=True)
    async with relay(tmp_path, {"bus": made}) as (listener, count):
        for at, body in enumerate((cloud, [cloud | {"id": "c-2"}, cloud | {"id": "c-3"}])):
            request = replace(vendors.request(listener, "github"), url=f"{listener.url}/hooks/bus", body=dump(body))
            signed = made.scheme.sign(request, id="x")
            for changed in changes("github", signed):
                _, _, document = await vendors.post(listener, changed)
                told = [one["externalId"] for one in document.get("events", ())]
                assert told in (["c-1"], ["c-2", "c-3"], []) if "events" in document else True
            assert await count() == (1, 3)[at]


def dump(value):
    return json.dumps(value).encode()
