"""Faults and warnings that need more than one key, each by name and place."""

import json

import pytest

from relay.config import WebhookSource, load
from relay.errors import Misconfigured
from relay.rules import compile_rules
from relay.schemes import build, example, names, vendor

CHAT = "{agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a, trigger: {type: draft}}"
GOOD = {
    "cargo": "{token: t}",
    "sources": "{a: {type: webhook, scheme: github, secret: s3cret-of-16-chars}}",
    "rules": f"[{{name: one, source: a, chat: {CHAT}}}]",
}


@pytest.fixture
def told(tmp_path):
    """What is told of a good configuration with some blocks replaced: faults, or else warnings."""

    def told(env=None, *, strict=True, **blocks):
        path = tmp_path / "relay.yaml"
        path.write_text("".join(f"{key}: {value}\n" for key, value in {**GOOD, **blocks}.items()))
        try:
            lines = load([path], env or {}, strict=strict).warnings
        except Misconfigured as error:
            lines = error.faults
        return [line.removeprefix(f"{path}:") for line in lines]

    return told


def test_a_good_configuration_has_nothing_to_tell(told):
    assert told() == []


@pytest.mark.parametrize(
    ("blocks", "line"),
    [
        ({"http": '{ops: "0.0.0.0:8081"}'}, "4:13: http.ops: 0.0.0.0:8081 can be reached from elsewhere"),
        ({"http": '{ops: "[::]:8081"}'}, "4:13: http.ops: [::]:8081 can be reached from elsewhere"),
        ({"http": '{ops: "relay.internal:8081"}'}, "http.ops: relay.internal:8081 can be reached from elsewhere"),
        ({"http": '{health: "127.0.0.1:8080"}'}, "http.health: listens where http.hooks does"),
        ({"http": '{max_body: "1 MB"}'}, "http.max_body: '1 MB' is not a size"),
        ({"http": "{max_body: true}"}, "http.max_body: must be text such as 1MiB"),
        ({"http": '{hooks: ":8080"}'}, "http.hooks: ':8080' is no address to listen on"),
        ({"http": '{hooks: "[1.2.3]:8080"}'}, "http.hooks: '1.2.3' is no IPv6 address"),
        ({"http": "{token: 'a b'}"}, "http.token: holds a character that an HTTP header cannot carry"),
        ({"http": "{public_url: 'https://u:p@x/'}"}, "http.public_url: holds credentials"),
        ({"http": "[]"}, "4:1: http: must be a mapping of keys, not a list"),
        ({"ledger": "{remember: 1d}"}, "4:20: ledger.remember: is shorter than ledger.retain"),
        ({"ledger": "{retain: 100d}"}, "ledger.retain: is longer than ledger.remember is by default"),
        ({"ledger": "{retain: 99999d}"}, "ledger.retain: is longer than ten years"),
        ({"ledger": "{url: 'sqlite://relay.db'}"}, "ledger.url: names no file: write sqlite:///relay.db"),
        ({"ledger": "{url: 'postgres://db/relay'}"}, "ledger.url: is no URL that begins with postgresql://"),
        ({"ledger": "{url: 'postgresql://db'}"}, "ledger.url: names no database"),
        ({"ledger": "{url: 'postgresql://db/x?password=y'}"}, "ledger.url: has a password in its query"),
        ({"ledger": "{url: 'postgresql://u:a/b@db/x'}"}, "ledger.url: has a host or a port that cannot be read"),
        ({"ledger": "{url: 5}"}, "ledger.url: must be text, not a number: put it in quotes"),
        ({"broker": "{url: 'http://x'}"}, "broker.url: is no URL that begins with amqp:// or amqps://"),
        ({"broker": "{url: 'amqp://u:p@x', password: q}"}, "4:15: broker.url: holds a password, and `password`"),
        ({"broker": "{}"}, "4:1: broker.url: is missing: add it (amqp://"),
        ({"retry": "{first: 10m}"}, "retry.first: is longer than retry.cap is by default"),
        ({"cargo": "{token: t, timeout: }"}, "cargo.timeout: is empty"),
        ({"cargo": "{token: t, rate: 0/s}"}, "cargo.rate: '0/s' is not a rate"),
        ({"cargo": "{token: t, base_url: }"}, "cargo.base_url: is empty"),
        ({"cargo": "{token: t, proxy: 'socks5://x'}"}, "cargo.proxy: is no URL that begins with http://"),
        ({"cargo": "{token: 12}"}, "cargo.token: must be text: put it in quotes"),
        ({"cargo": "{}"}, "1:1: cargo.token: is missing"),
        ({"vars": "[a]"}, "4:1: vars: must be a mapping"),
        ({"sources": "{a: {type: amqp, queue: q}}"}, "2:11: sources.a: reads a queue, but there is no broker"),
        ({"sources": "{a: x}"}, "2:14: sources.a: must be a mapping of keys: write at least {type: webhook"),
        ({"sources": "{a: {scheme: github, secret: x}}"}, "2:11: sources.a.type: is missing: write type: webhook"),
        ({"sources": "[]"}, "2:1: sources: must be a mapping"),
        ({"sources": "{a_b: {type: webhook, scheme: none}}"}, "2:11: sources.a_b: 'a_b' is no name"),
        ({"sources": "{a: {type: webhook, scheme: github}}"}, "sources.a.secret: is missing"),
        ({"sources": "{a: {type: webhook, scheme: github, secret: ''}}"}, "sources.a.secret: is empty: an empty"),
        ({"sources": "{a: {type: webhook, scheme: github, secrets: ['  ']}}"}, "sources.a.secrets[0]: is empty"),
        ({"sources": "{a: {type: webhook, scheme: github, secret: x, secrets: [y]}}"}, "sources.a.secrets: stands be"),
        ({"sources": "{a: {type: webhook, scheme: zendesc, secret: x}}"}, "scheme: is no scheme that Relay knows: did"),
        ({"sources": "{a: {type: webhook, scheme: github, secret: x, header: y}}"}, "a.header: is no key of scheme g"),
        ({"sources": "{a: {type: webhook, scheme: hmac, secret: x}}"}, "sources.a.header: is missing"),
        ({"sources": "{a: {type: webhook, scheme: none, event: {id: '{{ x'}}}"}, "sources.a.event.id: "),
        ({"sources": "{a: {type: webhook, scheme: none, event: {id: '{{ nope.x }}'}}}"}, "sources.a.event.id: "),
        ({"rules": f"[{{name: one, source: b, chat: {CHAT}}}]"}, "3:29: rules[one].source: 'b' names no source"),
        ({"rules": f"[{{name: one, source: [a, aa], chat: {CHAT}}}]"}, "3:33: rules[one].source[1]: 'aa' names no"),
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
        ({"sources": "{a: {type: webhook, scheme: none}}"}, "2:11: sources.a: proves nothing: anybody"),
        ({"sources": "{a: {type: amqp, queue: q}}", "broker": "{url: 'amqp://x'}"}, "2:11: sources.a: has no event.id"),
        ({"rules": f"[{{name: one, source: 'b*', chat: {CHAT}}}]"}, "rules[one].source: 'b*' fits no source"),
        ({"rules": ""}, "3:1: rules: there are none: every event is kept as unmatched"),
        ({"sources": "{}", "rules": ""}, "2:1: sources: there are none: nothing can come in"),
        ({"results": "{queue: null}"}, "4:1: results: has no effect without a broker"),
        ({"broker": "{url: 'amqp://x', ca_file: a.pem}"}, "4:36: broker.ca_file: has no effect with amqp://"),
        ({"ledger": "{url: 'sqlite:///x', ca_file: a.pem}"}, "4:39: ledger.ca_file: has no effect with sqlite://"),
    ],
)
def test_a_surprise_is_a_warning(told, blocks, line):
    assert any(line in found for found in told(**blocks))


BY_HAND = {
    "none": "",
    "bearer": "secret: s3cret-of-16-chars, ",
    "basic": "secret: 'u:s3cret-of-16-chars', ",
    "hmac": "secret: s3cret-of-16-chars, header: X-Signature, ",
}
ID = "event: {id: '{{ data.id }}'}"


@pytest.mark.parametrize(("scheme", "keys"), BY_HAND.items())
def test_a_webhook_whose_scheme_says_no_id_is_warned_of_unless_the_source_says_where_it_is(told, scheme, keys):
    line = f"2:11: sources.a: has no event.id: with scheme {scheme} only a CloudEvent can be told from its repeat"
    source = f"{{a: {{type: webhook, scheme: {scheme}, {keys}%s}}}}"
    assert any(found.startswith(line) for found in told(sources=source % "event: {type: x}"))
    assert not any("event.id" in found for found in told(sources=source % ID))


@pytest.mark.parametrize("scheme", sorted(names() - BY_HAND.keys() - {"dropbox"}))
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
    compile_rules([rule.spec() for rule in found.rules], found.vars)


def test_a_template_of_an_event_may_use_constants_that_exist(told):
    source = "{a: {type: webhook, scheme: none, event: {id: x, type: '{{ vars.kind }}'}}}"
    assert len(told(sources=source, vars="{kind: x}")) == 1
    (line,) = told(sources=source, vars="{other: x}")
    assert "sources.a.event.type: " in line


PLAIN = [
    ({"cargo": "{token: t, base_url: 'http://cargo.example/v1'}"}, "cargo.base_url: carries the token", True),
    (
        {"cargo": "{token: t, base_url: 'http://cargo.example/v1', insecure: true}"},
        "which cargo.insecure allows",
        False,
    ),
    ({"broker": "{url: 'amqp://rabbit.example'}"}, "broker.url: carries events, results and the password", False),
    ({"ledger": "{url: 'postgresql://db.example/relay'}"}, "ledger.url: asks for no TLS", False),
    ({"ledger": "{url: 'postgresql://db.example/relay?sslmode=prefer'}"}, "ledger.url: asks for no TLS", False),
    ({"http": "{public_url: 'http://relay.example'}"}, "http.public_url: has senders post", False),
]


@pytest.mark.parametrize(("blocks", "line", "refused"), PLAIN, ids=[line for _, line, _ in PLAIN])
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
        "broker": f"{{url: 'amqp://{host}'}}",
        "ledger": f"{{url: 'postgresql://{host}/relay'}}",
    }
    assert told(**blocks) == []


@pytest.mark.parametrize("mode", ["require", "verify-ca", "verify-full"])
def test_tls_for_postgresql_is_seen(told, mode):
    assert told(ledger=f"{{url: 'postgresql://db.example/relay?sslmode={mode}'}}") == []
    assert told(ledger="{url: 'postgresql://db.example/relay', ca_file: ca.pem}") == []


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
    assert "encrypt.old: holds the key itself" in line
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
