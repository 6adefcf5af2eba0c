"""A dry run on a running relay says what the ledger would say now, and leaves nothing behind."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from relay.cli import app
from tests.app.reloading import CHAT, configure, living


@pytest.fixture
def file(tmp_path):
    return tmp_path / "relay.yaml"


async def test_the_ledger_of_a_running_relay_is_asked(file, tmp_path):
    once = {"name": "once", "chat": CHAT, "once": "{{ data.id }}"}
    burst = {"name": "burst", "chat": CHAT, "debounce": {"key": "{{ data.id }}", "wait": "1h"}}
    async with living(file, configure(tmp_path, rules=[once, burst])) as live:
        await live.post(id=1)
        _, taken = await live.ask("GET", "/api/events")
        holder = next(each["id"] for each in taken["events"][0]["dispatches"] if each["rule"] == "once")

        async def attempt(number):
            asked = {"source": "crm", "body": {"id": number}}
            async with live.http.post(f"{live.service.addresses.ops}/api/try", json=asked) as answer:
                [tried] = (await answer.json())["events"]
                return {each["rule"]: each["now"] for each in tried["rules"]}

        known, new = await attempt(1), await attempt(2)
        assert (known["once"]["state"], known["once"]["by"]) == ("suppressed", {"dispatchId": holder})
        assert known["once"]["since"]
        assert (known["burst"]["held"]["by"], known["burst"]["held"]["key"]) == ("debounce", "1")
        assert known["burst"]["held"]["until"]
        assert (new["once"]["state"], new["once"]["by"], new["once"]["held"]) == ("ready", None, None)

        (tmp_path / "deal.json").write_text(json.dumps({"id": 1}))
        command = ["try", "crm", str(tmp_path / "deal.json"), "-c", str(file)]
        asked = [*command, "--live", "--url", live.service.addresses.ops]
        said = await asyncio.to_thread(CliRunner().invoke, app, asked)
        assert f"that of dispatch {holder}" in said.stdout, said.output
        assert "held by debounce until" in said.stdout
        assert "not asked" in (await asyncio.to_thread(CliRunner().invoke, app, command)).stdout
        _, after = await live.ask("GET", "/api/events")
        assert [len(each["dispatches"]) for each in after["events"]] == [2], "nothing was stored"


async def test_the_keys_of_a_claim_and_a_pause_are_asked_too(file, tmp_path):
    rules = [
        {"name": "few", "chat": CHAT, "limit": [{"rate": "1/d"}]},
        {"name": "guarded", "chat": CHAT, "loop": {"key": "{{ data.id }}", "trips": "1/1h"}},
        {"name": "paused", "chat": CHAT},
    ]
    async with living(file, configure(tmp_path, rules=rules)) as live:
        await live.ask("POST", "/api/rules/paused/pause")
        await live.post(id=1)

        async def stand():
            asked = {"source": "crm", "body": {"id": 1}}
            async with live.http.post(f"{live.service.addresses.ops}/api/try", json=asked) as answer:
                [tried] = (await answer.json())["events"]
                now = {each["rule"]: each["now"] for each in tried["rules"]}
                return now["few"]["state"], now["guarded"]["state"], now["paused"]["held"]["by"], now

        async with asyncio.timeout(20):
            while (found := await stand())[:3] != ("held", "parked", "pause"):
                await asyncio.sleep(0.05)
        now = found[3]
        assert now["few"]["held"]["by"] == "limit"
        assert now["few"]["held"]["until"]
        assert "(loop)" in now["guarded"]["why"]


async def test_a_body_that_cannot_be_read_is_a_bad_request_or_an_unreadable_event(tmp_path):
    """As the source would take it: one that proves nothing refuses it, and a queue makes a dead letter of it."""
    cases = [
        ("lab", {}, "not json", "(json)"),
        ("lab", {"content-type": "image/png"}, "x", "(content_type)"),
        ("lab", {"content-encoding": "gzip"}, "x", "("),
        ("lab", {}, "[" * 300, "("),
        ("bus", {}, "not json", "(json)"),
        ("bus", {"content-type": "image/png"}, "x", "(content_type)"),
        ("bus", {"content-encoding": "zip"}, "x", "(encoding)"),
    ]
    sources = {
        "lab": {"type": "webhook", "scheme": "none"},
        "bus": {"type": "amqp", "queue": "bus"},
        "events": {
            "type": "webhook",
            "scheme": "standard-webhooks",
            "secret": "whsec_bm5ubm5ubm5ubm5ubm5ubm5ubm5ubm5u",
        },
    }
    settings = configure(tmp_path, sources=sources, broker={"url": "amqp://127.0.0.1:1"})
    async with living(tmp_path / "live.yaml", settings) as live:

        async def attempt(source, headers, body):
            asked = {"source": source, "headers": headers, "body": body}
            async with live.http.post(f"{live.service.addresses.ops}/api/try", json=asked) as answer:
                return answer.status, answer.content_type, await answer.json(content_type=None)

        for source, headers, body, reason in cases:
            status, media, document = await attempt(source, headers, body)
            assert (status, media) == (400, "application/problem+json"), document
            assert document["detail"].startswith(f"key body: source {source} cannot read it {reason}")
        status, _, document = await attempt("events", {}, "not json")
        assert (status, document["events"][0]["event"]["unreadable"] is not None) == (200, True)
