"""The table of answers, over real HTTP: what is taken, what is refused, and what of it is kept."""

import asyncio
import ipaddress
import json

import pytest
from structlog.testing import capture_logs

from relay.errors import Overloaded, Refused, Unavailable
from tests.hooks.listener import HOOKS, NOW, listen
from tests.signing import sign

BODY = json.dumps({"id": "z-1", "type": "zen:event-type:ticket.created", "time": "2023-11-14T22:13:20Z"}).encode()
SIGNED = ["partners", "code", "helpdesk", "token", "login", "url", "shop"]


def is_problem(answer, status, reason):
    got, headers, document = answer
    assert (got, document["status"], document["type"]) == (status, status, f"/problems/{reason}")
    assert headers["Content-Type"] == "application/problem+json"
    assert document["title"]
    assert document["detail"]
    return True


async def test_a_new_event_is_202_and_the_same_again_200():
    async with listen() as listener:
        status, _, document = await listener.send("helpdesk", BODY)
        assert status == 202
        assert document == {
            "events": [
                {
                    "id": listener.intake.events[0].id,
                    "externalId": "z-1",
                    "status": "accepted",
                    "type": "zen:event-type:ticket.created",
                    "dispatches": [{"id": "d-1", "rule": "rule"}],
                }
            ]
        }
        status, _, again = await listener.send("helpdesk", BODY)
        assert status == 200
        assert again["events"][0] == document["events"][0] | {"status": "duplicate", "dispatches": []}


async def test_an_event_holds_what_came_without_its_secrets():
    headers = {
        "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "X-Note": "a",
        "Cookie": "c=Sesam-cookie",
        "X-Api-Key": "Sesam-key",
    }
    async with listen() as listener:
        await listener.send("helpdesk", BODY, headers)
        event = listener.intake.events[0]
    assert (event.source, event.external_id, event.time, event.received_at) == ("helpdesk", "z-1", NOW, NOW)
    assert (event.data, event.raw) == (json.loads(BODY), BODY)
    assert event.traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c-")
    assert event.headers["x-note"] == "a"
    assert not {"x-zendesk-webhook-signature", "cookie", "x-api-key", "authorization"} & set(event.headers)
    assert "Sesam" not in repr(event)


@pytest.mark.parametrize("source", SIGNED)
async def test_every_scheme_takes_what_is_signed_and_refuses_what_is_not(source):
    async with listen() as listener:
        body = b'{"order": {"id": 7}, "status": "paid"}'
        status, _, _ = await listener.send(source, body)
        assert status == 202
        status, _, document = await listener.post(source, body)
        assert status == 401
        assert document["type"] in {"/problems/signature_missing", "/problems/token_missing"}
        assert len(listener.intake.events) == 1


@pytest.mark.parametrize("source", ["partners", "code", "helpdesk", "shop"])
async def test_a_changed_body_is_401_and_nothing_is_parsed_or_kept_of_it_but_its_hash(source):
    async with listen() as listener:
        signed = sign(HOOKS[source].scheme, BODY, now=NOW, id="1")
        assert is_problem(await listener.post(source, b"[" * 100_000, signed), 401, "signature_wrong")
        rejection = listener.rejected[0]
        assert (rejection.source, rejection.status, rejection.reason) == (source, 401, "signature_wrong")
        assert (rejection.size, len(rejection.digest), rejection.remote) == (100_000, 64, "127.0.0.1")
        assert rejection.hint
        assert not any("signature" in name for name in rejection.headers)
        assert listener.counted(source, "signature_wrong") == 1
        assert listener.intake.deliveries == []


async def speak(listener, *lines):
    """The raw answer to a request whose header lines and body `{}` are given byte by byte."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(listener.url.rsplit(":", 1)[1]))
    head = [b"POST /hooks/code HTTP/1.1", b"Host: x", b"Connection: close", b"Content-Length: 2", *lines]
    writer.write(b"\r\n".join(head) + b"\r\n\r\n{}")
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_a_repeated_signature_header_is_401():
    async with listen() as listener:
        good = sign(HOOKS["code"].scheme, b"{}", now=NOW, id="1")["x-hub-signature-256"].encode()
        assert (await speak(listener, b"X-Hub-Signature-256: " + good)).startswith(b"HTTP/1.1 202")
        for other in (good, b"sha256=" + b"0" * 64):
            lines = (b"X-Hub-Signature-256: " + good, b"X-Hub-Signature-256: " + other)
            answer = await speak(listener, *lines)
            assert answer.startswith(b"HTTP/1.1 401")
            assert b"/problems/header_repeated" in answer


async def test_bytes_that_are_no_text_in_headers_are_401_and_what_is_kept_is_text():
    async with listen() as listener:
        answer = await speak(listener, b"X-Hub-Signature-256: sha256=\xff\xfe\xe9", b"X-Odd: \xff")
        assert answer.startswith(b"HTTP/1.1 401")
        assert listener.rejected[0].headers["x-odd"] == "\N{REPLACEMENT CHARACTER}"


async def test_the_401_of_a_token_names_its_scheme_and_no_answer_gives_a_hint():
    async with listen() as listener:
        for source, challenge in (("token", "Bearer"), ("login", "Basic"), ("code", None)):
            _, headers, document = await listener.post(source)
            assert headers.get("WWW-Authenticate", "").startswith(challenge or "")
            assert ("WWW-Authenticate" in headers) is (challenge is not None)
            assert "hint" not in document
            assert listener.rejected[-1].hint not in json.dumps(document)


@pytest.mark.parametrize(
    "path",
    [
        *("/hooks/nobody", "/", "/metrics", "/hooks", "/hooks/", "/hooks/open/more", "/livez", "/api/events"),
        *("/open", "/hooks/open%2Fmore", "/hooks//open", "//hooks/open", "/HOOKS/open", "/x/hooks/open"),
    ],
)
async def test_what_is_no_source_is_404_under_one_label(path):
    async with listen() as listener:
        async with listener.session.post(f"{listener.url}{path}", data=b"{}") as answer:
            document = await answer.json(content_type=None)
        assert (answer.status, document["type"]) == (404, "/problems/unknown_source")
        assert answer.content_type == "application/problem+json"
        assert listener.counted("_unknown", "unknown_source") == 1
        assert len(listener.rejected) == path.startswith("/hooks/"), "what scans for holes is not kept"


async def test_a_misspelt_address_is_kept_with_what_it_may_have_meant():
    """The vendor's page shows a 404 only, and nobody else knows that events are on their way."""
    headers = {"User-Agent": "Zendesk Webhook", "X-Unknown-Token": "Sesam"}
    async with (
        listen() as listener,
        listener.session.post(f"{listener.url}/hooks/helpdsk", data=b"{}", headers=headers) as answer,
    ):
        assert "helpdesk" not in await answer.text(), "strangers are not told which sources there are"
    (kept,) = listener.rejected
    assert (kept.source, kept.status, kept.reason) == ("_unknown", 404, "unknown_source")
    assert kept.hint.startswith("no webhook source has the path '/hooks/helpdsk': did you mean /hooks/helpdesk?")
    assert kept.headers == {"user-agent": "Zendesk Webhook", "content-type": "application/octet-stream"}


async def test_a_flood_of_misspelt_addresses_is_kept_in_part():
    async with listen() as listener:
        for number in range(40):
            await listener.post(f"nobody-{number}")
    assert 0 < len(listener.rejected) <= 21


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_other_methods_are_405_and_told_the_right_one(method):
    async with listen() as listener:
        async with listener.session.request(method, f"{listener.url}/hooks/open") as answer:
            assert answer.status == 405
            assert answer.headers["Allow"] == "HEAD, POST"
        assert listener.counted("open", "method") == 1


@pytest.mark.parametrize(("path", "status"), [("open", 200), ("shop", 200), ("nobody", 404)])
async def test_a_head_only_asks_whether_somebody_is_at_home(path, status):
    """Intercom asks so before it saves an address, with neither body nor signature."""
    async with listen() as listener:
        async with listener.session.head(f"{listener.url}/hooks/{path}") as answer:
            assert answer.status == status
        assert listener.intake.events == []


@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream", "nonsense"])
async def test_a_foreign_content_type_is_415_where_the_body_is_not_a_vendors(content_type):
    """A vendor's body is read as what that vendor sends, whatever stands beside it."""
    async with listen() as listener:
        assert is_problem(await listener.send("shop", b"{}", {"Content-Type": content_type}), 415, "content_type")
        assert (await listener.send("code", b"{}", {"Content-Type": content_type}))[0] == 202


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "application/vnd.x+json", "text/plain", None],
)
async def test_json_by_any_of_its_names_is_taken(content_type):
    async with listen() as listener:
        status, _, _ = await listener.send("code", b'{"a": 1}', {"Content-Type": content_type})
        assert status == 202
        assert listener.intake.events[0].data == {"a": 1}


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Overloaded(retry_after=7.2), 503, "overloaded"),
        (Unavailable(), 503, "unavailable"),
        (Refused("the database cannot hold this"), 400, "refused"),
        (ZeroDivisionError(), 500, "failed"),
    ],
)
async def test_what_the_intake_raises_is_an_answer_and_the_next_request_is_served(error, status, reason):
    async with listen() as listener:
        listener.intake.error = error
        answer = await listener.send("helpdesk", BODY)
        assert is_problem(answer, status, reason)
        if status == 503:
            assert int(answer[1]["Retry-After"]) == (8 if reason == "overloaded" else 5)
        listener.intake.error = None
        assert (await listener.send("helpdesk", BODY))[0] == 202


async def test_a_ledger_that_takes_nothing_is_a_line_with_its_reason():
    with capture_logs() as lines:
        async with listen() as listener:
            listener.intake.error = Unavailable("the disk is full")
            assert (await listener.send("helpdesk", BODY))[0] == 503
    [told] = [line for line in lines if line["event"] == "ledger.unavailable"]
    assert (told["part"], told["error"], told["log_level"]) == ("hooks", "the disk is full", "warning")


async def test_a_paused_source_is_503_and_others_go_on():
    async with listen() as listener:
        listener.paused.add("helpdesk")
        answer = await listener.send("helpdesk", BODY)
        assert is_problem(answer, 503, "paused")
        assert answer[1]["Retry-After"] == "30"
        assert (await listener.send("code", BODY))[0] == 202
        listener.paused.clear()
        assert (await listener.send("helpdesk", BODY))[0] == 202


async def test_a_refusal_that_cannot_be_kept_is_answered_all_the_same():
    async def away(rejection):
        raise Unavailable

    async with listen(reject=away) as listener:
        for _ in range(50):
            assert is_problem(await listener.post("code"), 401, "signature_missing")
        assert listener.counted("code", "signature_missing") == 50


async def test_a_refusal_that_is_slow_to_be_kept_holds_up_no_answer_and_they_do_not_pile_up():
    release = asyncio.Event()
    kept = []

    async def slow(rejection):
        await release.wait()
        kept.append(rejection)

    async with listen(reject=slow) as listener:
        for _ in range(100):
            assert is_problem(await listener.post("code"), 401, "signature_missing")
        assert kept == []
        release.set()
    assert len(kept) == 32


async def test_each_refusal_is_one_line_with_reason_and_hint():
    with capture_logs() as lines:
        async with listen() as listener:
            await listener.send("helpdesk", BODY, {"X-Zendesk-Webhook-Signature-Timestamp": "2020-01-01T00:00:00Z"})
            await listener.post("nobody")
    told = [line for line in lines if line["event"] == "request.rejected"]
    assert [(line["source"], line["status"], line["reason"]) for line in told] == [
        ("helpdesk", 401, "signature_wrong"),
        ("_unknown", 404, "unknown_source"),
    ]
    assert all(line["hint"] and line["remote"] == "127.0.0.1" for line in told)
    assert "Sesam" not in repr(lines)


async def test_the_url_that_is_signed_is_the_public_one():
    async with listen(public_url="https://relay.example.com/in/") as listener:
        scheme = HOOKS["url"].scheme
        inside = sign(scheme, b"{}", now=NOW, id="1", url=f"{listener.url}/hooks/url")
        outside = sign(scheme, b"{}", now=NOW, id="1", url="https://relay.example.com/in/hooks/url")
        assert (await listener.post("url", b"{}", inside))[0] == 401
        assert (await listener.post("url", b"{}", outside))[0] == 202


@pytest.mark.parametrize(
    ("network", "status", "remote"), [("127.0.0.0/8", 202, "203.0.113.9"), ("10.0.0.0/8", 401, "127.0.0.1")]
)
async def test_forwarded_headers_count_from_trusted_networks_only(network, status, remote):
    forwarded = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "us.example",
        "X-Forwarded-For": "6.6.6.6, 203.0.113.9",
    }
    async with listen(trusted_proxies=(ipaddress.ip_network(network),)) as listener:
        signed = sign(HOOKS["url"].scheme, b"{}", now=NOW, id="1", url="https://us.example/hooks/url")
        assert (await listener.post("url", b"{}", signed | forwarded))[0] == status
        await listener.post("code", b"{}", forwarded)
        assert listener.rejected[-1].remote == remote
