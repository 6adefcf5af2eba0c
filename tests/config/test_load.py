"""Files, folders and layers; what comes out; all faults at once."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relay.config import (
    AmqpSource,
    BrokerBlock,
    CargoBlock,
    HttpBlock,
    LedgerBlock,
    Listener,
    RetryBlock,
    Rule,
    Settings,
    WebhookSource,
    load,
)
from relay.errors import Misconfigured
from relay.secret import Secret
from relay.units import Rate

GOLDEN = Path(__file__).parent / "golden"
SMALL = """
cargo: {token: t0ken}
sources: {helpdesk: {type: webhook, scheme: github, secret: s3cret-of-16-chars}}
rules:
  - name: one
    source: helpdesk
    chat: {agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a, trigger: {type: draft}}
"""
CHAT = "chat: {agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a, trigger: {type: draft}}"


@pytest.fixture
def write(tmp_path):
    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


def faults_of(*paths, env=None, strict=True):
    with pytest.raises(Misconfigured) as caught:
        load(paths, env or {}, strict=strict)
    return list(caught.value.faults)


def attempt(path, env, *, strict):
    try:
        load([path], env, strict=strict)
    except Misconfigured as error:
        return error.faults
    return None


def test_a_small_configuration_has_all_defaults(write):
    loaded = load([write("relay.yaml", SMALL)], {})
    found = loaded.settings
    assert found.cargo.base_url == "https://api.getcargo.io/v1"
    assert found.cargo.token.reveal() == "t0ken"
    assert (found.cargo.timeout, found.cargo.settle, found.cargo.concurrency) == (30_000, 60_000, 32)
    assert found.cargo.rate is None
    assert found.ledger.url == "sqlite:///relay.db"
    assert found.ledger.remember == 90 * 86_400_000
    assert found.broker is None
    assert found.results.queue == "relay.results"
    assert found.http.hooks == Listener("", 8080)
    assert found.http.max_body == 1 << 20
    assert (found.retry.first, found.retry.cap, found.retry.give_up_after) == (1_000, 300_000, 86_400_000)
    assert found.sources["helpdesk"].live == (Secret("s3cret-of-16-chars"),)
    assert found.rules[0].spec.sources == ("helpdesk",)
    assert loaded.warnings == ()


def test_every_value_is_read_as_its_kind(write):
    text = """
cargo: {token: "${T}", rate: 600/m, concurrency: "${C}", timeout: 1.5s, proxy: "http://u:pr0xy@proxy:3128"}
ledger: {url: "postgresql://relay:p%40ss@db:5432/relay?application_name=x"}
broker: {url: amqps://guest@rabbit:5671/%2Fv, password: gu3st}
results: {queue: null}
http:
  hooks: "[::]:8080"
  ops: 0.0.0.0:${PORT}
  token: ${T}
  trusted_proxies: [10.0.0.0/8, fd00::1, "::ffff:192.168.0.0/112"]
  public_url: https://relay.example/in/
vars: {port: "${PORT}", typed: 1}
sources:
  hook: {type: webhook, scheme: standard-webhooks, secrets: [whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=]}
  bus: {type: amqp, queue: q, bind: {exchange: x, routing_keys: "deal.#"}, reply: true, event: {id: "{{ data.id }}"}}
rules: []
"""
    found = load([write("relay.yaml", text)], {"T": "0123", "C": "7", "PORT": "9000"}).settings
    assert found.cargo.token == Secret("0123")
    assert found.cargo.rate == Rate(600, 60_000)
    assert (found.cargo.concurrency, found.cargo.timeout) == (7, 1_500)
    assert found.ledger.url == "postgresql://relay@db:5432/relay?application_name=x"
    assert found.ledger.password == Secret("p@ss")
    assert found.broker is not None
    assert found.broker.url == "amqps://guest@rabbit:5671/%2Fv"
    assert found.results.queue is None
    assert found.http.hooks == Listener("::", 8080)
    assert found.http.ops == Listener("0.0.0.0", 9000)
    assert [str(network) for network in found.http.trusted_proxies] == ["10.0.0.0/8", "fd00::1/128", "192.168.0.0/16"]
    assert found.http.public_url == "https://relay.example/in"
    assert found.vars == {"port": "9000", "typed": 1}
    assert isinstance(found.sources["hook"], WebhookSource)
    bus = found.sources["bus"]
    assert isinstance(bus, AmqpSource)
    assert bus.bind is not None
    assert bus.bind.routing_keys == ("deal.#",)
    assert bus.event.texts() == {"id": "{{ data.id }}"}


def test_nothing_prints_a_secret(write):
    text = """
cargo: {token: t0ken-a, proxy: "http://u:t0ken-b@proxy:3128"}
ledger: {url: "postgresql://relay:t0ken-c@db/relay"}
broker: {url: "amqp://relay:t0ken-d@rabbit/"}
http: {token: t0ken-e}
sources:
  a: {type: webhook, scheme: github, secret: t0ken-f}
  b: {type: webhook, scheme: github, secrets: [t0ken-g, t0ken-h]}
"""
    loaded = load([write("relay.yaml", text)], {})
    printed = f"{loaded} {loaded!r} {loaded.settings.redacted()} {loaded.settings.model_dump_json()}"
    assert "t0ken" not in printed
    assert loaded.settings.redacted()["cargo"]["timeout"] == "30s"
    assert loaded.settings.redacted()["cargo"]["token"] == "********"


def test_twenty_faults_are_told_at_once_each_at_its_place(monkeypatch):
    monkeypatch.chdir(GOLDEN)
    told = faults_of(Path("faults.yaml"))
    assert told == (GOLDEN / "faults.txt").read_text().splitlines()
    assert len(told) > 20
    assert not any("hunter2" in line for line in told)


def test_templates_are_checked_with_the_line_in_the_file(write):
    text = SMALL + "    message: |\n      fine\n      {{ data.x | nope }}\n    when: |\n      data.a ==\n      ) 3\n"
    told = faults_of(write("relay.yaml", text))
    assert [line.partition("relay.yaml:")[2].partition(": ")[0] for line in told] == ["10:1", "13:1"]
    assert "rules[one].message" in told[0]


def test_the_files_of_a_folder_add_up(write, tmp_path):
    write(
        "conf/b.yaml",
        f"rules:\n  - name: two\n    {CHAT}\nsources: {{b: {{type: webhook, scheme: github, secret: b}}}}",
    )
    write("conf/a.yaml", SMALL)
    write("conf/c.yaml", "# nothing\n")
    write("conf/cargo.yaml", "cargo: {timeout: 5s}\nvars:\n")
    write("conf/.hidden.yaml", "nonsense")
    write("conf/notes.txt", "nonsense")
    loaded = load([tmp_path / "conf"], {})
    assert [rule.name for rule in loaded.settings.rules] == ["one", "two"]
    assert set(loaded.settings.sources) == {"helpdesk", "b"}
    assert loaded.settings.cargo.timeout == 5_000
    assert [file.name for file in loaded.files] == ["a.yaml", "b.yaml", "c.yaml", "cargo.yaml"]


def test_a_config_map_is_read_once(write, tmp_path):
    write("conf/..2026/relay.yaml", SMALL)
    (tmp_path / "conf/..data").symlink_to("..2026")
    (tmp_path / "conf/relay.yaml").symlink_to("..data/relay.yaml")
    assert len(load([tmp_path / "conf"], {}).settings.rules) == 1


def test_what_two_files_of_a_folder_both_give_names_both_places(write, tmp_path):
    write("conf/a.yaml", SMALL)
    write("conf/b.yaml", SMALL)
    a, b = tmp_path / "conf/a.yaml", tmp_path / "conf/b.yaml"
    assert faults_of(tmp_path / "conf") == [
        f"{b}:2:9: cargo.token: is given twice, first at {a}:2:9: keep one",
        f"{b}:3:11: sources.helpdesk: is given twice, first at {a}:3:11: keep one",
        f"{b}:5:5: rules[one]: is given twice, first at {a}:5:5: keep one",
    ]


def test_later_paths_override_by_key_and_rules_by_name(write):
    above = """
cargo: {timeout: 5s}
sources: {helpdesk: {secret: other}, more: {type: webhook, scheme: github, secret: m}}
rules:
  - {name: two, source: more, CHAT}
  - {name: one, source: more, stop: true, CHAT}
"""
    found = load([write("a.yaml", SMALL), write("b.yaml", above.replace("CHAT", CHAT))], {}).settings
    assert found.cargo.token == Secret("t0ken")
    assert found.cargo.timeout == 5_000
    helpdesk = found.sources["helpdesk"]
    assert isinstance(helpdesk, WebhookSource)
    assert (helpdesk.scheme, helpdesk.live) == ("github", (Secret("other"),))
    assert [(rule.name, rule.stop, rule.source) for rule in found.rules] == [
        ("one", True, ("more",)),
        ("two", False, ("more",)),
    ]


def test_what_is_overridden_need_not_be_set(write):
    below = write("a.yaml", SMALL.replace("t0ken", '"${GONE}"'))
    assert load([below, write("b.yaml", "cargo: {token: x}")], {}).settings.cargo.token == Secret("x")


def test_a_block_can_be_overridden_away(write):
    below = write("a.yaml", SMALL + "broker: {url: amqp://x}\n")
    assert load([below], {}).settings.broker is not None
    assert load([below, write("b.yaml", "broker: null")], {}).settings.broker is None


def test_faults_of_several_files_come_in_their_order(write):
    told = faults_of(write("z.yaml", "nope: 1\n" + SMALL), write("a.yaml", "neither: 1"))
    assert [line.split(": ")[1] for line in told] == ["nope", "neither"]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: None, "file: the file cannot be read (No such file or directory)"),
        (lambda path: path.mkdir(), "file: the folder contains no *.yaml"),
        (lambda path: path.write_bytes(b"a: 1\nb: \xff\n"), ":2:4: file: this is not UTF-8"),
        (lambda path: path.write_text("- a"), ":1:1: file: this is not a mapping"),
        (lambda path: path.write_text("hello"), ":1:1: file: this is not a mapping"),
        (lambda path: path.write_text(""), ":1:1: cargo.token: is missing"),
        (lambda path: path.write_bytes(b"\x00\x01"), "the character U+0000 is not allowed"),
    ],
)
def test_what_is_no_configuration_says_so(tmp_path, make, told):
    path = tmp_path / "relay.yaml"
    make(path)
    assert any(told in line for line in faults_of(path))


def test_an_unreadable_file_says_so(write):
    path = write("relay.yaml", SMALL)
    path.chmod(0)
    if os.geteuid() == 0:
        assert load([path], {}).settings
    else:
        assert "Permission denied" in faults_of(path)[0]


def test_no_path_at_all_says_what_is_missing():
    assert "cargo.token: is missing" in faults_of()[0]


def test_a_byte_order_mark_is_accepted(tmp_path):
    path = tmp_path / "relay.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + SMALL.encode())
    assert load([path], {}).settings


def test_check_goes_on_without_the_environment(write):
    path = write("relay.yaml", SMALL.replace("t0ken", '"${TOKEN}"').replace("s3cret-of-16-chars", '"${SECRET}"'))
    assert len(faults_of(path)) == 2
    loaded = load([path], {}, strict=False)
    assert [line.split(": ")[1] for line in loaded.warnings] == ["cargo.token", "sources.helpdesk.secret"]


def test_the_digest_follows_what_is_in_effect_secrets_included(write):
    path = write("relay.yaml", SMALL.replace("s3cret-of-16-chars", '"${S}"') + "# a comment\n")
    one = load([path], {"S": "a"}).digest
    assert load([path], {"S": "a", "OTHER": "x"}).digest == one
    assert load([path], {"S": "b"}).digest != one
    assert load([write("b.yaml", SMALL.replace("s3cret-of-16-chars", "a"))], {}).digest == one
    assert load([path, write("c.yaml", "retry: {first: 2s}")], {"S": "a"}).digest != one


leaf = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just("${X}"))
models = (Settings, CargoBlock, LedgerBlock, BrokerBlock, HttpBlock, RetryBlock, WebhookSource, AmqpSource, Rule)
keys = st.sampled_from(sorted({key for model in models for key in model.model_fields} | {"a", "trigger", "meta"}))
tree = st.recursive(leaf, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(tree, st.booleans(), st.dictionaries(st.just("X"), st.text(max_size=5).filter(lambda text: "\0" not in text)))
def test_no_yaml_raises_anything_else(tmp_path, content, strict, env):
    import yaml

    path = tmp_path / "any.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8", errors="surrogatepass")
    told = attempt(path, env, strict=strict)
    assert told is None or told
    assert all(line.startswith(f"{path}:") for line in told or ())


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.data())
def test_no_damage_to_a_good_file_raises_anything_else(tmp_path, data):
    text = (Path(__file__).parents[2] / "config/reference.yaml").read_text()
    start = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 40))
    put = data.draw(st.text(alphabet="ab:-[]{}&*!|>'\"%@`#,? \n\t$1.0", max_size=12))
    path = tmp_path / "damaged.yaml"
    path.write_text(text[:start] + put + text[start + length :])
    told = attempt(path, {}, strict=False)
    assert told is None or told
