"""Judgements that others have published: the shared vectors, vendors' own documents, Standard Webhooks' library."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from relay.errors import Rejected
from relay.schemes import Headers, Request, SchemeFault, SchemeSpec, build
from relay.secret import Secret

VECTORS = Path(__file__).parents[2].parent / "shared" / "sources" / "vectors.json"
OURS = {
    "standard_webhooks": "standard-webhooks",
    "svix": "standard-webhooks",
    "github_sha256": "github",
    "zendesk": "zendesk",
    "basic": "basic",
}
ASYMMETRIC = {"stdwh-ed25519-mixed"}
"""Signed with Ed25519, which this version refuses at load."""


def load():
    if not VECTORS.exists():
        return []
    found = json.loads(VECTORS.read_text())
    return [vector for vector in found if vector["scheme"] in OURS and vector["id"] not in ASYMMETRIC]


def judge(scheme, secret, headers, body, now, method="POST", url=""):
    try:
        judged = Request(method, url, Headers.of(headers), body, now * 1_000)
        build(SchemeSpec(scheme, (Secret(secret),))).verify(judged)
    except (Rejected, SchemeFault):
        return "invalid"
    return "valid"


def judge_vector(vector):
    body = vector.get("body")
    raw = base64.b64decode(vector["body_base64"]) if body is None else body.encode()
    return judge(
        OURS[vector["scheme"]],
        vector["secret"],
        vector["headers"],
        raw,
        vector["now"] or 0,
        vector["method"],
        vector["url"] or "",
    )


def test_shared_vectors_are_judged_as_expected():
    """Where the file of vectors lies beside the checkout; it is not part of it."""
    wrong = [vector["id"] for vector in load() if judge_vector(vector) != vector["expect"]]
    assert wrong == []


def test_githubs_own_example():
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation"""
    proof = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    secret = "It's a Secret to Everybody"
    assert judge("github", secret, {"X-Hub-Signature-256": proof}, b"Hello, World!", 0) == "valid"
    assert judge("github", secret, {"X-Hub-Signature-256": proof}, b"Hello, World?", 0) == "invalid"


def test_standard_webhooks_own_library_signs_what_is_accepted_and_accepts_what_is_signed():
    secret, body, now = "whsec_" + base64.b64encode(bytes(range(32))).decode(), '{"type":"a"}', 1_700_000_000
    library = Webhook(secret)
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(now),
        "webhook-signature": library.sign("msg_1", datetime.fromtimestamp(now, UTC), body),
    }
    assert judge("standard-webhooks", secret, headers, body.encode(), now) == "valid"
    current = int(datetime.now(UTC).timestamp())
    scheme = build(SchemeSpec("standard-webhooks", (Secret(secret),)))
    ours = scheme.sign(body.encode(), now=current * 1_000, id="msg_2")
    assert library.verify(body, ours) == {"type": "a"}
    with pytest.raises(WebhookVerificationError):
        library.verify(body + " ", ours)
