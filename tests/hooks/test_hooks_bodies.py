"""Bodies, good and bad by name: none stops the service, none that is signed vanishes."""

import asyncio
import base64
import contextlib
import io
import json
import zlib

import pytest
from structlog.testing import capture_logs

from tests.hooks.listener import MAX_BODY, NOW, gzipped, hook, listen

BAD = {
    "not json": b"hello",
    "empty": b"",
    "deep": b"[" * 10_000 + b"]" * 10_000,
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "duplicate keys": b'{"a": 1, "a": 2}',
    "5,000 digits": b"1" * 5_000,
}
CLOUD = {"specversion": "1.0", "id": "c-1", "source": "/crm", "type": "deal.won", "data": {"a": 1}}


@pytest.mark.parametrize("name", BAD)
async def test_a_signed_body_that_cannot_be_read_is_kept_raw(name):
    async with listen() as listener:
        status, _, document = await listener.send("partners", BAD[name], id_="msg-1")
        assert status == 202
        assert document["events"][0]["status"] == "unreadable"
        event = listener.intake.events[0]
        assert (event.raw, event.data, event.external_id) == (BAD[name], None, "msg-1")
        assert event.unreadable
        event.unreadable.encode()
        assert (await listener.send("partners", BAD[name], id_="msg-1"))[0] == 200


@pytest.mark.parametrize("name", BAD)
async def test_an_unsigned_body_that_cannot_be_read_is_400(name):
    async with listen() as listener:
        status, headers, document = await listener.post("open", BAD[name])
        assert (status, headers["Content-Type"]) == (400, "application/problem+json")
        assert document["detail"]
        assert listener.intake.deliveries == []
        assert len(listener.rejected) == 1
        assert (await listener.post("open"))[0] == 202


async def test_a_400_digit_integer_survives():
    async with listen() as listener:
        body = b'{"n": ' + b"7" * 400 + b"}"
        assert (await listener.post("open", body))[0] == 202
        assert listener.intake.events[0].data == {"n": int("7" * 400)}


@pytest.mark.parametrize("chunked", [False, True])
async def test_2_mib_are_413(chunked):
    async def stream():
        for _ in range(32):
            yield b" " * 65_536

    async with listen() as listener:
        body = stream() if chunked else io.BytesIO(b" " * (2 << 20))
        async with listener.session.post(
            f"{listener.url}/hooks/open", data=body, headers={"Content-Type": "application/json"}
        ) as answer:
            document = await answer.json(content_type=None)
        assert (answer.status, document["type"]) == (413, "/problems/too_large")
        assert listener.counted("open", "too_large") == 1
        assert (await listener.post("open"))[0] == 202


async def test_a_body_of_exactly_the_most_is_taken():
    async with listen() as listener:
        body = b'"' + b"x" * (MAX_BODY - 2) + b'"'
        assert (await listener.post("open", body))[0] == 202
        assert (await listener.post("open", body + b" "))[0] == 413


def raw_deflate(body):
    machine = zlib.compressobj(wbits=-15)
    return machine.compress(body) + machine.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzipped),
        ("GZIP", gzipped),
        ("x-gzip", gzipped),
        ("gzip", lambda body: gzipped(body[:3]) + gzipped(body[3:])),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", bytes),
        ("UTF-8", bytes),
        ("none", bytes),
        ("identity, gzip", gzipped),
    ],
)
async def test_a_compressed_body_is_verified_as_it_came_and_read_inflated(encoding, pack):
    async with listen() as listener:
        body = b'{"order": {"id": "o-1"}}'
        status, _, _ = await listener.send("shop", pack(body), {"Content-Encoding": encoding})
        assert status == 202
        event = listener.intake.events[0]
        assert (event.external_id, event.raw) == ("o-1", body)


async def test_a_body_that_inflates_beyond_the_most_is_413():
    bomb = gzipped(b" " * (64 << 20))
    assert len(bomb) < MAX_BODY
    async with listen() as listener:
        for source in ("code", "open"):
            assert (await listener.send(source, bomb, {"Content-Encoding": "gzip"}))[0] == 413


@pytest.mark.parametrize("body", [b"not gzip", gzipped(b"{}")[:-4], gzipped(b"{}") + b"rest"])
async def test_bad_gzip_is_unreadable_where_signed_and_400_where_not(body):
    async with listen() as listener:
        _, _, document = await listener.send("code", body, {"Content-Encoding": "gzip"})
        assert document["events"][0]["status"] == "unreadable"
        assert listener.intake.events[0].raw == body
        assert (await listener.post("open", body, {"Content-Encoding": "gzip"}))[0] == 400


async def test_an_unknown_content_encoding_is_415():
    async with listen() as listener:
        assert (await listener.send("code", b"{}", {"Content-Encoding": "br"}))[0] == 415


async def converse(listener, head, body=b"{}"):
    """What comes back before the body is sent, and after it was, to a sender that waits to be asked for it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(listener.url.rsplit(":", 1)[1]))
    writer.write(head + b"\r\nHost: x\r\nConnection: close\r\nExpect: 100-Continue\r\n\r\n")
    first = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    with contextlib.suppress(ConnectionError):
        writer.write(body)
        await writer.drain()
    rest = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return first, rest


async def test_a_sender_that_waits_to_be_asked_for_its_body_is_asked():
    async with listen() as listener:
        first, rest = await converse(listener, b"POST /hooks/open HTTP/1.1\r\nContent-Length: 2")
        assert first == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert rest.startswith(b"HTTP/1.1 202")
        assert listener.intake.events[0].raw == b"{}"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /hooks/nobody HTTP/1.1\r\nContent-Length: 2", b"404"),
        (b"DELETE /hooks/open HTTP/1.1\r\nContent-Length: 2", b"405"),
        (b"POST /hooks/open HTTP/1.1\r\nContent-Length: 99999999", b"413"),
    ],
)
async def test_a_body_that_is_not_wanted_is_not_asked_for(head, status):
    async with listen() as listener:
        first, _ = await converse(listener, head)
        assert first.startswith(b"HTTP/1.1 " + status)


async def test_a_sender_that_hangs_up_in_the_middle_stops_nothing():
    async with listen() as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", int(listener.url.rsplit(":", 1)[1]))
        writer.write(b"POST /hooks/open HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await listener.post("open"))[0] == 202
        assert len(listener.intake.events) == 1


async def test_the_charset_that_is_named_counts():
    async with listen() as listener:
        body = '{"a": "é"}'.encode("latin-1")
        await listener.post("open", body, {"Content-Type": "application/json; charset=ISO-8859-1"})
        assert listener.intake.events[0].data == {"a": "é"}


async def test_the_operators_templates_say_what_the_sender_does_not():
    async with listen() as listener:
        body = json.dumps({"order": {"id": 42}, "status": "paid", "at": 1_700_000_001}).encode()
        await listener.send("shop", body, {"X-Shop": "berlin"})
        event = listener.intake.events[0]
    assert (event.external_id, event.type, event.subject, event.time) == ("42", "order.paid", "berlin", NOW + 1_000)


async def test_templates_that_find_nothing_leave_nothing():
    async with listen() as listener:
        await listener.send("shop", b"{}")
        event = listener.intake.events[0]
    assert (event.external_id, event.type, event.subject, event.time) == (None, None, None, None)


async def test_a_template_that_raises_keeps_the_event_and_says_which():
    async with listen() as listener:
        status, _, document = await listener.send("strict", b'{"n": "text"}')
        assert (status, document["events"][0]["status"]) == (202, "unreadable")
        assert "template" in listener.intake.events[0].unreadable
        assert (await listener.send("strict", b'{"n": 1}'))[2]["events"][0]["externalId"] == "2"


async def test_a_structured_cloud_event_is_read():
    async with listen() as listener:
        body = json.dumps(CLOUD | {"subject": "s", "time": "2023-11-14T22:13:20Z"}).encode()
        assert (await listener.send("token", body, {"Content-Type": "application/cloudevents+json"}))[0] == 202
        event = listener.intake.events[0]
    assert (event.external_id, event.origin, event.type) == ("c-1", "/crm", "deal.won")
    assert (event.subject, event.time, event.data, event.raw) == ("s", NOW, {"a": 1}, body)


async def test_a_binary_cloud_event_is_read():
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "c-1",
        "ce-source": "/crm",
        "ce-type": "deal.won",
        "ce-subject": "K%C3%B6ln",
    }
    async with listen() as listener:
        assert (await listener.post("open", b'{"a": 1}', headers))[0] == 202
        assert (await listener.post("open", b"<a/>", headers | {"Content-Type": "text/xml"}))[0] == 400
        event = listener.intake.events[0]
    assert (event.external_id, event.origin, event.subject, event.data) == ("c-1", "/crm", "Köln", {"a": 1})


SECRETIVE = {"a": 1, "auth": {"password": "Sesam-cut"}}
CE = {"ce-specversion": "1.0", "ce-id": "c-1", "ce-source": "/crm", "ce-type": "deal.won"}


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (CLOUD | {"data": SECRETIVE}, {"Content-Type": "application/cloudevents+json"}),
        ([CLOUD | {"data": SECRETIVE}], {"Content-Type": "application/cloudevents-batch+json"}),
        (
            {key: value for key, value in CLOUD.items() if key != "data"}
            | {"data_base64": base64.b64encode(json.dumps(SECRETIVE).encode()).decode()},
            {"Content-Type": "application/cloudevents+json"},
        ),
        (SECRETIVE, CE),
    ],
)
async def test_what_the_operator_has_cut_is_cut_from_a_cloud_events_data_in_every_mode(body, headers):
    """`data` means there what it means in a rule: the CloudEvent's own."""
    hooks = {"open": hook("open", "none", cut=("data.auth.password",))}
    async with listen(hooks=hooks) as listener:
        assert (await listener.post("open", json.dumps(body).encode(), headers))[0] == 202
        event = listener.intake.events[0]
    assert (event.external_id, event.data) == ("c-1", {"a": 1, "auth": {}})
    assert b"Sesam-cut" not in event.raw + base64.b64encode(event.raw)
    assert b"password" not in event.raw
    assert b"data_base64" not in event.raw


async def test_a_binary_cloud_event_with_nul_in_an_attribute_is_kept_with_a_mark():
    headers = {"ce-specversion": "1.0", "ce-id": "c%001", "ce-source": "/crm", "ce-type": "t"}
    async with listen() as listener:
        assert (await listener.post("open", b"{}", headers))[0] == 202
        assert listener.intake.events[0].external_id == "c\ufffd1"


async def test_a_batch_is_one_delivery_of_one_event_each():
    async with listen() as listener:
        kind = {"Content-Type": "application/cloudevents-batch+json"}
        status, _, document = await listener.post("open", json.dumps([CLOUD, CLOUD | {"id": "c-2"}]).encode(), kind)
        assert status == 202
        assert [event["externalId"] for event in document["events"]] == ["c-1", "c-2"]
        assert [len(delivery) for delivery in listener.intake.deliveries] == [2]
        assert json.loads(listener.intake.events[1].raw)["id"] == "c-2"
        assert (await listener.post("open", json.dumps([CLOUD, CLOUD | {"id": "c-3"}]).encode(), kind))[0] == 202
        assert (await listener.post("open", json.dumps([CLOUD, CLOUD | {"id": "c-3"}]).encode(), kind))[0] == 200
        assert (await listener.post("open", b"[]", kind))[0] == 200


async def test_of_a_batch_that_is_proved_a_bad_item_is_kept_unreadable_and_the_others_are_taken():
    async with listen() as listener:
        body = json.dumps([CLOUD, CLOUD | {"type": ""}, CLOUD | {"id": "c-3"}]).encode()
        kind = {"Content-Type": "application/cloudevents-batch+json"}
        status, _, document = await listener.send("token", body, kind)
        assert status == 202
        assert [one["status"] for one in document["events"]] == ["accepted", "unreadable", "accepted"]
        bad = listener.intake.events[1]
        assert json.loads(bad.raw) == CLOUD | {"type": ""}
        assert "item 1" in bad.unreadable
        assert "`type`" in bad.unreadable


async def test_a_bad_time_costs_a_cloudevent_its_time_and_a_line_and_no_more():
    async with listen() as listener:
        items = [CLOUD | {"time": "2026-01-16 05:56:22.123456789+00:00"}, CLOUD | {"id": "c-2", "time": "noon"}]
        kind = {"Content-Type": "application/cloudevents-batch+json"}
        with capture_logs() as lines:
            status, _, document = await listener.send("token", json.dumps(items).encode(), kind)
        assert (status, [one["status"] for one in document["events"]]) == (202, ["accepted"] * 2)
        assert [event.time for event in listener.intake.events] == [1_768_542_982_123, None]
        [line] = [line for line in lines if line["event"] == "event.timeless"]
        assert (line["source"], line["external_id"]) == ("token", "c-2")


async def test_one_bad_character_in_a_batch_is_marked_and_its_item_is_kept_as_it_came():
    async with listen() as listener:
        items = [CLOUD | {"id": f"c-{at}", "data": {"a": "x\0y" if at == 2 else "ok"}} for at in range(5)]
        kind = {"Content-Type": "application/cloudevents-batch+json"}
        status, _, document = await listener.send("token", json.dumps(items).encode(), kind)
        assert (status, [one["status"] for one in document["events"]]) == (202, ["accepted"] * 5)
        assert [event.data["a"] for event in listener.intake.events] == ["ok", "ok", "x\ufffdy", "ok", "ok"]
        assert json.loads(listener.intake.events[2].raw) == items[2]


@pytest.mark.parametrize("source", ["open"])
async def test_a_batch_with_one_bad_item_says_which_and_takes_none(source):
    async with listen() as listener:
        body = json.dumps([CLOUD, CLOUD | {"type": ""}]).encode()
        status, _, document = await listener.send(source, body, {"Content-Type": "application/cloudevents-batch+json"})
        assert (status, document["type"]) == (400, "/problems/batch_item")
        assert "item 1" in document["detail"]
        assert "`type`" in document["detail"]
        assert listener.intake.deliveries == []


async def test_a_batch_that_is_too_long_is_413():
    async with listen() as listener:
        body = json.dumps([CLOUD] * 1_001).encode()
        kind = {"Content-Type": "application/cloudevents-batch+json"}
        assert (await listener.post("open", body, kind))[0] == 413


async def test_more_than_ten_thousand_lines_are_400_before_any_is_read():
    async with listen() as listener:
        kind = {"Content-Type": "application/x-ndjson"}
        assert (await listener.post("open", b"{}\n" * 10_000, kind))[0] == 202
        status, _, document = await listener.post("open", b"[\n" * 10_001, kind)
        assert (status, document["type"]) == (400, "/problems/batch")


async def test_kept_headers_are_bounded():
    many = {f"X-{number}": "v" * 200 for number in range(60)}
    async with listen() as listener:
        assert (await listener.post("open", b"{}", many))[0] == 202
        kept = listener.intake.events[0].headers
    assert 0 < sum(len(name) + len(value) for name, value in kept.items()) <= 8 << 10


async def test_github_and_standard_webhooks_say_id_and_type():
    async with listen() as listener:
        await listener.send("code", b'{"action": "opened"}', id_="d-1", type_="issues")
        await listener.send("partners", b'{"type": "user.created"}', id_="m-1")
        told = [(event.external_id, event.type) for event in listener.intake.events]
    assert told == [("d-1", "issues.opened"), ("m-1", "user.created")]


TOKENS = {
    "ms-graph": b'{"value": [{"clientState": "hush-token", "id": "n-1", "operation": "created"}]}',
    "zoho-crm": b'{"token": "hush-token", "module": "Deals", "operation": "update"}',
}


@pytest.mark.parametrize("name", TOKENS)
async def test_a_token_in_the_body_is_cut_from_what_cannot_be_read_as_well(name):
    """A template of the operator fails: the event is signed, so it is kept, and its token is not."""
    made = hook(name, name, "hush-token", event={"id": "{{ data.operation + 1 }}"})
    async with listen(hooks={name: made}) as listener:
        assert (await listener.post(name, TOKENS[name]))[0] == 202
    [event] = listener.intake.events
    assert "template" in event.unreadable
    assert b"hush-token" not in event.raw
    assert (b"n-1" if name == "ms-graph" else b"Deals") in event.raw


async def test_a_body_whose_credentials_cannot_be_found_is_not_kept():
    """Signed as it is, it is no JSON, so that what `cut` names cannot be taken out."""
    cutting = hook("code", "github", "Sesam-github", cut=("data.token",))
    async with listen(hooks={"code": cutting}) as listener:
        assert (await listener.send("code", b'{"token": "hush-token", '))[0] == 202
    [event] = listener.intake.events
    assert event.raw == b""
    assert "it may contain a credential" in event.unreadable
