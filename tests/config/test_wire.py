"""What a protocol, a database or a sender cannot take is told at load, with its place and what to write."""

import pytest

from relay.config.wire import BODY, PREFETCH, SHORT
from tests.config.telling import teller

CHAT = "{agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a, trigger: {type: draft}}"
GOOD = {
    "cargo": "{token: t}",
    "broker": "{url: 'amqp://127.0.0.1'}",
    "sources": "{a: {type: webhook, scheme: github, secret: s3cret-of-16-chars}}",
    "rules": f"[{{name: one, source: a, chat: {CHAT}}}]",
}
LONG = "q" * (SHORT + 1)
WIDE = "é" * 128
"""More bytes than AMQP carries, in fewer characters."""


@pytest.fixture
def told(tmp_path):
    """What is told of a good configuration with some blocks replaced."""
    return teller(tmp_path / "relay.yaml", GOOD)


def queue(keys, name="q"):
    return {"sources": f"{{a: {{type: amqp, queue: {name}, event: {{id: '{{{{ data.id }}}}'}}, {keys}}}}}"}


def webhook(keys):
    return {"sources": f"{{a: {{type: webhook, scheme: github, secret: s3cret-of-16-chars, {keys}}}}}"}


def rule(keys):
    return {"rules": f"[{{name: one, source: a, chat: {CHAT}, {keys}}}]"}


SHORTER = f"has {SHORT + 1} bytes, and AMQP allows {SHORT}: write a shorter name"


@pytest.mark.parametrize(
    ("blocks", "line"),
    [
        (queue("prefetch: 100000"), "3:77: sources.a.prefetch: must be at most 65535: write such a number"),
        (queue("prefetch: 0"), "sources.a.prefetch: must be at least 1"),
        (queue("", LONG), f"3:34: sources.a.queue: {SHORTER}"),
        (queue("", WIDE), f"sources.a.queue: {SHORTER}"),
        (queue("", "amq.mine"), "sources.a.queue: begins with amq., which RabbitMQ reserves: choose another"),
        (
            queue("bind: {exchange: x, routing_keys: []}"),
            "sources.a.bind.routing_keys: is an empty list: write at least",
        ),
        (queue(f"bind: {{exchange: x, routing_keys: [a, {LONG}]}}"), f"sources.a.bind.routing_keys[1]: {SHORTER}"),
        (queue(f"bind: {{exchange: x, routing_keys: {LONG}}}"), f"sources.a.bind.routing_keys[0]: {SHORTER}"),
        (queue(f"bind: {{exchange: {LONG}}}"), f"sources.a.bind.exchange: {SHORTER}"),
        (queue("reply: []"), "sources.a.reply: is an empty list"),
        (queue("reply: [5]"), "sources.a.reply: must be true, false, or names and globs of queues"),
        (queue(f"reply: [{LONG}]"), f"sources.a.reply: {SHORTER}"),
        ({"results": f"{{exchange: {LONG}}}"}, f"5:21: results.exchange: {SHORTER}"),
        ({"results": f"{{queue: {LONG}}}"}, f"results.queue: {SHORTER}"),
        ({"results": "{queue: amq.mine}"}, "results.queue: begins with amq., which RabbitMQ reserves"),
        ({"results": "{exchange: amq.mine}"}, "results.exchange: begins with amq., which RabbitMQ reserves"),
        ({"broker": f"{{url: 'amqp://127.0.0.1/{LONG}'}}"}, f"broker.url: names a virtual host that {SHORTER}"),
        ({"broker": "{url: 'amqp://127.0.0.1:0'}"}, "broker.url: has port 0, which cannot be connected to"),
        ({"cargo": "{token: t, timeout: 0s}"}, "cargo.timeout: is zero: write a duration above zero"),
        ({"cargo": "{token: t, concurrency: 70000}"}, "cargo.concurrency: must be at most 65535"),
        ({"cargo": "{token: t, workspace_uuid: mine}"}, "cargo.workspace_uuid: is not a uuid: copy it from Cargo"),
        ({"retry": "{first: 0s}"}, "retry.first: is zero"),
        ({"ledger": "{remember: 0.1ms}"}, "ledger.remember: is zero"),
        ({"ledger": f"{{url: 'postgres://u@127.0.0.1/{LONG}'}}"}, "ledger.url: names a database that has 256 bytes"),
        ({"ledger": f"{{url: 'postgres://{LONG}@127.0.0.1/x'}}"}, "ledger.url: names a user that has 256 bytes"),
        (
            {"ledger": f"{{url: 'postgres://u@127.0.0.1/x', schema: {LONG}}}"},
            "ledger.schema: has 256 bytes, and PostgreSQL cuts names after 63",
        ),
        ({"http": "{max_body: 0}"}, "http.max_body: is zero: write a size above zero"),
        (
            {"http": "{max_body: 2GiB, max_in_flight: 3GiB}"},
            "http.max_body: is more than the database can store in one value",
        ),
        (
            webhook("max_body: 2GiB"),
            "sources.a.max_body: is more than the database can store in one value: write at most 900MiB",
        ),
        (webhook("keep_rejected: 0s"), "sources.a.keep_rejected: is zero"),
        (webhook("client_cert: {header: 'X Cert', subject: x}"), "client_cert.header: 'X Cert' is not a header name"),
        (webhook("client_cert: {header: X-Cert, subject: []}"), "sources.a.client_cert.subject: is an empty list"),
        (webhook("cut: []"), "sources.a.cut: is an empty list"),
        ({"sources": "{a: {type: webhook, scheme: github, secrets: []}}"}, "sources.a.secrets: is an empty list"),
        ({"rules": f"[{{name: one, source: [], chat: {CHAT}}}]"}, "rules[one].source: is an empty list"),
        ({"rules": f"[{{name: one, type: [], chat: {CHAT}}}]"}, "rules[one].type: is an empty list"),
    ],
)
def test_what_a_protocol_cannot_carry_is_a_fault(told, blocks, line):
    assert any(line in each for each in told(**blocks)), told(**blocks)


@pytest.mark.parametrize(
    "blocks",
    [
        queue(f"prefetch: {PREFETCH}"),
        queue("", "q" * SHORT),
        queue("declare: false", "amq.theirs"),
        queue(f"bind: {{exchange: amq.topic, routing_keys: ['#', {'k' * SHORT}]}}"),
        queue("reply: true"),
        queue("reply: 'crm.*'"),
        {"results": "{exchange: amq.topic, queue: null}"},
        {"http": f"{{max_body: {BODY}, max_in_flight: 1GiB}}"},
        {"cargo": "{token: t, workspace_uuid: 3C90C3CC-0d44-4b50-8888-8dd25736052a}"},
        {"ledger": "{url: 'postgres://u:p@127.0.0.1/x', schema: relay}"},
        {"ledger": "{url: 'postgresql://u:p@127.0.0.1/x'}"},
    ],
)
def test_what_it_can_carry_is_none(told, blocks):
    assert told(**blocks) == []


def test_a_name_that_is_not_known_here_is_judged_where_it_is(told):
    blocks = queue("prefetch: '${DEPTH}'", "'${QUEUE}'")
    assert not any("bytes" in line or "at most" in line for line in told(strict=False, **blocks))
    assert any(SHORTER in line for line in told({"DEPTH": "5", "QUEUE": LONG}, **blocks))
    assert any("must be at most 65535" in line for line in told({"DEPTH": "65536", "QUEUE": "q"}, **blocks))


SECRET = "s3cret-of-16-chars"


@pytest.mark.parametrize(
    ("around", "told_of"),
    [
        (f"{SECRET}\n", "ends with a line break"),
        (f"{SECRET}\r\n", "ends with a line break"),
        (f"{SECRET}\r", "ends with a line break of Windows"),
        (f"{SECRET} ", "ends with a blank"),
        (f" {SECRET}", "begins with a blank"),
        (f"{SECRET}\t", "ends with a tab"),
        (f"{SECRET}\u00a0", "ends with a blank"),
        (f"\ufeff{SECRET}", "begins with a byte order mark"),
        (f"{SECRET}\u200b", "ends with an invisible character"),
        (f'"{SECRET}"', "is in quotes"),
        (f"'{SECRET}'", "is in quotes"),
    ],
)
@pytest.mark.parametrize(
    ("blocks", "key"),
    [
        ({"sources": "{a: {type: webhook, scheme: zendesk, secret: '${S}'}}"}, "sources.a.secret"),
        ({"sources": "{a: {type: webhook, scheme: zendesk, secrets: [x-of-16-characters, '${S}']}}"}, "secrets[1]"),
        (
            {"sources": f"{{a: {{type: webhook, scheme: meta, secret: {SECRET}, verify_token: '${{S}}'}}}}"},
            "sources.a.verify_token",
        ),
        ({"broker": "{url: 'amqp://u@127.0.0.1', password: '${S}'}"}, "broker.password"),
        ({"ledger": "{url: 'postgresql://u@127.0.0.1/x', password: '${S}'}"}, "ledger.password"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_stands_around_a_secret_is_told(told, blocks, key, around, told_of):
    [line] = [line for line in told({"S": around}, **blocks) if key in line]
    assert told_of in line
    assert SECRET not in line


def test_a_password_in_a_url_is_judged_as_well(told):
    [line] = told(broker="{url: 'amqp://u:pass%0A@127.0.0.1'}")
    assert line.startswith("2:15: broker.url: ends with a line break")


def test_a_plain_secret_and_a_key_in_pem_are_well(told):
    assert told({"S": SECRET}, sources="{a: {type: webhook, scheme: zendesk, secret: '${S}'}}") == []


@pytest.mark.parametrize(
    ("url", "line"),
    [
        (
            "https://h/hooks",
            "contains /hooks, which Relay adds itself, so that it verifies https://h/hooks/hooks/<source>",
        ),
        ("https://h/hooks/", "write https://h, unless"),
        ("https://h/hooks/a", "write https://h, unless"),
        ("https://h/relay/hooks", "write https://h/relay, unless"),
        ("https://h:443", "contains the default port of https"),
        ("http://localhost:80/x", "contains the default port of http"),
        (
            "https://h?a=b",
            "contains a query or a fragment: end the URL after the path, for example https://hooks.example.com",
        ),
        ("https://h/?", "contains a query or a fragment"),
        ("https://h#a", "contains a query or a fragment"),
        (
            "h.example",
            "is not a URL with http:// or https:// and a host: write for example https://hooks.example.com",
        ),
        ("https://bücher.example", "contains non-ASCII characters"),
        ("https://h:0", "has port 0"),
    ],
)
def test_an_address_that_is_not_the_one_that_senders_call(told, url, line):
    lines = told(http=f"{{public_url: '{url}'}}")
    assert any(each.startswith("5:20: http.public_url: ") and line in each for each in lines), lines


@pytest.mark.parametrize("url", ["https://h", "https://h/", "https://h:8443/relay", "https://h/webhooks", "HTTPS://h"])
def test_an_address_that_may_be(told, url):
    assert told(http=f"{{public_url: '{url}'}}") == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('headers["X-Kind"] == "a"', 'headers["X-Kind"] never matches, as names of headers are in lower case'),
        ('headers["X-Kind"] == "a"', 'write headers["x-kind"]'),
        ('headers.Kind == "a"', 'write headers["kind"]'),
        ('"X-Kind" in headers', 'write headers["x-kind"]'),
        ('"Kind" not in headers', 'write headers["kind"]'),
        ('headers.x-kind == "a"', 'headers.x-kind is a subtraction: write headers["x-kind"]'),
        ('headers["authorization"] == "a"', 'headers["authorization"] never matches: it carries a credential'),
    ],
)
def test_a_header_that_no_event_has(told, text, line):
    assert any(line in each for each in told(**rule(f"when: '{text}'")))
    assert any(line in each for each in told(**rule(f"message: '{{{{ {text} }}}}'")))
    assert any(line in each for each in told(**webhook(f"event: {{id: '{{{{ {text} }}}}'}}")))


def test_a_header_in_lower_case_is_well(told):
    assert told(**rule("""when: 'headers["x-kind"] == "A" and "x-kind" in headers and data["X-Kind"] == "Y"'""")) == []
