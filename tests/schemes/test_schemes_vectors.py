"""Judgements that others have published: the shared vectors, vendors' own documents, Standard Webhooks' library."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from relay.errors import Rejected
from relay.schemes import Headers, Request, SchemeSpec, build, names, vendor
from relay.secret import Secret

VECTORS = Path(__file__).parents[2].parent / "shared" / "sources" / "vectors.json"
"""The file of shared vectors lies beside the checkout, or is not there; it is no part of it."""

RENAMED = {
    "adyen_payload": "adyen",
    "adyen_standard": "adyen",
    "contentful_request_verification": "contentful",
    "generic_hmac_hex_sha512": "hmac",
    "github_sha256": "github",
    "mandrill": "mailchimp-transactional",
    "meta_sha256": "meta",
}
OPTIONS = {
    "aws-sns": {"topics": ("arn:aws:sns:us-west-2:123456789012:MyTopic",)},
    "hmac": {"header": "X-Signature", "algorithm": "sha512"},
    "meta": {"verify_token": "not looked at"},
}
LACKING = {}
"""Schemes of vectors that are deliberately not here, with the reason."""


def load():
    return json.loads(VECTORS.read_text()) if VECTORS.exists() else []


def judge(scheme, secret, headers, body, now=None, *, method="POST", url="", **options):
    """`valid`, or the reason of the refusal; where no time is given, the age is not judged."""
    wanted = vendor(scheme).secret is not None or vendor(scheme).picks
    live = (Secret(secret),) if secret and wanted else ()
    built = build(SchemeSpec(scheme, live, OPTIONS.get(scheme, {}) | options))
    request = Request(method, url, Headers.of(headers), body, (now or 0) * 1_000, lists=built.lists)
    try:
        built.of(request).verify(request)
    except Rejected as error:
        aged = now is None and error.reason in {"timestamp_old", "timestamp_future"}
        return "valid" if aged else error.reason
    return "valid"


def scheme_of(vector):
    return RENAMED.get(vector["scheme"], vector["scheme"].replace("_", "-"))


def judge_vector(vector):
    body = vector.get("body")
    return judge(
        scheme_of(vector),
        vector["secret"],
        vector["headers"],
        base64.b64decode(vector["body_base64"]) if body is None else body.encode(),
        vector["now"],
        method=vector["method"],
        url=vector["url"] or "",
        **({"tolerance": vector["tolerance_s"] * 1_000} if "tolerance_s" in vector else {}),
        **({"cert_pem": vector["cert_pem"]} if vector.get("cert_pem") else {}),
    )


def test_every_scheme_of_the_shared_vectors_is_here():
    assert {scheme_of(vector) for vector in load()} - names() == set(LACKING)


def test_shared_vectors_are_judged_as_expected():
    known = [vector for vector in load() if scheme_of(vector) in names()]
    judged = {vector["id"]: (vector["expect"], judge_vector(vector)) for vector in known}
    assert {name: both for name, both in judged.items() if (both[0] == "valid") is not (both[1] == "valid")} == {}


ATLASSIAN = {"X-Hub-Signature": "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"}
SLACK = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V"
    b"&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text="
    b"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN"
    b"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
)
ADYEN = {
    "pspReference": "7914073381342284",
    "originalReference": "",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "TestPayment-1407325143704",
    "amount": {"value": 1130, "currency": "EUR"},
    "eventCode": "AUTHORISATION",
    "success": "true",
    "additionalData": {"hmacSignature": "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},
}
HUBSPOT_V1 = (
    b'[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,'
    b'"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123,"changeSource":"CRM",'
    b'"changeFlag":"NEW","appId":54321}]'
)
HUBSPOT = "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

PUBLISHED = {
    "https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries": (
        "github",
        "It's a Secret to Everybody",
        {"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
        b"Hello, World!",
    ),
    "https://support.atlassian.com/bitbucket-cloud/docs/manage-webhooks/": (
        "bitbucket",
        "It's a Secret to Everybody",
        ATLASSIAN,
        b"Hello World!",
    ),
    "https://developer.atlassian.com/cloud/jira/platform/webhooks/": (
        "jira",
        "It's a Secret to Everybody",
        ATLASSIAN,
        b"Hello World!",
    ),
    "https://legacydocs.hubspot.com/docs/faq/v1-request-validation": (
        "hubspot-v1",
        HUBSPOT,
        {
            "X-HubSpot-Signature-Version": "v1",
            "X-HubSpot-Signature": "232db2615f3d666fe21a8ec971ac7b5402d33b9a925784df3ca654d05f4817de",
        },
        HUBSPOT_V1,
    ),
    "https://legacydocs.hubspot.com/docs/faq/v2-request-validation": (
        "hubspot-v2",
        HUBSPOT,
        {
            "X-HubSpot-Signature-Version": "v2",
            "X-HubSpot-Signature": "9569219f8ba981ffa6f6f16aa0f48637d35d728c7e4d93d0d52efaa512af7900",
        },
        b'{"example_field":"example_value"}',
        "https://www.example.com/webhook_uri",
    ),
    "https://docs.slack.dev/authentication/verifying-requests-from-slack/": (
        "slack",
        "8f742231b10e8888abcd99yyyzzz85a5",
        FORM
        | {
            "X-Slack-Request-Timestamp": "1531420618",
            "X-Slack-Signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        },
        SLACK,
    ),
    "https://www.twilio.com/docs/usage/webhooks/webhooks-security": (
        "twilio",
        "12345",
        FORM | {"X-Twilio-Signature": "0/KCTR6DLpKmkAf8muzZqo1nDgQ="},
        b"CallSid=CA1234567890ABCDE&Caller=%2B12349013030&Digits=1234&From=%2B12349013030&To=%2B18005551212",
        "https://mycompany.com/myapp.php?foo=1&bar=2",
    ),
    "https://docs.adyen.com/development-resources/webhooks/verify-hmac-signatures/": (
        "adyen",
        "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
        {"Content-Type": "application/json"},
        json.dumps({"live": "false", "notificationItems": [{"NotificationRequestItem": ADYEN}]}).encode(),
    ),
    "https://www.rfc-editor.org/rfc/rfc7617#section-2": (
        "basic",
        "Aladdin:open sesame",
        {"Authorization": "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="},
        b"",
    ),
    "https://www.rfc-editor.org/rfc/rfc7617#section-2.1": (
        "basic",
        "test:123£",
        {"Authorization": "Basic dGVzdDoxMjPCow=="},
        b"",
    ),
}
"""What documents publish: the page, then scheme, secret, headers, body and the URL if it is signed."""


@pytest.mark.parametrize("page", PUBLISHED)
def test_the_examples_of_vendors_own_documents(page):
    scheme, secret, headers, body, *url = PUBLISHED[page]
    assert judge(scheme, secret, headers, body, url="".join(url)) == "valid"
    spoilt = secret[:-1] + ("0" if secret[-1] != "0" else "1")
    assert judge(scheme, spoilt, headers, body, url="".join(url)) in {"signature_wrong", "token_wrong"}
    if scheme != "basic":
        assert judge(scheme, secret, headers, body.replace(b"l", b"1"), url="".join(url)) != "valid"


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
    ours = scheme.sign(Request("POST", "", Headers(), body.encode(), current * 1_000), id="msg_2")
    assert library.verify(body, dict(ours.headers.flat())) == {"type": "a"}
    with pytest.raises(WebhookVerificationError):
        library.verify(body + " ", dict(ours.headers.flat()))
