"""The keys of rules in a file: what is refused at which place, `defaults`, `off`."""

import pytest

from relay.config import load
from relay.errors import Misconfigured
from tests.config.telling import teller

CHAT = "{trigger: {type: draft}}"
GOOD = {"cargo": "{token: t}", "sources": "{a: {type: webhook, scheme: github, secret: s3cret-of-16-chars}}"}


@pytest.fixture
def told(tmp_path):
    tell = teller(tmp_path / "relay.yaml", GOOD)

    def of_rule(**keys):
        return tell(rules="".join(["\n", f"- name: r\n  chat: {CHAT}", *(f"\n  {k}: {v}" for k, v in keys.items())]))

    return of_rule


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("sample", "0%", "6:11: rules[r].sample: '0%' is not a share: write a percentage above 0"),
        ("sample", "10", "6:11: rules[r].sample: '10' is not a share"),
        ("ignore", "data.x |", "6:11: rules[r].ignore: "),
        ("ignore", "'{{ data.x }}'", "6:11: rules[r].ignore: it is a bare expression"),
        ("let", "{x: '{{ data.x | nope }}'}", '6:12: rules[r].let.x: there is no filter "nope"'),
        ("let", "{data: 1}", '6:15: rules[r].let.data: "data" means something else in a template'),
        ("let", "[]", "6:3: rules[r].let: must be a mapping of keys, not a list"),
        ("let", "\n    x: |\n      one\n      {{ data.x | nope }}", "9:1: rules[r].let.x: there is no filter"),
        ("shadow", "maybe", "6:11: rules[r].shadow: must be true or false"),
        ("loop", "{trips: 0/10m}", "6:17: rules[r].loop.trips: '0/10m' is not a rate"),
        ("loop", "{key: '{{ data.x | nope }}'}", '6:15: rules[r].loop.key: there is no filter "nope"'),
        ("loop", "all", "6:9: rules[r].loop.key: is one key for all events"),
        ("limit", "[{rate: 3/h, then: wait}]", "6:29: rules[r].limit[0].then: is not one of hold, park, drop"),
        ("limit", "[{rate: 0/h}]", "6:18: rules[r].limit[0].rate: '0/h' is not a rate"),
        ("limit", "[{rate: 3/h}, {rate: 3/h, key: all}]", "6:41: rules[r].limit[1].key: is one key for all events"),
        ("limit", "{rate: 3/h}", "6:3: rules[r].limit: must be a list"),
        ("limit", "[]", "6:3: rules[r].limit: has 0 items"),
        ("budget", "{zone: UTC}", "6:3: rules[r].budget: bounds nothing: write credits or chats"),
        ("budget", "{chats: 20/m}", "6:19: rules[r].budget.chats: '20/m' is not an amount of an hour"),
        ("budget", "{credits: 0/d}", "6:21: rules[r].budget.credits: '0/d' is not an amount"),
        ("budget", "{chats: 2/d, warn: 0%}", "6:30: rules[r].budget.warn: '0%' is not a share"),
        ("budget", "{chats: 2/d, zone: Mars}", "6:30: rules[r].budget.zone: there is no time zone 'Mars'"),
        ("budget", "{chats: 2/d, then: drop}", "6:30: rules[r].budget.then: is not one of hold, park"),
        ("redact", "[email, fax]", "6:19: rules[r].redact[1]: is not one of email, phone, card, iban"),
        ("redact", "[]", "6:3: rules[r].redact: is an empty list"),
        ("untrusted", "[data.x, vars.y]", "6:23: rules[r].untrusted[1]: is not a path of what comes in"),
        ("untrusted", "text", "6:14: rules[r].untrusted: is not a path of what comes in"),
        ("untrusted_max", "0", "6:18: rules[r].untrusted_max: must be at least 1"),
        ("untrusted_max", "5", "6:18: rules[r].untrusted_max: has no effect without `untrusted`"),
        ("message", "\"{{ data.t | in_zone('Europe/Pariss') }}\"", "6:12: rules[r].message: there is no time zone"),
        ("message", "\"{{ data.t | e164('France') }}\"", "6:12: rules[r].message: there is no region 'France'"),
        (
            "message",
            "\"{{ data.t | truncate_words('x') }}\"",
            "6:12: rules[r].message: truncate_words: 'x' is no number",
        ),
        ("message", '"{{ data.t | truncate_words(0) }}"', "6:12: rules[r].message: truncate_words: 0 is no number"),
        ("message", '"{{ data.t | truncate_words }}"', "6:12: rules[r].message: truncate_words needs its n: write |"),
        ("message", '"{{ data.t | in_zone(7) }}"', "6:12: rules[r].message: there is no time zone 7"),
        ("message", '"{{ data.t | jsonpath(7) }}"', "6:12: rules[r].message: "),
        ("message", "\"{{ data | jsonpath('$.[') }}\"", "6:12: rules[r].message: jsonpath: '$.[' cannot be read"),
        ("message", "\"{{ data | jsonpath('$..a..b') }}\"", "6:12: rules[r].message: jsonpath: '$..a..b' has .. more"),
        ("labels", "{Customer: x}", "6:22: rules[r].labels.Customer: 'Customer' is not a name: use at most 63"),
        ("labels", "{a: [x]}", "6:12: rules[r].labels.a: it is a list; a label is text"),
        ("labels", "{a: '{{ data.x | nope }}'}", '6:15: rules[r].labels.a: there is no filter "nope"'),
        ("labels", "[a]", "6:3: rules[r].labels: must be a mapping of keys, not a list"),
        (
            "labels",
            f"{{{', '.join(f'l{number}: x' for number in range(11))}}}",
            "6:3: rules[r].labels: has 11 labels, and a rule has at most 10: take some out",
        ),
        ("sampel", "10%", "6:3: rules[r].sampel: is not a key of a rule: did you mean `sample`?"),
        (
            "schedule",
            "{open: 08:00-12:00 UTC, closed: [2026-01-01]}",
            "6:37: rules[r].schedule.closed: is not a key of `schedule`: known are except, open",
        ),
        (
            "delay",
            "{for: 5m, key: '{{ data.id }}', unless: [{typ: x, key: '{{ data.id }}'}]}",
            "6:52: rules[r].delay.unless[0].typ: is not a key of `unless[0]`: did you mean `type`?",
        ),
        (
            "delay",
            "{for: 5m, key: '{{ data.id }}', unless: [{source: crn, key: '{{ data.id }}'}]}",
            "6:60: rules[r].delay.unless[0].source: 'crn' is not a source",
        ),
        (
            "delay",
            "{for: 5m, key: '{{ data.id }}', unless: [{type: x}]}",
            "6:51: rules[r].delay.unless[0].key: is missing",
        ),
    ],
)
def test_what_a_key_cannot_be_is_refused_at_its_line(told, key, value, line):
    [found] = told(**{key: value})
    assert found.startswith(line)


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ("{exchange: amq.mine}", "6:22: rules[r].result.exchange: begins with amq., which RabbitMQ reserves"),
        ("{exchange: ''}", "6:22: rules[r].result.exchange: is empty"),
        ("{routing_key: x}", "6:3: rules[r].result.exchange: "),
        ("{exchange: x, routing_key: '{{ data.x | nope }}'}", "6:38: rules[r].result.routing_key: there is no filter"),
        ("crm.results", "6:11: rules[r].result: must be a mapping"),
    ],
)
def test_where_results_cannot_go_is_refused_at_its_line(told, written, line):
    found = [each for each in told(result=written) if "without a broker" not in each]
    assert [each[: len(line)] for each in found] == [line]


def test_an_exchange_without_a_broker_is_warned_of(told):
    [found] = told(result="{exchange: x}")
    assert found == "6:3: rules[r].result: has no effect without a broker: results are at GET /api/results"


@pytest.fixture
def loaded(tmp_path):
    def read(*texts, **rest):
        files = []
        for number, text in enumerate(texts):
            files.append(tmp_path / f"{number}.yaml")
            files[-1].write_text(text)
        return load([tmp_path] if len(files) > 1 else files, {"CARGO_API_TOKEN": "t"}, **rest)

    return read


BASE = 'cargo: {token: "${CARGO_API_TOKEN}"}\n'


def keys_of(loaded):
    """The keys of the rules, but for the loop guard, which every rule has."""
    keys = {rule.name: dict(rule.spec.keys) for rule in loaded.settings.rules}
    assert all(each.pop("loop") for each in keys.values())
    return keys


def test_defaults_are_for_every_rule_of_their_file_that_does_not_say_otherwise(loaded):
    one = f"""{BASE}
defaults: {{redact: [card], shadow: true, let: {{x: 1}}}}
rules:
  - {{name: plain, chat: {CHAT}}}
  - {{name: own, redact: [email], let: {{y: 2}}, chat: {CHAT}}}
  - {{name: none, redact: off, shadow: off, let: off, chat: {CHAT}}}
"""
    two = f"rules: [{{name: other, chat: {CHAT}}}]\n"
    assert keys_of(loaded(one, two)) == {
        "plain": {"redact": ("card",), "shadow": True, "let": {"x": 1}},
        "own": {"redact": ("email",), "shadow": True, "let": {"y": 2}},
        "none": {},
        "other": {},
    }


@pytest.mark.parametrize(
    ("defaults", "line"),
    [
        ("{sample: 0%}", ":3:20: rules[r-0].sample: '0%' is not a share"),
        ("{ignore: data.x | nope}", ':3:20: rules[r-0].ignore: there is no filter "nope"'),
        ("{sampel: 10%}", ":3:12: defaults.sampel: is not a key that rules have from there: did you mean `sample`?"),
        ("{chat: {}}", ":3:12: defaults.chat: is not a key that rules have from there"),
        ("[redact]", ":3:1: defaults: must be a mapping"),
    ],
)
def test_a_fault_in_defaults_is_told_once_and_at_its_line(loaded, defaults, line):
    rules = "\n".join(f"  - {{name: r-{number}, chat: {CHAT}}}" for number in range(3))
    with pytest.raises(Misconfigured) as refused:
        loaded(f"{BASE}\ndefaults: {defaults}\nrules:\n{rules}\n")
    [found] = refused.value.faults
    assert line in found


def test_defaults_without_rules_beside_them_are_warned_of(loaded):
    warnings = loaded(f"{BASE}defaults: {{redact: [card]}}\n", f"rules: [{{name: r, chat: {CHAT}}}]\n").warnings
    assert any("0.yaml:2:1: defaults: has no effect" in warning for warning in warnings)


def test_a_key_whose_variable_is_not_set_is_left_out_of_a_check(loaded):
    text = f'{BASE}rules: [{{name: r, sample: "${{SHARE}}", ignore: "${{EXPR}}", chat: {CHAT}}}]\n'
    assert keys_of(loaded(text, strict=False)) == {"r": {}}
