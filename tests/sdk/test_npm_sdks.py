"""Senders' own SDKs for Node.js: Relay takes what they sign, and they take what Relay signs."""

import hashlib
import json
import re
from dataclasses import replace

import pytest

from relay.schemes import Headers
from tests.hooks.vendors import post
from tests.schemes.pairs import certificate
from tests.sdk.wire import changed, raw_key, receiving, sample, secret, send, with_headers

SIGN = ["contentful", "github", "notion", "stripe", "svix", "twilio"]
VERIFY = [
    "aws-sns", "contentful", "crisp", "discord", "easypost", "github", "gocardless", "line", "linear", "messagebird",
    "mux", "notion", "paddle", "sendgrid", "shopify", "slack", "stripe", "svix", "twilio",
]  # fmt: skip


@pytest.mark.parametrize("name", SIGN)
async def test_what_the_sdk_signs_is_taken_and_with_one_byte_changed_it_is_401(name, node):
    async with receiving(name) as listener:
        made = sample(name, f"{listener.url}/hooks/{name}")
        plain = {
            "method": made.method,
            "url": made.url,
            "headers": dict(made.headers.flat()),
            "body": made.body.decode(),
        }
        added = await node(sdk=name, action="sign", secret=secret(name), request=plain)
        signed = with_headers(made, added)
        assert (await post(listener, signed))[0] in {200, 202}
        assert (await post(listener, replace(signed, body=changed(signed.body))))[0] == 401
        assert len(listener.intake.deliveries) == 1


def shown(name):
    """The secret as the SDK wants it."""
    if name == "aws-sns":
        return certificate(0)
    known = secret(name)
    return raw_key(known) if name == "discord" else known


@pytest.mark.parametrize("name", VERIFY)
async def test_what_relay_signs_is_taken_by_the_sdk_and_with_one_byte_changed_it_is_not(name, node):
    caught = await send(name, compact if name == "crisp" else as_it_is)
    requests = [caught.to_json(), caught.changed().to_json()]
    good, bad = await node(sdk=name, action="verify", secret=shown(name), requests=requests)
    assert good is True
    assert bad is False or re.search("signature|signing|secret", bad)


def as_it_is(made):
    return made


def compact(made):
    """JSON as JavaScript writes it, which is what Crisp's own library signs."""
    return replace(made, body=json.dumps(json.loads(made.body), separators=(",", ":"), ensure_ascii=False).encode())


async def test_twilios_json_is_taken_with_the_hash_of_its_body_in_the_url(node):
    def change(made):
        body = b'{"EventType": "onMessageAdded", "n": 1}'
        url = f"{made.url}?bodySHA256={hashlib.sha256(body).hexdigest()}"
        return replace(made, url=url, body=body, headers=Headers([("content-type", "application/json")]))

    caught = await send("twilio", change)
    requests = [caught.to_json(), caught.changed().to_json()]
    assert await node(sdk="twilio JSON", action="verify", secret=secret("twilio"), requests=requests) == [True, False]


async def test_a_message_of_sns_in_the_second_version_is_taken_by_amazons_validator(node):
    """SHA-256 in place of SHA-1."""
    caught = await send("aws-sns", lambda made: replace(made, body=made.body.replace(b'"1"', b'"2"')))
    assert json.loads(caught.body)["SignatureVersion"] == "2"
    requests = [caught.to_json(), caught.changed().to_json()]
    good, bad = await node(sdk="aws-sns", action="verify", secret=certificate(0), requests=requests)
    assert (good, bad) == (True, False)
