"""Senders' own SDKs for Python: Relay takes what they sign, and they take what Relay signs."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import Adyen.util
import easypost.util
import gidgethub
import gidgethub.sansio
import gocardless_pro.webhooks
import modern_treasury
import pytest
import standardwebhooks.webhooks
import stripe
import svix.webhooks
import vonage_jwt
from cloudevents.core.bindings.http import to_binary, to_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from coinbase_commerce.error import SignatureVerificationError
from coinbase_commerce.webhook import Webhook as CoinbaseWebhook
from coinbase_commerce.webhook import WebhookSignature as CoinbaseSignature
from discord_interactions import verify_key
from hubspot.utils.signature import Signature as HubSpotSignature
from messagebird.error import ValidationError
from messagebird.request_validator import RequestValidator as MessageBirdValidator
from sendgrid.helpers.eventwebhook import EventWebhook
from slack_sdk.signature import SignatureVerifier
from square.utils.webhooks_helper import verify_signature as verify_square
from twilio.request_validator import RequestValidator as TwilioValidator

from relay.schemes import Headers
from tests.hooks.vendors import post
from tests.sdk.wire import changed, raw_key, receiving, sample, secret, send, with_headers


def seconds(made):
    return str(made.received_at // 1_000)


def text(made):
    return made.body.decode()


def sign_stripe(key, made):
    at = seconds(made)
    return {"Stripe-Signature": f"t={at},v1={stripe.WebhookSignature._compute_signature(f'{at}.{text(made)}', key)}"}


def sign_slack(key, made):
    at = seconds(made)
    signature = SignatureVerifier(key).generate_signature(timestamp=at, body=made.body)
    return {"X-Slack-Request-Timestamp": at, "X-Slack-Signature": signature}


def sign_twilio(key, made):
    signature = TwilioValidator(key).compute_signature(made.url, dict(parse_qsl(text(made), keep_blank_values=True)))
    return {"X-Twilio-Signature": signature}


def sign_svix(key, made):
    at = datetime.fromtimestamp(made.received_at // 1_000, UTC)
    signature = svix.webhooks.Webhook(key).sign("msg_1", at, text(made))
    return {"svix-id": "msg_1", "svix-timestamp": seconds(made), "svix-signature": signature}


def sign_standard(key, made):
    at = datetime.fromtimestamp(made.received_at // 1_000, UTC)
    signature = standardwebhooks.webhooks.Webhook(key).sign("msg_1", at, text(made))
    return {"webhook-id": "msg_1", "webhook-timestamp": seconds(made), "webhook-signature": signature}


def hubspot(version, key, made, **more):
    return HubSpotSignature.get_signature(key, text(made), version, made.url, made.method, **more)


def sign_hubspot_v3(key, made):
    at = str(made.received_at)
    return {"X-HubSpot-Request-Timestamp": at, "X-HubSpot-Signature-v3": hubspot("v3", key, made, timestamp=at)}


def sign_modern_treasury(key, made):
    client = modern_treasury.ModernTreasury(api_key="any", organization_id="any")
    return {"X-Signature": client.webhooks.get_signature(text(made), key=key)}


SIGN = {
    "adyen-platform": lambda key, made: {"HmacSignature": Adyen.util.generate_payload_sig(made.body, key).decode()},
    "coinbase-commerce": lambda key, made: {
        "X-CC-Webhook-Signature": CoinbaseSignature._compute_signature(text(made), key)
    },
    "hubspot-v1": lambda key, made: {"X-HubSpot-Signature": hubspot("v1", key, made)},
    "hubspot-v2": lambda key, made: {
        "X-HubSpot-Signature-Version": "v2",
        "X-HubSpot-Signature": hubspot("v2", key, made),
    },
    "hubspot-v3": sign_hubspot_v3,
    "modern-treasury": sign_modern_treasury,
    "slack": sign_slack,
    "standard-webhooks": sign_standard,
    "stripe": sign_stripe,
    "svix": sign_svix,
    "twilio": sign_twilio,
}


@pytest.mark.parametrize("name", SIGN)
async def test_what_the_sdk_signs_is_taken_and_with_one_byte_changed_it_is_401(name):
    async with receiving(name) as listener:
        made = sample(name, f"{listener.url}/hooks/{name}")
        signed = with_headers(made, SIGN[name](secret(name), made))
        assert (await post(listener, signed))[0] in {200, 202}
        assert (await post(listener, replace(signed, body=changed(signed.body))))[0] == 401
        assert len(listener.intake.deliveries) == 1


async def test_what_adyens_sdk_signs_in_each_item_is_taken_and_changed_it_is_401():
    name = "adyen-standard"
    async with receiving(name) as listener:
        made = sample(name, f"{listener.url}/hooks/{name}")
        data = json.loads(made.body)
        for item in data["notificationItems"]:
            told = item["NotificationRequestItem"]
            told["additionalData"]["hmacSignature"] = Adyen.util.generate_notification_sig(told, secret(name)).decode()
        signed = replace(made, body=json.dumps(data).encode())
        assert (await post(listener, signed))[0] == 200
        told["amount"]["value"] += 1
        assert (await post(listener, replace(signed, body=json.dumps(data).encode())))[0] == 401


def see_github(key, came):
    gidgethub.sansio.Event.from_http(came.headers, came.body, secret=key)
    return True


def see_standard(key, came):
    return bool(standardwebhooks.webhooks.Webhook(key).verify(came.body, came.headers))


def see_svix(key, came):
    svix.webhooks.Webhook(key).verify(came.body, came.headers)
    return True


def see_twilio(key, came):
    params = dict(parse_qsl(came.body.decode(), keep_blank_values=True))
    return TwilioValidator(key).validate(came.url, params, came.headers["x-twilio-signature"])


def see_hubspot(version):
    def see(key, came):
        header = "x-hubspot-signature-v3" if version == "v3" else "x-hubspot-signature"
        at = came.headers.get("x-hubspot-request-timestamp")
        told = {"http_uri": came.url, "http_method": came.method, "signature_version": version, "timestamp": at}
        return HubSpotSignature.is_valid(came.headers[header], key, came.body.decode(), **told)

    return see


def see_sendgrid(key, came):
    lead = "x-twilio-email-event-webhook-"
    pem = "".join(line for line in key.splitlines() if not line.startswith("-----"))
    return EventWebhook(pem).verify_signature(
        came.body.decode(), came.headers[f"{lead}signature"], came.headers[f"{lead}timestamp"]
    )


def see_square(key, came):
    return verify_square(
        request_body=came.body.decode(),
        signature_header=came.headers["x-square-hmacsha256-signature"],
        signature_key=key,
        notification_url=came.url,
    )


def see_discord(key, came):
    at = came.headers["x-signature-timestamp"]
    return verify_key(came.body, came.headers["x-signature-ed25519"], at, raw_key(key))


def see_easypost(key, came):
    headers = {"X-Hmac-Signature": came.headers["x-hmac-signature"]}
    return bool(easypost.util.validate_webhook(came.body, headers, key))


def see_messagebird(key, came):
    shown = came.headers["messagebird-signature-jwt"]
    return bool(MessageBirdValidator(key).validate_signature(shown, came.url, came.body))


def see_modern_treasury(key, came):
    client = modern_treasury.ModernTreasury(api_key="any", organization_id="any")
    return client.webhooks.validate_signature(came.body.decode(), came.headers, key=key)


VERIFY = {
    "adyen-platform": lambda key, came: Adyen.util.is_valid_hmac_payload(came.headers["hmacsignature"], key, came.body),
    "adyen-standard": lambda key, came: all(
        Adyen.util.is_valid_hmac_notification(item["NotificationRequestItem"], key)
        for item in json.loads(came.body)["notificationItems"]
    ),
    "coinbase-commerce": lambda key, came: bool(
        CoinbaseWebhook.construct_event(came.body.decode(), came.headers["x-cc-webhook-signature"], key)
    ),
    "discord": see_discord,
    "discord-interactions": see_discord,
    "easypost": see_easypost,
    "github": see_github,
    "github-sha1": see_github,
    "gitlab": see_standard,
    "gocardless": lambda key, came: bool(
        gocardless_pro.webhooks.parse(came.body, key, came.headers["webhook-signature"])
    ),
    "hubspot-v1": see_hubspot("v1"),
    "hubspot-v2": see_hubspot("v2"),
    "hubspot-v3": see_hubspot("v3"),
    "messagebird": see_messagebird,
    "modern-treasury": see_modern_treasury,
    "sendgrid": see_sendgrid,
    "slack": lambda key, came: SignatureVerifier(key).is_valid_request(came.body, came.headers),
    "square": see_square,
    "standard-webhooks": see_standard,
    "stripe": lambda key, came: bool(stripe.Webhook.construct_event(came.body, came.headers["stripe-signature"], key)),
    "svix": see_svix,
    "twilio": see_twilio,
}
REFUSED = (
    easypost.errors.SignatureVerificationError,
    gidgethub.ValidationFailure,
    gocardless_pro.errors.InvalidSignatureError,
    SignatureVerificationError,
    standardwebhooks.webhooks.WebhookVerificationError,
    stripe.SignatureVerificationError,
    ValidationError,
)


@pytest.mark.parametrize("name", VERIFY)
async def test_what_relay_signs_is_taken_by_the_sdk_and_with_one_byte_changed_it_is_not(name):
    came = await send(name)
    assert VERIFY[name](secret(name), came) is True
    assert not taken(name, came.changed())


def taken(name, came):
    """Some SDKs say False, others raise."""
    try:
        return VERIFY[name](secret(name), came)
    except REFUSED:
        return False


async def test_twilios_json_is_taken_with_the_hash_of_its_body_in_the_url():
    def change(made):
        body = b'{"EventType": "onMessageAdded", "n": 1}'
        url = f"{made.url}?bodySHA256={hashlib.sha256(body).hexdigest()}"
        return replace(made, url=url, body=body, headers=Headers([("content-type", "application/json")]))

    came = await send("twilio", change)
    validator, shown = TwilioValidator(secret("twilio")), came.headers["x-twilio-signature"]
    assert validator.validate(came.url, came.body.decode(), shown)
    assert not validator.validate(came.url, changed(came.body).decode(), shown)


async def test_vonages_token_is_taken_and_holds_the_hash_of_the_body():
    """The SDK judges the token alone; the body's hash in it is for its user to compare."""
    came, other = await send("vonage-jwt"), await send("vonage-jwt", lambda made: replace(made, body=b'{"n": 1}'))
    token = came.headers["authorization"].removeprefix("Bearer ")
    assert vonage_jwt.verify_signature(token, secret("vonage-jwt")) is True
    assert vonage_jwt.verify_signature(token, secret("vonage-jwt") + "x") is False
    assert other.headers["authorization"] != came.headers["authorization"]


@pytest.mark.parametrize("pack", [to_structured, to_binary])
async def test_what_the_cloudevents_sdk_sends_is_taken_with_the_right_token_alone(pack):
    told = {"id": "e-1", "source": "/crm", "type": "deal.won", "subject": "Köln", "datacontenttype": "application/json"}
    message = pack(CloudEvent(told, {"deal": 7}), JSONFormat())
    async with receiving("cloudevents") as listener:
        made = sample("cloudevents", f"{listener.url}/hooks/cloudevents")
        for token, status in ((secret("cloudevents"), 202), (f"{secret('cloudevents')[:-1]}x", 401)):
            headers = Headers([*message.headers.items(), ("authorization", f"Bearer {token}")])
            assert (await post(listener, replace(made, headers=headers, body=message.body)))[0] == status
        [event] = listener.intake.events
        assert (event.external_id, event.origin, event.type, event.subject) == ("e-1", "/crm", "deal.won", "Köln")
        assert event.data == {"deal": 7}
