"""Tests beside rules: what is judged, and what is said of a difference."""

import pytest

from relay.app import run_tests
from relay.config import load
from relay.errors import Misconfigured

CONFIG = """
cargo: {token: t}
broker: {url: amqp://localhost}
sources:
  crm: {type: webhook, scheme: bearer, secret: a-secret-of-16-characters, event: {id: "{{ data.id }}"}}
  bus: {type: amqp, queue: in}
rules:
  - name: big
    when: data.amount > 5 and event.received_at < '2026-12-01'
    chat: {name: "Deal {{ data.name }}", trigger: {type: draft, meta: {amount: "{{ data.amount }}", tags: [a, b]}}}
    message: "Read {{ data.name }}."
  - {name: typed, type: deal.won, chat: {trigger: {type: draft}}}
  - {name: trial, source: crm, shadow: true, chat: {trigger: {type: draft}}}
  - {name: later, type: deal.lost, delay: 5m, chat: {trigger: {type: draft}}, message: "Why?"}
"""
BIG = "{id: 1, amount: 7, name: Northwind}"


@pytest.fixture
def judge(tmp_path):
    """The differences of one test: the delivery as YAML, and what is expected."""

    def run(expect, event=BIG, **given):
        given = {"source": "crm", "event": event, "at": "2026-11-23T09:15:00Z"} | given
        lines = [f"{key}: {value}" for key, value in {**given, "expect": expect}.items() if value is not None]
        (tmp_path / "relay.yaml").write_text(f"{CONFIG}tests: [{{name: it, {', '.join(lines)}}}]\n")
        loaded = load([tmp_path / "relay.yaml"], {})
        [outcome] = run_tests(loaded.settings, loaded.tests)
        assert outcome.name == "it"
        assert outcome.place == f"{tmp_path}/relay.yaml:15:9"
        assert outcome.passed is (outcome.diff == ())
        return "\n".join(outcome.diff)

    return run


@pytest.mark.parametrize(
    "expect",
    [
        "{}",
        "{rules: [big]}",
        "{rules: [big], not: [typed, trial]}",
        "{chat: {name: Deal Northwind}}",
        "{chat: {trigger: {meta: {amount: 7, tags: [a, b]}}}}",
        "{message: Read Northwind.}",
        "{skips: {trial: shadow}}",
    ],
)
def test_what_is_as_expected_passes(judge, expect):
    assert judge(expect) == ""


@pytest.mark.parametrize(
    ("expect", "event", "told"),
    [
        ("{rules: []}", BIG, "rules: big makes a chat, which is not expected"),
        ("{rules: [big, typed]}", BIG, "rules: typed makes no chat: the event has no type, not deal.won"),
        ("{rules: [big]}", "{amount: 3}", "rules: big makes no chat: when is false; data.amount is 3"),
        ("{not: [big]}", BIG, "not: big makes a chat"),
        ("{message: Read it.}", BIG, "-Read it.\n+Read Northwind."),
        ("{message: x}", "{amount: 3}", "message: there is no chat"),
        ("{chat: {name: x}}", "{amount: 3}", "chat: there is none"),
        ("{chat: {trigger: {meta: {tags: [a]}}}}", BIG, '+        "b"'),
        ("{chat: {trigger: {meta: {amount: 7.0}}}}", BIG, '-      "amount": 7.0\n+      "amount": 7'),
        ("{chat: {agentUuid: x}}", BIG, '-  "agentUuid": "x"'),
        ("{skips: {trial: ignored}}", BIG, "skips.trial: expected ignored, but it is shadow"),
        ("{skips: {big: sampled}}", BIG, "skips.big: expected sampled, but its chat is made now"),
        ("{held: {big: debounce}}", BIG, "held.big: expected debounce, but its chat is made now"),
        ("{held: {big: order}}", "{amount: 3}", "held.big: expected order, but nothing is held: when is false"),
        ("{ended: {big: superseded}}", BIG, "ended.big: expected superseded, but its chat is made now"),
        ("{rules: [big]}", "{amount: 9}", "rules: big makes no chat: rule big: chat.name: data.name is missing"),
        ("{}", "'{no json'", "cannot be read"),
    ],
)
def test_what_differs_is_said(judge, expect, event, told):
    assert told in judge(expect, event)


def test_a_chat_that_cannot_be_rendered_has_ended(judge):
    assert judge("{rules: [], ended: {big: failed}}", "{amount: 9}") == ""


@pytest.mark.parametrize(
    ("expect", "told"),
    [
        ("{held: {later: delay}}", ""),
        ("{rules: [later]}", "rules: later makes no chat: it matches, and is held by delay (expect it under `held`)"),
        ("{message: Why?, chat: {trigger: {type: draft}}}", ""),
        ("{message: Because}", "message: - is expected, + is what the rules make\n-Because\n+Why?"),
        ("{chat: {trigger: {type: cron}}}", '+    "type": "draft"'),
    ],
)
def test_what_is_held_is_said_to_be_and_judged_where_nothing_goes(judge, expect, told):
    diff = judge(expect, "{amount: 1}", source="bus", headers="{type: deal.lost}")
    assert told in diff if told else diff == ""


def test_the_time_headers_and_file_of_a_delivery_count(judge, tmp_path):
    assert "rules: big makes no chat" in judge("{rules: [big]}", at="2026-12-02T00:00:00Z")
    assert judge("{rules: [typed]}", "{amount: 1}", source="bus", headers="{type: deal.won}") == ""
    (tmp_path / "deal.json").write_text('{"amount": 8, "name": "Kim"}')
    assert judge("{chat: {name: Deal Kim}}", None, file="deal.json") == ""
    assert "gone.json cannot be read (No such file or directory)" in judge("{}", None, file="gone.json")


def test_what_came_before_is_read_as_well(judge):
    assert judge("{rules: [big]}", before="[{source: bus, event: {x: 1}}]") == ""
    assert "cannot be read" in judge("{}", before="[{source: crm, event: '{no json'}]")


@pytest.mark.parametrize(
    ("test", "fault"),
    [
        ("{name: a, source: crm, expect: {}}", "tests[0].event: is what came in: write either `event` or `file`"),
        ("{name: a, source: crm, event: {}, file: x, expect: {}}", "write either `event` or `file`"),
        (
            "{name: a, source: crn, event: {}, expect: {}}",
            "source: 'crn' names no source: known are bus, crm",
        ),
        (
            "{name: a, source: crm, event: {}, expect: {rules: [bik]}}",
            "expect.rules[0]: 'bik' is not a rule",
        ),
        ("{name: a, source: crm, event: {}, expect: {skips: {bik: shadow}}}", "expect.skips.bik: 'bik' is not a rule"),
        ("{name: a, source: crm, event: {}, expect: {skips: {big: gone}}}", "expect.skips.big: is not one of ignored"),
        ("{name: a, source: crm, event: {}, expect: {held: {big: wait}}}", "expect.held.big: is not one of debounce"),
        (
            "{name: a, source: crm, event: {}, expect: {rule: big}}",
            "is not a key of `expect`: did you mean `rules`?",
        ),
        ("{name: a, source: crm, event: {}, at: noon, expect: {}}", "tests[0].at: 'noon' is not a time: write it as"),
        ("{name: a, source: crm, event: {}, expect: {}, befor: []}", "is not a key of a test: did you mean `before`?"),
        ("{source: crm, event: {}, expect: {}}", "tests[0].name: is missing"),
    ],
)
def test_what_is_no_test_is_refused_at_its_place(tmp_path, test, fault):
    (tmp_path / "relay.yaml").write_text(f"{CONFIG}tests:\n- {test}\n")
    with pytest.raises(Misconfigured) as refused:
        load([tmp_path / "relay.yaml"], {})
    [found] = refused.value.faults
    assert found.startswith(f"{tmp_path}/relay.yaml:16:")
    assert fault in found


def test_tests_of_several_files_add_up_and_a_name_is_given_once(tmp_path):
    test = "{name: same, source: crm, event: {}, expect: {}}"
    (tmp_path / "a.yaml").write_text(f"{CONFIG}tests: [{test}]\n")
    (tmp_path / "b.yaml").write_text(f"tests: [{test.replace('same', 'other')}]\n")
    assert [each.case.name for each in load([tmp_path], {}).tests] == ["same", "other"]
    (tmp_path / "c.yaml").write_text(f"tests: [{test}]\n")
    with pytest.raises(Misconfigured, match="is given twice"):
        load([tmp_path], {})


def test_tests_do_not_change_what_is_in_effect(tmp_path):
    digests = []
    for tests in ("", f"tests: [{{name: a, source: crm, event: {BIG}, expect: {{}}}}]\n"):
        (tmp_path / "relay.yaml").write_text(f"{CONFIG}{tests}")
        digests.append(load([tmp_path / "relay.yaml"], {}).digest)
    assert digests[0] == digests[1]


def test_what_came_before_counts_where_a_rule_remembers(tmp_path):
    rules = CONFIG.replace(
        "  - {name: typed",
        '  - {name: stage, changed: {key: "{{ data.id }}", of: "{{ data.s }}"}, chat: '
        "{trigger: {type: draft}}}\n  - {name: typed",
    )
    (tmp_path / "relay.yaml").write_text(f"""{rules}
tests:
  - name: the same stage again is no change
    source: bus
    event: {{id: 7, s: won}}
    before: [{{source: bus, event: {{id: 7, s: new}}}}, {{source: bus, event: {{id: 7, s: won}}}}]
    expect: {{rules: [], skips: {{stage: unchanged}}}}
  - name: another stage is one
    source: bus
    event: {{id: 7, s: won}}
    before: [{{source: bus, event: {{id: 7, s: new}}}}, {{source: bus, event: {{id: 8, s: won}}}}]
    expect: {{rules: [stage], skips: {{}}}}
  - name: a duplicate is no event
    source: crm
    event: {{id: 7, s: won}}
    before: [{{source: crm, event: {{id: 7, s: new}}}}]
    expect: {{}}
""")
    loaded = load([tmp_path / "relay.yaml"], {})
    same, other, duplicate = run_tests(loaded.settings, loaded.tests)
    assert (same.diff, other.diff) == ((), ())
    assert duplicate.diff == ("the event 7 came before: give each event an id of its own",)


def test_a_follow_up_is_judged_by_what_it_says_in_the_chat_of_the_first(tmp_path):
    rule = """
  - name: talk
    type: talk
    thread: {key: "{{ data.id }}", idle: 7d}
    chat: {trigger: {type: draft}}
    message: "First {{ data.s }}"
    follow: "{% if data.s %}Then {{ data.s }}{% endif %}"
"""
    talk = "source: bus, headers: {type: talk}"
    (tmp_path / "relay.yaml").write_text(f"""{CONFIG}{rule}
tests:
  - {{name: first, {talk}, event: {{id: 7, s: a}}, expect: {{rules: [talk], message: First a}}}}
  - name: second
    {talk.replace(", ", chr(10) + "    ")}
    event: {{id: 7, s: b}}
    before: [{{{talk}, event: {{id: 7, s: a}}}}]
    expect: {{rules: [], held: {{talk: thread}}, message: Then b}}
  - name: second says nothing
    {talk.replace(", ", chr(10) + "    ")}
    event: {{id: 7, s: ""}}
    before: [{{{talk}, event: {{id: 7, s: a}}}}]
    expect: {{rules: [], held: {{talk: thread}}, message: ""}}
  - name: second makes no chat of its own
    {talk.replace(", ", chr(10) + "    ")}
    event: {{id: 7, s: b}}
    before: [{{{talk}, event: {{id: 7, s: a}}}}]
    expect: {{chat: {{}}}}
""")
    loaded = load([tmp_path / "relay.yaml"], {})
    first, second, silent, none = run_tests(loaded.settings, loaded.tests)
    assert (first.diff, second.diff, silent.diff) == ((), (), ())
    assert none.diff == ("chat: there is none; talk is held by thread",)


def test_what_limits_and_the_loop_guard_would_hold_or_park_does_not_go(tmp_path):
    """What came before has begun, and counts, also where a rate spaces the starts."""
    keys = {
        "few": "limit: [{rate: 1/1h}]",
        "dropped": "limit: [{rate: 1/1h, then: drop}]",
        "round": 'loop: {key: "{{ data.id }}", trips: 1/1h}',
        "spent": "budget: {chats: 1/d}",
    }
    rules = "".join(
        f"  - {{name: {name}, type: {name}, {key}, chat: {{trigger: {{type: draft}}}}}}\n" for name, key in keys.items()
    )
    expected = {
        "few": "held: {few: limit}",
        "dropped": "ended: {dropped: suppressed}",
        "round": "ended: {round: parked}",
        "spent": "held: {spent: budget}",
    }
    tests = ""
    for name, outcome in expected.items():
        by = f"source: bus, headers: {{type: {name}}}"
        first = f'{{{by}, event: {{id: 7, s: a}}, at: "2026-11-23T09:15:00Z"}}'
        second = f'{by}, event: {{id: 7, s: b}}, at: "2026-11-23T09:25:00Z"'
        later = f'{by}, event: {{id: 7, s: b}}, at: "2026-11-24T10:25:00Z"'
        tests += f"  - {{name: {name} first, {by}, event: {{id: 7}}, expect: {{rules: [{name}]}}}}\n"
        tests += f"  - {{name: {name} again, before: [{first}], {second}, expect: {{rules: [], {outcome}}}}}\n"
        tests += f"  - {{name: {name} later, before: [{first}], {later}, expect: {{rules: [{name}]}}}}\n"
    config = CONFIG.replace("cargo: {token: t}", "cargo: {token: t, rate: 1/m}")
    (tmp_path / "relay.yaml").write_text(f"{config}{rules}tests:\n{tests}")
    loaded = load([tmp_path / "relay.yaml"], {})
    outcomes = run_tests(loaded.settings, loaded.tests)
    assert [(each.name, each.diff) for each in outcomes if each.diff] == []
    assert len(outcomes) == 3 * len(keys)


def test_more_events_than_the_loop_guard_lets_go_are_parked(tmp_path):
    rule = '  - {name: talk, type: talk, loop: {key: "{{ data.id }}", trips: 2/1h}, chat: {trigger: {type: draft}}}\n'
    one = '{source: bus, headers: {type: talk}, event: {id: 7, s: %s}, at: "2026-11-23T09:15:00Z"}'
    before = ", ".join(one % number for number in range(2))
    (tmp_path / "relay.yaml").write_text(
        f"{CONFIG}{rule}tests:\n  - {{name: it, before: [{before}], {(one % 9)[1:-1]}, expect: {{rules: [talk]}}}}\n"
    )
    loaded = load([tmp_path / "relay.yaml"], {})
    [outcome] = run_tests(loaded.settings, loaded.tests)
    assert outcome.diff[0].startswith("rules: talk makes no chat: "), outcome.diff
