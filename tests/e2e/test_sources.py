"""Vendors' sources on a real relay: a learned secret, refused requests that are readmitted, a batch.

Stopping the relay searches its log and its ledger for every secret and for every signature that was sent.
"""

import asyncio
import json
import time

import aiohttp
import pytest

from relay.schemes import Headers, Request, SchemeSpec, build
from relay.secret import Secret
from tests.e2e.harness import Relay, eventually
from tests.e2e.simulator import simulating

LEARNED, NEXT, RIGHT, WRONG, HUBSPOT = (f"Sesam-{name}-of-the-tests-0123456789" for name in "lnrwh")
SOURCES = f"""
  asana: {{type: webhook, scheme: asana}}
  helpdesk: {{type: webhook, scheme: zendesk, secret: {WRONG}, keep_rejected: 24h}}
  sales: {{type: webhook, scheme: hubspot, secret: {HUBSPOT}}}
"""
RULE = """
  - name: {source}
    source: {source}
    chat:
      name: "{what}"
      agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a
      trigger:
        type: connector
        connectorUuid: 7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f
        meta: {{subject: "{{{{ event.subject }}}}"}}
"""
RULES = "".join(
    RULE.format(source=source, what=what)
    for source, what in (
        ("asana", "Task {{ event.subject }}"),
        ("helpdesk", "Ticket {{ data.id }}"),
        ("sales", "Deal {{ data.objectId }}"),
    )
)
PROOFS = ("x-hook-signature", "x-zendesk-webhook-signature", "x-hubspot-signature-v3")
JSON = {"content-type": "application/json"}


class Sender:
    """A vendor that signs with a secret and posts to one of the relay's sources."""

    def __init__(self, relay, session, source, scheme, secret):
        self._session = session
        self._secrets = relay.secrets
        self._url = f"{relay.url('hooks')}/hooks/{source}"
        self._scheme = build(SchemeSpec(scheme, (Secret(secret),)))

    async def post(self, data):
        """Status and answer of a body, signed now."""
        request = Request("POST", self._url, Headers.of(JSON), json.dumps(data).encode(), int(time.time() * 1_000))
        signed = self._scheme.sign(request, id="unused")
        self._secrets += [signed.headers.first(name).encode() for name in PROOFS if name in signed.headers]
        return await self.send(signed.body, dict(signed.headers.flat()))

    async def send(self, body, headers):
        async with self._session.post(self._url, data=body, headers=headers) as answer:
            return answer.status, answer.headers, await answer.read()


@pytest.fixture
async def started(tmp_path):
    """A relay with its simulator, a session, and a way to make senders."""
    async with simulating() as cargo, aiohttp.ClientSession() as session:
        secrets = (LEARNED, NEXT, RIGHT, WRONG, HUBSPOT)
        relay = Relay(tmp_path, cargo=cargo.url, sources=SOURCES, rules=RULES, secrets=secrets)
        await asyncio.to_thread(relay.start)
        try:
            yield relay, cargo, lambda *given: Sender(relay, session, *given)
        finally:
            await asyncio.to_thread(relay.stop)


async def names(cargo):
    return sorted(chat["name"] for chat in await cargo.chats())


async def made(relay, cargo, count):
    """Returns the chats' names once there are so many."""

    async def there():
        return len(await cargo.chats()) == count

    await eventually(there, seconds=20, what=relay.describe)
    return await names(cargo)


def change(gid):
    return {"events": [{"action": "changed", "resource": {"gid": gid, "resource_type": "task"}}]}


async def test_a_secret_that_a_handshake_brought_outlives_the_process_until_it_is_forgotten(started):
    relay, cargo, sender = started
    asana = sender("asana", "asana", LEARNED)
    assert (await asana.post(change("t-0")))[0] == 401, "nothing is believed before the handshake"
    status, headers, _ = await asana.send(b"{}", JSON | {"X-Hook-Secret": LEARNED})
    assert (status, headers["X-Hook-Secret"]) == (200, LEARNED)
    assert (await asana.post(change("t-1")))[0] == 202
    assert await made(relay, cargo, 1) == ["Task t-1"]
    # Lines of level info are written within 20 ms, and the kill would take them along.
    await eventually(lambda: relay.logged("handshake.answered"), seconds=10, what=relay.describe)
    relay.kill()
    await asyncio.to_thread(relay.start)
    assert (await asana.post(change("t-2")))[0] == 202
    assert (await asana.post(change("t-1")))[0] == 200, "and what was taken in is known"
    assert await made(relay, cargo, 2) == ["Task t-1", "Task t-2"]
    assert (await asana.send(b"{}", JSON | {"X-Hook-Secret": NEXT}))[0] == 403
    assert await relay.run("forget", "asana", "--yes") == (
        0,
        "forgotten; the next handshake of asana sets the secret\n",
        "",
    )
    assert (await asana.post(change("t-3")))[0] == 401
    assert (await asana.send(b"{}", JSON | {"X-Hook-Secret": NEXT}))[0] == 200
    assert (await asana.post(change("t-4")))[0] == 401
    assert (await sender("asana", "asana", NEXT).post(change("t-5")))[0] == 202
    assert await made(relay, cargo, 3) == ["Task t-1", "Task t-2", "Task t-5"]
    steps = [line["event"] for line in relay.lines() if line["event"].startswith(("secret.", "handshake."))]
    learned = ["secret.learned", "handshake.answered"]
    assert steps == [*learned, "secret.forgotten", *learned]


async def test_what_a_wrong_secret_refused_becomes_chats_once_the_secret_is_right(started):
    relay, cargo, sender = started
    zendesk = sender("helpdesk", "zendesk", RIGHT)
    tickets = [{"id": f"z-{number}", "type": "zen:event-type:ticket.created"} for number in range(3)]
    for ticket in tickets:
        assert (await zendesk.post(ticket))[0] == 401
    code, printed, _ = await relay.run("events", "--rejected", "--json")
    rejected = json.loads(printed)["rejected"]
    assert (code, [one["reason"] for one in rejected]) == (0, ["signature_wrong"] * 3)
    assert all("the secret is not the sender's (or was rotated there)" in one["hint"] for one in rejected)
    assert all(one["keptUntil"] and one["readmitted"] is None for one in rejected)
    code, printed, _ = await relay.run("readmit", "helpdesk")
    assert (code, printed.count("signature_wrong")) == (1, 3)
    relay.kill()
    relay.config.write_text(relay.config.read_text().replace(WRONG, RIGHT))
    await asyncio.to_thread(relay.start)
    code, printed, _ = await relay.run("readmit", "helpdesk", "--dry-run", "--json")
    assert (code, json.loads(printed)["readmitted"], await names(cargo)) == (0, 3, [])
    assert (await zendesk.post(tickets[0]))[0] == 202, "Zendesk has sent the first again meanwhile"
    code, printed, _ = await relay.run("readmit", "helpdesk", "--json")
    assert (code, [one["verdict"] for one in json.loads(printed)["requests"]]) == (
        0,
        ["duplicate", *["readmitted"] * 2],
    )
    assert await made(relay, cargo, 3) == ["Ticket z-0", "Ticket z-1", "Ticket z-2"]
    code, printed, _ = await relay.run("readmit", "helpdesk", "--json")
    assert (code, json.loads(printed)["requests"]) == (0, [])
    assert [(await zendesk.post(ticket))[0] for ticket in tickets] == [200] * 3
    assert await names(cargo) == ["Ticket z-0", "Ticket z-1", "Ticket z-2"]
    code, printed, _ = await relay.run("events", "--rejected", "--json")
    assert all(len(one["readmitted"]) == 1 for one in json.loads(printed)["rejected"])


async def test_a_batch_of_three_makes_three_chats_and_again_none(started):
    relay, cargo, sender = started
    hubspot = sender("sales", "hubspot", HUBSPOT)
    batch = [
        {"eventId": number, "subscriptionId": 1, "portalId": 7, "occurredAt": 1_700_000_000_000 + number,
         "subscriptionType": "ticket.creation", "attemptNumber": 0, "objectId": number}
        for number in range(3)
    ]  # fmt: skip
    status, _, answer = await hubspot.post(batch)
    assert (status, len(json.loads(answer)["events"])) == (202, 3)
    assert await made(relay, cargo, 3) == ["Deal 0", "Deal 1", "Deal 2"]
    again = [item | {"attemptNumber": 1} for item in batch]
    assert (await hubspot.post(again))[0] == 200
    more = [*again[:2], again[2] | {"eventId": 3, "objectId": 3}]
    assert (await hubspot.post(more))[0] == 202
    assert await made(relay, cargo, 4) == ["Deal 0", "Deal 1", "Deal 2", "Deal 3"]
    bad = [again[0] | {"eventId": 9, "objectId": 9}, "no event"]
    status, _, answer = await hubspot.post(bad)
    assert (status, [event["status"] for event in json.loads(answer)["events"]]) == (202, ["accepted", "unreadable"])
    assert await made(relay, cargo, 5) == ["Deal 0", "Deal 1", "Deal 2", "Deal 3", "Deal 9"]
