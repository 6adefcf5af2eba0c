"""Faults and warnings that need more than one key, each by name and place."""

import json

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from relay.config import WebhookSource, load
from relay.errors import Misconfigured
from relay.rules import compile_rules
from relay.schemes import build, example, names, vendor
from tests.config.telling import teller
from tests.services.authority import Authority

CHAT = "{agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a, trigger: {type: draft}}"
GOOD = {
    "cargo": "{token: t}",
    "sources": "{a: {type: webhook, scheme: github, secret: s3cret-of-16-chars}}",
    "rules": f"[{{name: one, source: a, chat: {CHAT}}}]",
}
PLAINLY = "unencrypted"
"""What is told of every connection without TLS."""


@pytest.fixture
def told(tmp_path):
    """What is told of a good configuration with some blocks replaced."""
    return teller(tmp_path / "relay.yaml", GOOD)


def test_a_good_configuration_has_nothing_to_tell(told):
    assert told() == []


@pytest.mark.parametrize(
    ("blocks", "line"),
    [
        ({"http": '{ops: "0.0.0.0:8081"}'}, "4:13: http.ops: 0.0.0.0:8081 can be reached from other machines"),
        ({"http": '{ops: "[::]:8081"}'}, "4:13: http.ops: [::]:8081 can be reached from other machines"),
        ({"http": '{ops: "relay.internal:8081"}'}, "http.ops: relay.internal:8081 can be reached from other machines"),
        ({"http": '{ops: ":8081"}'}, "4:13: http.ops: :8081 can be reached from other machines"),
        (
            {"http": '{ops: "[::ffff:10.0.0.1]:8081"}'},
            "4:13: http.ops: 10.0.0.1:8081 can be reached from other machines",
        ),
        ({"http": '{health: "127.0.0.1:8080"}'}, "http.health: listens at the same address as http.hooks"),
        ({"http": '{health: "[::1]:8080"}'}, "http.health: listens at the same address as http.hooks"),
        (
            {"http": '{hooks: "localhost:8080", health: "[::1]:8080"}'},
            "http.health: listens at the same address as http.hooks",
        ),
        ({"http": '{hooks: "127.1:8080"}'}, "http.hooks: '127.1' is not an IPv4 address: write its four numbers"),
        ({"http": '{hooks: "a..b:8080"}'}, "http.hooks: 'a..b' is not a host name"),
        ({"http": '{max_body: "1 MB"}'}, "http.max_body: '1 MB' is not a size"),
        ({"http": "{max_body: true}"}, "http.max_body: must be text, for example 1MiB"),
        ({"http": '{hooks: "8080"}'}, "http.hooks: '8080' is not an address: write host:port"),
        ({"http": '{hooks: "[1.2.3]:8080"}'}, "http.hooks: '1.2.3' is not an IPv6 address"),
        ({"http": "{token: 'a b'}"}, "http.token: contains a character that an HTTP header cannot carry"),
        ({"http": "{public_url: 'https://u:p@x/'}"}, "http.public_url: contains credentials"),
        ({"http": "[]"}, "4:1: http: must be a mapping of keys, not a list"),
        ({"ledger": "{remember: 1d}"}, "4:20: ledger.remember: is shorter than ledger.retain"),
        ({"ledger": "{retain: 100d}"}, "ledger.retain: is longer than ledger.remember is by default"),
        ({"ledger": "{timeout: 50ms}"}, "4:19: ledger.timeout: is shorter than 100ms"),
        ({"ledger": "{retain: 99999d}"}, "ledger.retain: is longer than ten years"),
        ({"ledger": "{url: 'sqlite://relay.db'}"}, "ledger.url: does not name a file: write sqlite:///relay.db"),
        ({"ledger": "{url: 'mysql://db/relay'}"}, "ledger.url: is not a URL with postgresql://"),
        ({"ledger": "{url: 'postgresql://db'}"}, "ledger.url: does not name a database"),
        ({"ledger": "{url: 'postgresql://db/x?password=y'}"}, "ledger.url: has a password in its query"),
        ({"ledger": "{url: 'postgresql://u:a/b@db/x'}"}, "ledger.url: has an invalid host or port"),
        ({"ledger": "{url: 5}"}, "ledger.url: must be text, not a number: put it in quotes"),
        ({"broker": "{url: 'http://x'}"}, "broker.url: is not a URL with amqp:// or amqps://"),
        ({"broker": "{url: 'amqp://u:p@x', password: q}"}, "4:15: broker.url: contains a password, and `password`"),
        ({"broker": "{}"}, "4:1: broker.url: is missing: add it (amqp://"),
        ({"http": "{max_in_flight: 512KiB}"}, "4:23: http.max_in_flight: is less than http.max_body"),
        ({"sources": "{a: {type: webhook, scheme: none, max_body: 65MiB}}"}, "a.max_body: is more than http.max_in_"),
        ({"sources": "{a: {type: webhook, scheme: none, max_in_flight: 1KiB}}"}, "a.max_in_flight: is less than the"),
        ({"sources": "{a: {type: webhook, scheme: none, retain: 91d}}"}, "sources.a.retain: is longer than ledger.re"),
        ({"sources": "{a: {type: webhook, scheme: none, allow: []}}"}, "sources.a.allow: is empty: name the networks"),
        ({"sources": "{a: {type: webhook, scheme: none, allow: [10.0.0.1/8]}}"}, "has bits set beyond its prefix"),
        (
            {"sources": "{a: {type: webhook, scheme: none, limit: {rate: 5}}}"},
            "sources.a.limit.rate: '5' is not a rate",
        ),
        (
            {"sources": "{a: {type: webhook, scheme: none, client_cert: {header: X, subject: CN=a}}}"},
            "sources.a.client_cert: comes from a proxy's header, and no proxy is trusted",
        ),
        ({"retry": "{first: 10m}"}, "retry.first: is longer than retry.cap is by default"),
        ({"cargo": "{token: t, timeout: }"}, "cargo.timeout: is empty"),
        ({"cargo": "{token: t, rate: 0/s}"}, "cargo.rate: '0/s' is not a rate"),
        ({"cargo": "{token: t, base_url: }"}, "cargo.base_url: is empty"),
        (
            {"cargo": "{token: t, proxy: 'socks5://x'}"},
            "cargo.proxy: is a socks5:// proxy, but Relay supports only HTTP",
        ),
        ({"cargo": "{token: 12}"}, "cargo.token: must be text: put it in quotes"),
        ({"cargo": "{}"}, "1:1: cargo.token: is missing"),
        ({"vars": "[a]"}, "4:1: vars: must be a mapping"),
        ({"sources": "{a: {type: amqp, queue: q}}"}, "2:11: sources.a: reads a queue, but no broker is configured"),
        ({"sources": "{a: x}"}, "2:14: sources.a: must be a mapping of keys: write at least {type: webhook"),
        ({"sources": "{a: {scheme: github, secret: x}}"}, "2:11: sources.a.type: is missing: write type: webhook"),
        ({"sources": "[]"}, "2:1: sources: must be a mapping"),
        ({"sources": "{a_b: {type: webhook, scheme: none}}"}, "2:11: sources.a_b: 'a_b' is not a name"),
        ({"sources": "{a: {type: webhook, scheme: github}}"}, "sources.a.secret: is missing"),
        ({"sources": "{a: {type: webhook, scheme: github, secret: ''}}"}, "sources.a.secret: is empty, and an empty"),
        ({"sources": "{a: {type: webhook, scheme: github, secrets: ['  ']}}"}, "sources.a.secrets[0]: is empty"),
        (
            {"sources": "{a: {type: webhook, scheme: github, secret: x, secrets: [y]}}"},
            "sources.a.secrets: is given together",
        ),
        (
            {"sources": "{a: {type: webhook, scheme: zendesc, secret: x}}"},
            "scheme: is not a scheme that Relay knows:",
        ),
        (
            {"sources": "{a: {type: webhook, scheme: github, secret: x, header: y}}"},
            "header: is not a key of scheme g",
        ),
        ({"sources": "{a: {type: webhook, scheme: hmac, secret: x}}"}, "sources.a.header: is missing"),
        ({"sources": "{a: {type: webhook, scheme: none, event: {id: '{{ x'}}}"}, "sources.a.event.id: "),
        ({"sources": "{a: {type: webhook, scheme: none, event: {id: '{{ nope.x }}'}}}"}, "sources.a.event.id: "),
        ({"rules": f"[{{name: one, source: b, chat: {CHAT}}}]"}, "3:29: rules[one].source: 'b' is not a source"),
        (
            {"rules": f"[{{name: one, source: [a, aa], chat: {CHAT}}}]"},
            "3:33: rules[one].source[1]: 'aa' is not a source",
        ),
        ({"rules": f"[{{name: one, name: two, chat: {CHAT}}}]"}, "3:21: rules[0].name: is given twice, first at"),
        ({"rules": f"[{{name: a, chat: {CHAT}}}, {{name: a, chat: {CHAT}}}]"}, "rules[a]: is given twice, first at"),
        ({"rules": "[{name: one}]"}, "3:9: rules[one].chat: is missing: add it (the body of `POST /ai/chats`"),
        ({"rules": "[{name: one, chat: {}}]"}, "rules[one].chat"),
        ({"rules": f"[{{name: one, when: true, chat: {CHAT}}}]"}, "rules[one].when: must be text, not true or false"),
        ({"rules": "{}"}, "3:1: rules: must be a list: begin each rule with a dash"),
    ],
)
def test_a_fault_is_told_at_its_place(told, blocks, line):
    lines = told(**blocks)
    assert any(line in found for found in lines), lines
    assert len(lines) <= 2, lines


@pytest.mark.parametrize(
    ("blocks", "line"),
    [
        ({"sources": "{a: {type: webhook, scheme: none}}"}, "2:11: sources.a: does not verify senders: anybody"),
        (
            {"sources": "{a: {type: webhook, scheme: chargebee, secret: 'u:s3cret', replay: allow}}"},
            "sources.a.replay: has no effect: scheme chargebee does not sign",
        ),
        ({"sources": "{a: {type: amqp, queue: q}}", "broker": "{url: 'amqp://x'}"}, "2:11: sources.a: has no event.id"),
        ({"rules": f"[{{name: one, source: 'b*', chat: {CHAT}}}]"}, "rules[one].source: 'b*' matches no source"),
        ({"rules": ""}, "3:1: rules: is empty, so that every event is kept as unmatched"),
        ({"sources": "{}", "rules": ""}, "2:1: sources: is empty, so that no event can arrive:"),
        ({"results": "{queue: null}"}, "4:1: results: has no effect without a broker"),
        ({"broker": "{url: 'amqp://x', ca_file: a.pem}"}, "4:36: broker.ca_file: has no effect with amqp://"),
        ({"ledger": "{url: 'sqlite:///x', ca_file: a.pem}"}, "4:39: ledger.ca_file: has no effect with sqlite://"),
    ],
)
def test_a_surprise_is_a_warning(told, blocks, line):
    assert any(line in found for found in told(**blocks))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("amqps://h?verify=verify_none", "broker.url: `verify`: Relay always verifies RabbitMQ's certificate"),
        ("amqps://h?verify=verify_peer&fail_if_no_peer_cert=true", None),
        ("amqps://h?fail_if_no_peer_cert=false", "`fail_if_no_peer_cert`: Relay always verifies"),
        ("amqps://h?no_verify_ssl=1", "`no_verify_ssl`: Relay always verifies"),
        ("amqps://h?ssl_options={}", "`ssl_options`: Relay always verifies"),
        ("amqps://h?cacertfile=/ca.pem", "`cacertfile`: write broker.ca_file instead"),
        ("amqps://h?cafile=/ca.pem", "`cafile`: write broker.ca_file instead"),
        ("amqps://h?certfile=/c.pem&keyfile=/k.pem", "`keyfile`: write broker.key_file instead"),
        ("amqps://h?password=hunter2", "`password`: a user's password goes into broker.password"),
        (
            "amqps://h?server_name_indication=x",
            "`server_name_indication`: Relay verifies the certificate against the host",
        ),
        ("amqp://h?ssl=1", "`ssl`: write amqps:// for TLS"),
        ("amqp://h?auth=external", "`auth`: write auth_mechanism=external or plain"),
        ("amqps://h?auth_mechanism=external", "`auth_mechanism=external` needs a client certificate"),
        ("amqp://u@h?auth_mechanism=plain", None),
        ("amqp://u@h?auth_mechanism=amqplain", "`auth_mechanism`: Relay supports plain and external"),
        ("amqp://h?heartbeat=30&connection_timeout=5000", None),
        ("amqp://h?heartbeat=0", "`heartbeat`: must be a number from 1 to 65534 (seconds)"),
        ("amqp://h?heartbeat=soon", "`heartbeat`: must be a number from 1 to 65534 (seconds)"),
        ("amqp://h?heartbeat=5&heartbeat=6", "`heartbeat` is given twice"),
        ("amqp://h?connection_timeout=1.5", "`connection_timeout`: must be a number from 1 to 3600000 (milliseconds)"),
        ("amqp://h?channel_max=5", "`channel_max`: has no effect: Relay accepts what RabbitMQ offers"),
        ("amqp://h?frame_max=5", "`frame_max`: has no effect"),
        ("amqp://h?name=me", "`name`: has no effect"),
        (
            "amqp://h?hartbeat=5",
            "`hartbeat`: is not a parameter that Relay knows, and has no effect (did you mean `heartbeat`?)",
        ),
        ("amqp://u:12?hunter2@h", "contains a ? that does not start a parameter: write %3F"),
        ("amqp://h/a#hunter2", "contains a #, which ends a URL: write %23"),
        ("amqp://h", None),
        ("amqp://h/%2F", None),
        ("amqp://h/crm%2Fnew", None),
        ("amqp://h/", "ends in a slash, which means"),
        ("amqp://h//", "has a / inside its virtual host, which is read as /"),
        ("amqp://h/crm/new", "has a / inside its virtual host, which is read as one name"),
    ],
)
def test_nothing_in_the_broker_s_url_is_dropped_in_silence(told, url, said):
    lines = [line for line in told(broker=json.dumps({"url": url})) if PLAINLY not in line]
    assert bool(lines) == bool(said), lines
    assert not said or any(said in line for line in lines), lines
    assert "hunter2" not in repr(lines)


@pytest.mark.parametrize(
    ("broker", "said"),
    [
        ({"urls": ["amqp://u:p@a/v", "amqp://b", "amqp://u:p@c:5673/v"]}, None),
        ({"url": "amqp://u:p@a", "urls": ["amqp://b"]}, None),
        ({"urls": []}, "broker.url: is missing"),
        ({"urls": ["amqp://u:p@a", "amqp://u:other@b"]}, "broker.urls: contains another password"),
        ({"urls": ["amqp://u@a", "amqp://w@b"]}, "broker.urls: b has another user than a"),
        ({"urls": ["amqp://a", "amqps://b"]}, "broker.urls: b has amqps:// and a amqp://"),
        ({"urls": ["amqp://a/v", "amqp://b/w"]}, "broker.urls: b has another virtual host than a"),
        ({"urls": ["amqp://a", "amqp://b?heartbeat=5"]}, "broker.urls: b has parameters"),
        ({"urls": ["amqp://a", "http://b"]}, "broker.urls[1]: is not a URL with amqp://"),
    ],
)
def test_several_nodes_are_one_broker(told, broker, said):
    lines = [line for line in told(broker=json.dumps(broker)) if PLAINLY not in line]
    assert bool(lines) == bool(said), lines
    assert not said or any(said in line for line in lines), lines
    assert "other@" not in repr(lines)


class TestCertificates:
    """The files of a client's certificate, for RabbitMQ and for Cargo."""

    @pytest.fixture
    def files(self, tmp_path):
        """A certificate, its key, and what is no use: paths by name."""
        authority = Authority("Ours")
        names = ("cert", "key", "other", "encrypted", "text", "missing", "folder")
        paths = {name: tmp_path / f"{name}.pem" for name in names}
        identity = authority.issue("relay")
        identity.write(paths["cert"], paths["key"])
        authority.issue("other").write(tmp_path / "unused.pem", paths["other"])
        key = load_pem_private_key(identity.key, None)
        form = (Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
        paths["encrypted"].write_bytes(key.private_bytes(*form))
        paths["text"].write_text("hello")
        paths["folder"].mkdir()
        return {name: str(path) for name, path in paths.items()}

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            ({"cert_file": "cert", "key_file": "key"}, None),
            ({"cert_file": "cert"}, "cert_file: needs {block}.key_file as well"),
            ({"key_file": "key"}, "key_file: needs {block}.cert_file as well"),
            (
                {"cert_file": "missing", "key_file": "key"},
                "cert_file: cannot be read ({missing}: no such file): mount it",
            ),
            (
                {"cert_file": "cert", "key_file": "missing"},
                "key_file: cannot be read ({missing}: no such file): mount it",
            ),
            ({"cert_file": "folder", "key_file": "key"}, "cert_file: cannot be read ({folder}: Is a directory)"),
            ({"cert_file": "text", "key_file": "key"}, "cert_file: contains no certificate in PEM ({text})"),
            ({"cert_file": "key", "key_file": "key"}, "cert_file: contains no certificate in PEM ({key})"),
            ({"cert_file": "cert", "key_file": "text"}, "key_file: contains no private key in PEM ({text})"),
            ({"cert_file": "cert", "key_file": "other"}, "key_file: is not the key of {cert} ({other})"),
            ({"cert_file": "cert", "key_file": "encrypted"}, "key_file: is encrypted ({encrypted})"),
            ({"ca_file": "cert"}, None),
            ({"ca_file": "text"}, "ca_file: contains no certificate in PEM ({text}"),
            ({"ca_file": "missing"}, "ca_file: cannot be read ({missing}: no such file)"),
        ],
    )
    @pytest.mark.parametrize("block", ["broker", "cargo"])
    def test_what_cannot_be_used_is_told(self, told, files, block, given, said):
        needed = {"broker": {"url": "amqps://h"}, "cargo": {"token": "t"}}[block]
        lines = told(**{block: json.dumps(needed | {key: files[name] for key, name in given.items()})})
        assert bool(lines) == bool(said), lines
        assert not said or any(said.format(block=block, **files) in line for line in lines), lines

    def test_a_missing_file_is_a_fault_to_run_and_a_warning_to_check(self, tmp_path, files):
        path = tmp_path / "relay.yaml"
        pair = f"cert_file: {files['cert']}, key_file: {files['missing']}"
        blocks = {**GOOD, "broker": f"{{url: 'amqps://h', {pair}}}"}
        path.write_text("".join(f"{key}: {value}\n" for key, value in blocks.items()))
        assert [line for line in load([path], {}, strict=False).warnings if "broker.key_file: cannot be read" in line]
        with pytest.raises(Misconfigured, match=r"broker\.key_file: cannot be read"):
            load([path], {})

    def test_a_file_whose_variable_is_not_set_is_not_looked_for(self, told):
        broker = "{url: 'amqps://h', cert_file: '${CERT}', key_file: '${KEY}'}"
        lines = told(broker=broker, strict=False)
        assert len(lines) == 2
        assert all("is not set" in line for line in lines)

    def test_without_tls_a_certificate_has_no_effect(self, told, files):
        pair = {"cert_file": files["cert"], "key_file": files["key"]}
        assert any(
            "broker.cert_file: has no effect with amqp://: write amqps://" in line
            for line in told(broker=json.dumps({"url": "amqp://h", **pair}))
        )

    def test_a_login_without_a_user_takes_one_of_the_two(self, told, files):
        pair = {"cert_file": files["cert"], "key_file": files["key"]}
        for url, said in (
            ("amqps://h?auth_mechanism=external", None),
            ("amqps://u@h", None),
            ("amqps://u@h?auth_mechanism=external", "uses the name in the certificate"),
            ("amqps://h?auth_mechanism=plain", "needs a user"),
        ):
            lines = told(broker=json.dumps({"url": url, **pair}))
            assert bool(lines) == bool(said), lines
            assert not said or said in lines[0]


BY_HAND = {
    "none": "",
    "bearer": "secret: s3cret-of-16-chars, ",
    "basic": "secret: 'u:s3cret-of-16-chars', ",
    "hmac": "secret: s3cret-of-16-chars, header: X-Signature, ",
}
ID = "event: {id: '{{ data.id }}'}"


@pytest.mark.parametrize(("scheme", "keys"), BY_HAND.items())
def test_a_webhook_whose_scheme_says_no_id_is_warned_of_unless_the_source_says_where_it_is(told, scheme, keys):
    only = "a request with the same bytes and signature" if scheme == "hmac" else "a CloudEvent"
    line = f"2:11: sources.a: has no event.id: with scheme {scheme} only {only} can be recognised when it is sent again"
    source = f"{{a: {{type: webhook, scheme: {scheme}, {keys}%s}}}}"
    assert any(found.startswith(line) for found in told(sources=source % "event: {type: x}"))
    assert not any("event.id" in found for found in told(sources=source % ID))


OWN_BODY = {name for name in names() if vendor(name).own_body}


@pytest.mark.parametrize("scheme", sorted(OWN_BODY))
def test_where_the_operator_writes_the_body_equal_bodies_are_warned_of(told, scheme):
    source = f"{{a: {{type: webhook, scheme: {scheme}, secret: s3cret-of-some-length%s}}}}"
    assert any("the second is dropped as a duplicate" in line for line in told(sources=source % ""))
    assert not any("event.id" in line for line in told(sources=source % ', event: {id: "{{ data.event_id }}"}'))


@pytest.mark.parametrize("scheme", sorted(names() - BY_HAND.keys() - OWN_BODY - {"dropbox", "gong"}))
def test_a_webhook_whose_scheme_says_the_id_is_not_warned_of(told, scheme):
    """Dropbox gives no id, and two of its notifications may be alike."""
    source = {"type": "webhook", "scheme": scheme, "secret": example(scheme).secret}
    source |= {key: "any" for key, option in vendor(scheme).options.items() if option.required}
    wanted = {key: value for key, value in source.items() if value is not None}
    assert not any("event.id" in line for line in told(sources=json.dumps({"a": wanted})))


def test_a_webhook_whose_scheme_gives_no_id_is_warned_of(told):
    assert any("has no event.id" in line for line in told(sources="{a: {type: webhook, scheme: dropbox, secret: s}}"))


def test_where_the_scheme_is_not_known_yet_nothing_is_said_of_ids(told):
    lines = told({}, strict=False, sources="{a: {type: webhook, scheme: '${SCHEME}', secret: s3cret-of-16-chars}}")
    assert not any("event.id" in line for line in lines)


@pytest.mark.parametrize(
    "http",
    [
        '{ops: "0.0.0.0:8081", token: t-of-16-characters}',
        '{ops: "localhost:8081"}',
        '{ops: "[::1]:8081"}',
        '{hooks: "127.0.0.1:0", health: "127.0.0.1:0", ops: "127.0.0.1:0"}',
        '{hooks: "127.0.0.1:80", health: "127.0.0.2:80"}',
    ],
)
def test_listeners_that_are_well(told, http):
    assert told(http=http) == []


def test_no_message_holds_what_was_filled_in(told):
    secret = "hunter2hunter2"
    places = {
        "cargo": "{token: t, timeout: '${S}', rate: '${S}', base_url: '${S}', concurrency: '${S}'}",
        "ledger": "{url: '${S}'}",
        "http": "{hooks: '${S}', token: '${S} x', trusted_proxies: ['${S}'], max_body: 'x${S}'}",
        "broker": "{url: '${S}'}",
        "sources": "{a: {type: webhook, scheme: '${S}', secret: '${S}'}, b: {type: '${S}'}}",
        "rules": f"[{{name: '${{S}}_', source: '${{S}}', when: '${{S}} ${{S}}', on_unknown: '${{S}}', chat: {CHAT}}}]",
    }
    lines = told({"S": secret}, **places)
    assert len(lines) >= 14
    assert not any(secret in line for line in lines), [line for line in lines if secret in line]


def test_a_secret_that_its_scheme_refuses_is_not_told(told):
    lines = told(sources="{a: {type: webhook, scheme: standard-webhooks, secret: whsec_not-base64!}}")
    assert "sources.a.secret: " in lines[0]
    assert "not-base64" not in lines[0]


def test_one_fault_hides_no_other(told):
    lines = told(
        cargo="{token: t, timeout: x, rate: y}",
        sources="{a: {type: webhook, scheme: github, secret: s, event: {id: '{{ nope }}', kind: x}}}",
        rules=f"[{{name: one, source: b, when: 'x ==', nope: 1, chat: {CHAT}}}]",
    )
    keys = [line.split(": ")[1] for line in lines]
    assert keys == [
        "cargo.timeout",
        "cargo.rate",
        "sources.a.event.id",
        "sources.a.event.kind",
        "rules[one].source",
        "rules[one].when",
        "rules[one].nope",
    ]


def test_without_its_variables_a_configuration_still_renders(tmp_path):
    path = tmp_path / "relay.yaml"
    path.write_text("""
cargo: {token: "${T}"}
vars: {agent: "${AGENT}", word: "${WORD}"}
sources:
  std: {type: webhook, scheme: standard-webhooks, secret: "${A}"}
  pair: {type: webhook, scheme: basic, secret: "${B}"}
  plain: {type: webhook, scheme: github, secrets: ["${C}", d]}
rules:
  - name: one
    when: ${WHEN}
    chat: {agentUuid: "{{ vars.agent }}", name: "{{ vars.word }} ${NAME}", trigger: {type: draft}}
""")
    found = load([path], {}, strict=False).settings
    assert found.vars == {"agent": "00000000-0000-0000-0000-000000000000", "word": "${WORD}"}
    for source in found.sources.values():
        assert isinstance(source, WebhookSource)
        build(source.spec())
    compile_rules([rule.spec for rule in found.rules], found.vars)


def test_a_template_of_an_event_may_use_constants_that_exist(told):
    source = "{a: {type: webhook, scheme: none, event: {id: x, type: '{{ vars.kind }}'}}}"
    assert len(told(sources=source, vars="{kind: x}")) == 1
    (line,) = told(sources=source, vars="{other: x}")
    assert "sources.a.event.type: " in line


PLAIN = [
    ({"cargo": "{token: t, base_url: 'http://cargo.example/v1'}"}, "cargo.base_url: sends the token", True),
    (
        {"cargo": "{token: t, base_url: 'http://cargo.example/v1', insecure: true}"},
        "which cargo.insecure allows",
        False,
    ),
    ({"broker": "{url: 'amqp://rabbit.example'}"}, "broker.url: sends events, results and the password", False),
    ({"broker": "{urls: ['amqp://localhost', 'amqp://rabbit.example']}"}, "broker.urls: sends events", False),
    ({"ledger": "{url: 'postgresql://db.example/relay'}"}, "ledger.url: does not enforce TLS", False),
    ({"ledger": "{url: 'postgres://db.example/relay?sslmode=prefer'}"}, "ledger.url: does not enforce TLS", False),
    (
        {"ledger": "{url: 'postgresql://localhost,db.example/relay?sslmode=disable'}"},
        "ledger.url: does not enforce",
        False,
    ),
    (
        {"ledger": "{url: 'postgresql:///relay?host=db.example&sslmode=allow'}"},
        "ledger.url: does not enforce TLS",
        False,
    ),
    ({"http": "{public_url: 'http://relay.example'}"}, "http.public_url: makes senders post", False),
]


@pytest.mark.parametrize(("blocks", "line", "refused"), PLAIN, ids=[str(block) for block, _, _ in PLAIN])
def test_a_plain_connection_beyond_this_machine_is_told_and_refused_for_cargo(told, blocks, line, refused, tmp_path):
    [only] = told(**blocks)
    assert line in only
    if refused:
        with pytest.raises(Misconfigured):
            load([tmp_path / "relay.yaml"], {})
    else:
        load([tmp_path / "relay.yaml"], {})


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "cargo.localhost"])
def test_a_plain_connection_on_this_machine_is_nobody_s_business(told, host):
    blocks = {
        "cargo": f"{{token: t, base_url: 'http://{host}:8090/v1'}}",
        "broker": f"{{urls: ['amqp://{host}', 'amqp://{host}:5673']}}",
        "ledger": f"{{url: 'postgresql://{host}/relay'}}",
        "http": f"{{public_url: 'http://{host}:8080'}}",
    }
    assert told(**blocks) == []
    assert told(ledger="{url: 'postgresql:///relay?host=/run/postgresql'}") == []


def test_what_is_not_known_yet_is_no_plain_connection(told):
    blocks = {
        "cargo": "{token: t, base_url: '${CARGO}'}",
        "broker": "{url: '${RABBIT}'}",
        "ledger": "{url: 'postgresql://db.example/relay', ca_file: '${CA}'}",
    }
    lines = told(**blocks, strict=False)
    assert lines
    assert all("is not set" in line for line in lines)


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_tls_for_postgresql_is_seen(told, mode, tmp_path):
    assert not any(
        "enforce TLS" in line for line in told(ledger=f"{{url: 'postgresql://db.example/r?sslmode={mode}'}}")
    )
    for keys in (
        "{url: 'postgresql://db.example/relay', ca_file: ca.pem}",
        "{url: 'postgresql://db.example/relay?sslrootcert=system'}",
        "{url: 'postgresql://db.example/relay', cert_file: c.pem, key_file: c.pem}",
    ):
        assert not any("enforce TLS" in line for line in told(ledger=keys)), keys


PLACEHOLDERS = ["replace-with-a-long-random-string", "Replace_With-yours", "change-me", "CHANGEME", "<your secret>"]


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_a_placeholder_guards_nothing_wherever_it_stands(told, text):
    source = f"{{type: webhook, scheme: github, secrets: [a-real-secret-of-mine, '{text}']}}"
    env = {"T": text}
    lines = told(env, cargo="{token: '${T}'}", sources=f"{{a: {source}}}", http="{token: 'ok-ok-ok-ok-ok-ok-ok'}")
    assert [line.split(": ")[1] for line in lines if "is still the placeholder" in line] == [
        *(["cargo.token"] if " " not in text else []),
        "sources.a.secrets[1]",
    ]
    assert text not in str(lines)


def test_a_placeholder_says_where_its_value_comes_from(told, tmp_path):
    (tmp_path / "token").write_text("replace-with-a-token\n")
    [variable, file] = told(
        {"T": "replace-with-a-token"}, cargo="{token: '${T}'}", http="{token: '${file:token}'}", strict=True
    )
    assert (
        "cargo.token: is still the placeholder from Relay's files, which anybody can read: put the real value into ${T}"
        in variable
    )
    assert variable.startswith("1:16: ")
    assert "http.token: is still the placeholder" in file
    assert "put the real value into ${file:token}" in file


def test_a_placeholder_is_no_value_of_any_other_key_either(told):
    lines = told(
        cargo="{token: t, workspace_uuid: replace-with-your-workspace}",
        broker="{url: 'amqp://relay:replace-with-a-password@localhost'}",
        vars="{agent: replace-with-your-agent}",
        rules=f"[{{name: one, source: a, chat: {CHAT}, message: replace with care}}]",
    )
    assert sorted(line.split(": ")[1] for line in lines) == ["broker.password", "cargo.workspace_uuid", "vars.agent"]
    assert all("is still the placeholder" in line for line in lines)


def test_a_short_secret_is_told_without_its_value(told):
    lines = told(sources="{a: {type: webhook, scheme: github, secret: shorty}}", http="{token: also-short}")
    assert [line.split(": ")[1] for line in lines] == ["sources.a.secret", "http.token"]
    assert all("can be guessed" in line for line in lines)
    assert "shorty" not in str(lines)


KEY = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


def test_a_key_for_encryption_is_one_or_told_how_to_make_one(told):
    assert told(encrypt=f"{{key: '{KEY}', old: ['{'00' * 32}']}}") == []
    assert told(encrypt=f"{{old: '{KEY}'}}") == []
    for key in ("short", KEY[:-8], "replace-with-a-key"):
        [line] = told(encrypt=f"{{key: '{key}'}}")
        assert "encrypt.key" in line
        assert "openssl rand -base64 32" in line
        assert key not in line
    [line] = told(encrypt=f"{{key: '{KEY}', old: ['{KEY}']}}")
    assert "encrypt.old: contains `key` itself" in line
    [line] = told(encrypt="{key: '${NOT_SET}'}", strict=False)
    assert "is not set" in line


@pytest.mark.parametrize(
    ("given", "kept"),
    [("true", True), ("false", False), ("answers", ("answers",)), ("[a, 'b.*']", ("a", "b.*")), ("'${R}'", True)],
)
def test_reply_is_a_flag_or_names_of_queues(given, kept, tmp_path):
    path = tmp_path / "relay.yaml"
    source = f"{{type: amqp, queue: q, reply: {given}}}"
    path.write_text(f"cargo: {{token: t}}\nbroker: {{url: amqp://localhost}}\nsources: {{a: {source}}}\n")
    assert load([path], {"R": "true"}).settings.sources["a"].reply == kept


def test_each_token_of_the_ops_listener_has_one_name_and_a_role(told):
    kim, lee = "{token: a-token-of-kim-1, role: read}", "{token: a-token-of-lee-1, role: admin}"
    assert told(http=f"{{ops: '0.0.0.0:8081', tokens: {{kim: {kim}, lee: {lee}}}}}") == []
    [line] = told(http=f"{{tokens: {{kim: {kim}, lee: {kim}}}}}")
    assert "http.tokens.lee.token: is the token of http.tokens.kim too" in line
    assert "a-token-of-kim" not in line
    [line] = told(http=f"{{token: a-token-of-kim-1, tokens: {{kim: {kim}}}}}")
    assert "is the token of http.token too" in line
    for name in ("token", "local", "unknown"):
        [line] = told(http=f"{{tokens: {{{name}: {kim}}}}}")
        assert "choose another name" in line
    [line] = told(http="{tokens: {kim: {token: a-token-of-kim-1, role: root}}}")
    assert "http.tokens.kim.role" in line


def test_alerts_are_urls_and_a_secret_of_standard_webhooks(told):
    secret = "whsec_" + KEY
    assert told(alerts=f"{{url: 'https://a.example.com/T0P', secret: {secret}, backlog: 1m}}") == []
    assert told(alerts="{url: ['https://a.example.com', 'http://b.example.com/x?y=z']}") == []
    for wrong in ("ftp://a.example.com", "a.example.com", "https://", "[]"):
        [line] = told(alerts=f"{{url: {wrong!r}}}" if wrong != "[]" else "{url: []}")
        assert "alerts.url" in line
    for wrong in ("hush", "whsec_!!!!", "whsec_aHVzaA=="):
        [line] = told(alerts=f"{{secret: '{wrong}'}}")
        assert "alerts.secret: is not a secret of Standard Webhooks" in line
        assert "openssl rand -base64 32" in line
        assert wrong not in line
    [line] = told(alerts="{url: '${NOT_SET}'}", strict=False)
    assert "NOT_SET is not set" in line


def test_what_is_hidden_is_named_by_paths_of_what_comes_in(told):
    source = "{type: webhook, scheme: github, secret: s3cret-of-16-chars, hide: [data.a.b, mail]}"
    [fault] = told(sources=f"{{a: {source}}}")
    assert fault.startswith("2:91: sources.a.hide[1]: is not a path of what comes in: write one, as data.")
