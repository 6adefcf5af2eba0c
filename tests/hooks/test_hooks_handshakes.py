"""Handshakes over HTTP: answered as each vendor expects, logged once, never an event; and of no use to a stranger."""

import asyncio
import json
from collections import Counter
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from relay.errors import Retryable, Unavailable
from relay.schemes import Headers, vendor
from tests.hooks.listener import NOW, listen
from tests.hooks.vendors import NAMES, hook, hooks, post, request, sign, spot
from tests.schemes.cases import sample
from tests.schemes.pairs import certificate

HANDSHAKES = [(name, told["name"]) for name in NAMES for told in sample(name).get("handshakes", ())]
SIGNED = [(name, one.name) for name in NAMES for one in vendor(name).handshakes if one.proof]
AGREED = [(name, one.name) for name in NAMES for one in vendor(name).handshakes if one.equal]
LEARNT = ["asana", "notion"]
JSON = "application/json"
PAGE = "<script>alert(1)</script>"


def told_of(name, handshake):
    """The sample of a handshake."""
    return next(told for told in sample(name)["handshakes"] if told["name"] == handshake)


def form_of(name, handshake):
    """The entry of a handshake; a bare name has those of the schemes that it chooses among."""
    entries = [vendor(name), *map(vendor, vendor(name).picks)]
    return next(one for entry in entries for one in entry.handshakes if one.name == handshake)


def greet(listener, name, handshake, **otherwise):
    """The sample of a handshake, signed where the vendor signs it."""
    made = request(listener, name, told_of(name, handshake) | otherwise)
    return sign(name, made) if form_of(name, handshake).proof else made


class Vendors:
    """Addresses of vendors': what is there, or the error of fetching it; `asked` are those that were fetched."""

    def __init__(self, found):
        self.found = found
        self.asked = []

    async def fetch(self, url):
        self.asked.append(url)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class Memory:
    """Keeps the first secret of each source, as the ledger does."""

    def __init__(self):
        self.known = {}

    async def learn(self, name, secret):
        return self.known.setdefault(name, secret) == secret


async def no_certificate(url):
    raise Retryable("away")


@pytest.mark.parametrize(("name", "handshake"), HANDSHAKES)
async def test_a_handshake_is_answered_as_the_vendor_expects_logged_once_and_no_event(name, handshake):
    promised, vendors = told_of(name, handshake)["answer"], Vendors(b"")
    async with listen(hooks=hooks(name), fetch=vendors.fetch, learn=Memory().learn) as listener:
        with capture_logs() as lines:
            status, headers, document = await post(listener, greet(listener, name, handshake))
        assert status == promised["status"]
        text = promised.get("text", "")
        assert document == (json.loads(text) if headers.get("Content-Type") == JSON else text.encode())
        assert headers.get("Content-Type", promised.get("type")) == promised.get("type", headers.get("Content-Type"))
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert [(line["event"], line["source"], line["handshake"]) for line in lines] == [
            ("handshake.answered", name, handshake)
        ]
        assert listener.intake.deliveries == listener.rejected == []


@pytest.mark.parametrize(("name", "handshake"), SIGNED)
async def test_one_that_must_be_signed_is_401_without_its_signature_and_with_a_wrong_one(name, handshake):
    place = spot(name) if (name, handshake) != ("twitter", "crc") else spot("twitter")
    async with listen(hooks=hooks(name)) as listener:
        made = greet(listener, name, handshake)
        with capture_logs() as lines:
            assert (await post(listener, place.write(made)))[0] == 401
            shown = place.read(made)
            assert (await post(listener, place.write(made, shown[:-2] + ("AA" if shown[-2:] != "AA" else "BB"))))[
                0
            ] == 401
        assert [line["event"] for line in lines] == ["request.rejected"] * 2
        assert listener.intake.deliveries == []


@pytest.mark.parametrize(("name", "handshake"), AGREED)
async def test_one_with_another_token_topic_or_origin_than_agreed_is_403_and_gets_nothing_back(name, handshake):
    told = told_of(name, handshake)
    wrong = {place: dict(told[place]) for place in ("query", "headers") if place in told}
    for one in form_of(name, handshake).equal:
        key = one.split('"')[1]
        for pairs in wrong.values():
            pairs.update({known: "other" for known in pairs if known.lower() == key.lower()})
    async with listen(hooks=hooks(name)) as listener:
        status, headers, document = await post(listener, greet(listener, name, handshake, **wrong))
        assert status == 403
        assert not any(header.lower().startswith("webhook-") for header in headers)
        if told.get("method") != "HEAD":
            assert document["type"] == "/problems/handshake_wrong"
        assert listener.counted(name, "handshake_wrong") == 1


@pytest.mark.parametrize("name", ["meta", "websub-sha256", "cloudevents"])
async def test_where_nothing_was_agreed_every_such_handshake_is_403(name):
    """Without `verify_token`, `topics` or `origins` nobody is let in."""
    [key] = {key for key in vendor(name).options if key in {"verify_token", "topics", "origins"}}
    handshake = next(one.name for one in vendor(name).handshakes if one.equal)
    async with listen(hooks={name: hook(name, **{key: None})}) as listener:
        assert (await post(listener, greet(listener, name, handshake)))[0] == 403


@pytest.mark.parametrize("name", LEARNT)
async def test_the_first_secret_is_learned_and_a_second_is_403(name):
    told, memory = sample(name)["handshakes"][0], Memory()
    known = sample(name)["secret"]
    other = known[:-3] + "abc"
    second = json.loads(json.dumps(told).replace(known, other))
    async with listen(hooks={name: hook(name, secrets=())}, learn=memory.learn) as listener:
        with capture_logs() as lines:
            status, headers, _ = await post(listener, greet(listener, name, told["name"]))
            assert (status, memory.known[name].reveal()) == (200, known)
            assert headers.get("X-Hook-Secret", known) == known
            assert (await post(listener, greet(listener, name, told["name"])))[0] == 200
            status, headers, document = await post(listener, request(listener, name, second))
        assert (status, document["type"]) == (403, "/problems/handshake_taken")
        assert "X-Hook-Secret" not in headers
        assert memory.known[name].reveal() == known
        [rejection] = listener.rejected
        assert f"relay forget {name}" in rejection.hint
        for word in (known, other):
            assert word not in f"{lines} {rejection!r} {document}"


@pytest.mark.parametrize("name", LEARNT)
async def test_before_the_handshake_nothing_is_believed(name):
    async with listen(hooks={name: hook(name, secrets=())}) as listener:
        status, _, document = await post(listener, sign(name, request(listener, name)))
        assert (status, document["type"]) == (401, "/problems/secret_unknown")
        assert listener.intake.deliveries == []


async def test_a_secret_that_cannot_be_kept_is_503_so_that_the_vendor_tries_again():
    async def learn(name, secret):
        raise Unavailable

    async with listen(hooks={"asana": hook("asana", secrets=())}, learn=learn) as listener:
        status, headers, _ = await post(listener, greet(listener, "asana", "hook_secret"))
        assert (status, headers["Retry-After"]) == (503, "5")
        assert "X-Hook-Secret" not in headers


CERTIFICATE = certificate(0).encode()
SUBSCRIBE = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37f"
PEM = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-000000000000000000000000005a3b1e.pem"


def sns(**changes):
    """A source of SNS whose certificate must be fetched."""
    return {"aws-sns": hook("aws-sns", cert_pem=None, **changes)}


def confirmation(listener, **changes):
    """A signed SubscriptionConfirmation with other fields."""
    body = json.loads(told_of("aws-sns", "subscription")["body"]) | changes
    return greet(listener, "aws-sns", "subscription", body=json.dumps(body))


async def test_a_subscription_is_confirmed_at_aws_once_its_signature_was_verified():
    vendors = Vendors(CERTIFICATE)
    async with listen(hooks=sns(), fetch=vendors.fetch) as listener:
        assert (await post(listener, confirmation(listener)))[0] == 200
        assert vendors.asked == [PEM, SUBSCRIBE]
        assert (await post(listener, confirmation(listener)))[0] == 200
        assert vendors.asked == [PEM, SUBSCRIBE, SUBSCRIBE], "a certificate is fetched once a day"


async def test_nothing_is_confirmed_of_a_subscription_that_is_not_amazons():
    vendors = Vendors(certificate(1).encode())
    async with listen(hooks=sns(), fetch=vendors.fetch) as listener:
        assert (await post(listener, confirmation(listener)))[0] == 401
        assert vendors.asked == [PEM]


async def test_nothing_is_confirmed_of_a_foreign_topic():
    vendors = Vendors(CERTIFICATE)
    async with listen(hooks=sns(topics=("arn:aws:sns:eu-central-1:1:Mine",)), fetch=vendors.fetch) as listener:
        status, _, document = await post(listener, confirmation(listener))
        assert (status, document["type"]) == (401, "/problems/sender_foreign")
        assert SUBSCRIBE not in vendors.asked


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription",
        "https://sns.eu-central-1.amazonaws.com.example.com/",
        "https://example.com/?https://sns.eu-central-1.amazonaws.com/",
        "https://sns.eu-central-1.amazonaws.com@example.com/",
        "https://example.com#sns.eu-central-1.amazonaws.com/",
        "https://sns.eu-central-1.amazonaws.com:8443/",
        "https://[sns.eu-central-1.amazonaws.com/",
        "https://127.0.0.1/",
        "file:///etc/passwd",
        "",
    ],
)
async def test_an_address_that_is_not_amazons_is_never_fetched(url):
    """Not one to confirm, though signed, and not one of a certificate."""
    vendors = Vendors(CERTIFICATE)
    async with listen(hooks=sns(), fetch=vendors.fetch) as listener:
        status, _, document = await post(listener, confirmation(listener, SubscribeURL=url))
        assert (status, document["type"]) == (403, "/problems/handshake_wrong")
        assert vendors.asked == [PEM]
        status, _, document = await post(listener, confirmation(listener, SigningCertURL=url))
        assert (status, document["type"]) == (401, "/problems/certificate_foreign")
        assert vendors.asked == [PEM]


@pytest.mark.parametrize("error", [Retryable("away"), Retryable("404", status=404)])
async def test_a_certificate_that_cannot_be_fetched_is_503_with_retry_after(error):
    vendors = Vendors(error)
    async with listen(hooks=sns(), fetch=vendors.fetch) as listener:
        with capture_logs() as lines:
            status, headers, document = await post(listener, sign("aws-sns", request(listener, "aws-sns")))
        assert (status, headers["Retry-After"], document["type"]) == (503, "5", "/problems/vendor")
        assert [line["event"] for line in lines] == ["vendor.unreachable"]
        assert listener.counted("aws-sns", "vendor") == 1
        vendors.found = CERTIFICATE
        assert (await post(listener, sign("aws-sns", request(listener, "aws-sns"))))[0] == 202


async def test_an_address_to_confirm_that_does_not_answer_is_503_so_that_sns_tries_again():
    async def fetch(url):
        if url == SUBSCRIBE:
            raise Retryable("away")
        return CERTIFICATE

    async with listen(hooks=sns(), fetch=fetch) as listener:
        status, headers, _ = await post(listener, confirmation(listener))
        assert (status, headers["Retry-After"]) == (503, "5")


@pytest.mark.parametrize("found", [b"", b"<html>", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
async def test_what_is_fetched_and_is_no_certificate_is_401_and_not_kept(found):
    vendors = Vendors(found)
    async with listen(hooks=sns(), fetch=vendors.fetch) as listener:
        status, _, document = await post(listener, sign("aws-sns", request(listener, "aws-sns")))
        assert (status, document["type"]) == (401, "/problems/certificate_wrong")
        vendors.found = CERTIFICATE
        assert (await post(listener, sign("aws-sns", request(listener, "aws-sns"))))[0] == 202


@pytest.mark.parametrize(("requests", "refused"), [(12, 0), (40, 8)])
async def test_at_most_four_addresses_are_fetched_at_once_and_few_wait(requests, refused):
    came, all_came, running, most = 0, asyncio.Event(), 0, 0

    def clock():
        """Told of each request as it begins to be judged."""
        nonlocal came
        came += 1
        if came == requests:
            all_came.set()
        return NOW

    async def fetch(url):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await all_came.wait()
        running -= 1
        return CERTIFICATE

    async with listen(hooks=sns(), fetch=fetch, clock=clock) as listener:
        urls = [PEM.replace("005a3b1e", f"{number:08x}") for number in range(requests)]
        answers = await asyncio.gather(*(post(listener, with_certificate(listener, url)) for url in urls))
    assert Counter(status for status, _, _ in answers)[503] == refused
    assert {status for status, _, _ in answers} <= {200, 202, 503}
    assert most == 4


def with_certificate(listener, url):
    """A notification that names its certificate at this address, which its signature does not cover."""
    signed = sign("aws-sns", request(listener, "aws-sns"))
    return replace(signed, body=signed.body.replace(PEM.encode(), url.encode()))


@pytest.mark.parametrize("name", ["trello", "mailchimp-transactional"])
async def test_head_is_answered_without_a_body_and_get_is_405_and_says_what_is_taken(name):
    async with listen(hooks=hooks(name)) as listener:
        async with listener.session.head(f"{listener.url}/hooks/{name}") as answer:
            assert (answer.status, await answer.read()) == (200, b"")
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        async with listener.session.get(f"{listener.url}/hooks/{name}") as answer:
            assert (answer.status, answer.headers["Allow"]) == (405, "HEAD, POST")


async def test_options_allow_one_origin_of_those_agreed_and_nothing_to_browsers():
    origin = {"WebHook-Request-Origin": "other.example.org"}
    async with listen(hooks=hooks("cloudevents")) as listener:
        async with listener.session.options(f"{listener.url}/hooks/cloudevents", headers=origin) as answer:
            assert answer.status == 200
            assert answer.headers["WebHook-Allowed-Origin"] == "other.example.org"
            assert answer.headers["WebHook-Allowed-Rate"] == "*"
            assert answer.headers["Allow"] == "POST"
            assert not any(name.lower().startswith("access-control-") for name in answer.headers)
        async with listener.session.options(f"{listener.url}/hooks/cloudevents") as answer:
            assert answer.status == 401
            assert "WebHook-Allowed-Origin" not in answer.headers


ECHOES = [
    ("dropbox", "challenge", {"query": {"challenge": PAGE}}),
    ("meta", "verification", {"query": sample("meta")["handshakes"][0]["query"] | {"hub.challenge": PAGE}}),
    ("ms-graph", "validationToken", {"query": {"validationToken": PAGE}}),
    ("slack", "url_verification", {"body": json.dumps({"type": "url_verification", "challenge": PAGE})}),
    ("front-app", "sync", {"headers": {"X-Front-Challenge": PAGE}}),
    (
        "websub-sha256",
        "subscribe",
        {"query": sample("websub-sha256")["handshakes"][0]["query"] | {"hub.challenge": PAGE}},
    ),
]


@pytest.mark.parametrize(("name", "handshake", "told"), ECHOES)
async def test_a_page_in_a_challenge_comes_back_as_plain_text(name, handshake, told):
    async with listen(hooks=hooks(name)) as listener:
        status, headers, body = await post(listener, greet(listener, name, handshake, **told))
        assert (status, body) == (200, PAGE.encode())
        assert headers["Content-Type"] == "text/plain"
        assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("name", "handshake", "told"),
    [
        ("monday", "challenge", {"body": json.dumps({"challenge": PAGE})}),
        ("okta", "verification", {"headers": {"X-Okta-Verification-Challenge": PAGE}}),
        ("github", "ping", {"body": json.dumps({"zen": PAGE})}),
    ],
)
async def test_a_page_in_a_challenge_that_is_answered_in_json_stays_in_json(name, handshake, told):
    async with listen(hooks=hooks(name)) as listener:
        told = {"headers": told_of(name, handshake).get("headers", {})} | told
        status, headers, document = await post(listener, greet(listener, name, handshake, **told))
        assert (status, headers["Content-Type"], headers["X-Content-Type-Options"]) == (200, JSON, "nosniff")
        assert PAGE in document.values()


@pytest.mark.parametrize("name", ["dropbox", "okta", "cloudevents"])
async def test_a_challenge_with_line_breaks_adds_no_header(name):
    """The header comes byte by byte; aiohttp's client would not send it, and its server does not take it."""
    async with listen(hooks=hooks(name)) as listener:
        made = request(listener, name, sample(name)["handshakes"][0])
        if name == "dropbox":
            made = replace(made, url=f"{made.url}%0d%0aX-Evil:%20yes")
        else:
            made = replace(made, headers=Headers([(key, f"{value}\tx") for key, value in made.headers.flat()]))
        status, headers, _ = await post(listener, made)
        assert status in {200, 403}
        assert "X-Evil" not in headers


async def test_a_challenge_is_cut_at_4_kib():
    async with listen(hooks=hooks("slack")) as listener:
        body = json.dumps({"type": "url_verification", "challenge": "x" * 100_000})
        _, _, answer = await post(listener, greet(listener, "slack", "url_verification", body=body))
        assert answer == b"x" * 4_096
