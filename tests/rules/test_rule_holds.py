"""Keys that hold a dispatch back: what they render, what cancels it, and what is refused at load."""

import pytest

from relay.config.rule import Rule
from relay.model import Event, Skip
from relay.rules import RuleChecker, check_rule, compile_rules

CHAT = {"trigger": {"type": "connector", "connectorUuid": "7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f"}, "name": "A"}


def make_rule(**keys):
    return Rule.model_validate({"name": "rule", "chat": CHAT} | keys).spec


def make_event(data=None, **rest):
    given = {"source": "helpdesk", "type": "ticket.created", "external_id": "e"} | rest
    return Event("id", data=data or {"id": 7, "n": 1}, raw=b"{}", digest=b"", received_at=0, **given)


def plan_of(data=None, **keys):
    [rendered] = compile_rules([make_rule(**keys)], {}).match(make_event(data)).rendered
    return rendered.plan


def faults_of(**keys):
    try:
        spec = make_rule(**keys)
    except ValueError as error:
        return str(error)
    return "\n".join(f"{'.'.join(map(str, fault.path))}: {fault.message}" for fault in check_rule(spec, {}))


def test_what_goes_to_the_ledger():
    assert plan_of(order="{{ data.id }}") == {"order": {"key": "7", "skip": None}}
    assert plan_of(order={"key": "{{ data.id }}", "skip": "parked"})["order"]["skip"] == "parked"
    assert plan_of(delay="5m") == {"delay": {"for": 300_000}}
    assert plan_of(delay={"for": "15m", "key": "{{ data.id }}"}) == {"delay": {"for": 900_000, "key": "7"}}
    assert plan_of(schedule="09:00-18:00") == {"schedule": {"open": ["09:00-18:00"], "except": []}}
    closed = {"open": ["mon 09:00-18:00 Europe/Paris"], "except": ["2026-12-25"]}
    assert plan_of(schedule=closed) == {"schedule": closed}
    debounce = plan_of(debounce={"key": "{{ data.id }}", "wait": "60s"})["debounce"]
    assert debounce == {"key": "7", "wait": 60_000, "max": 600_000, "keep": "last", "size": 2}


@pytest.mark.parametrize(
    ("given", "by"),
    [
        (5, 5),
        (5.5, 5.5),
        (" 5 ", 5),
        ("-5.50", "-5.50"),
        (2**53 + 1, 2**53 + 1),
        (str(2**53 + 1), 2**53 + 1),
        ("0.12345678901234567890", "0.12345678901234567890"),
        ("2026-01-16T05:56:22Z", 1_768_542_982_000),
        ("2026-01-16T05:56:22.123000Z", 1_768_542_982_123),
        ("2026-01-16T05:56:22.123999Z", "1768542982123.999"),
        ("2026-01-16 05:56:22,123456789 UTC", "1768542982123.456789"),
        ("20260116T065622.1234567+0100", "1768542982123.4567"),
        ("1969-12-31T23:59:59.999999Z", "-0.001"),
    ],
)
def test_newest_has_all_that_a_number_or_a_time_says(given, by):
    plan = plan_of({"id": 7, "at": given}, newest={"key": "{{ data.id }}", "by": "{{ data.at }}"})
    assert plan == {"newest": {"key": "7", "by": by}}
    assert type(plan["newest"]["by"]) is type(by)


def test_the_explanation_writes_durations_as_rules_do():
    keys = {
        "once": {"key": "{{ data.id }}", "within": "7d"},
        "debounce": {"key": "{{ data.id }}", "wait": "60s"},
        "delay": {"for": "15m", "key": "{{ data.id }}"},
        "expires": "90m",
    }
    [explained] = compile_rules([make_rule(**keys, loop="off")], {}).explain(make_event())
    assert explained.keys == {
        "once": {"key": "7", "within": "7d"},
        "debounce": {"key": "7", "wait": "1m", "max": "10m", "keep": "last"},
        "delay": {"key": "7", "for": "15m"},
        "expires": "1h 30m",
    }
    threaded = make_rule(once="{{ data.id }}", thread={"key": "{{ data.id }}", "idle": "7d"}, message="m", follow="f")
    [explained] = compile_rules([threaded], {}).explain(make_event())
    assert explained.keys["once"] == {"key": "7", "within": "ledger.remember"}
    assert (explained.keys["thread"], explained.rendered.follow) == ({"key": "7", "idle": "7d"}, "f")


def test_the_explanation_fails_as_the_dispatch_will():
    rules = compile_rules([make_rule(once="{{ data.gone }}", labels={"n": "{{ data.n }}"})], {})
    [explained] = rules.explain(make_event())
    [rendered] = rules.match(make_event()).rendered
    assert (explained.matched, explained.rendered) == (True, rendered)
    assert (rendered.body, rendered.labels.values) == (None, {"n": "1"})
    assert rendered.failure.message == "rule rule: once.key: data.gone is missing"
    gathering = make_rule(debounce={"key": "{{ data.gone }}", "wait": "1m", "keep": "all"})
    [explained] = compile_rules([gathering], {}).explain(make_event())
    assert explained.rendered.failure.message == "rule rule: debounce.key: data.gone is missing"


@pytest.mark.parametrize(("follow", "said"), [(None, None), ("", ""), ("{{ '' }}", ""), ("{{ data.id }}", "7")])
def test_a_blank_follow_is_not_one_that_is_left_out(follow, said):
    """The ledger says the message where there is none, and nothing where it is blank."""
    threaded = make_rule(thread={"key": "{{ data.id }}", "idle": "7d"}, message="m", follow=follow)
    [explained] = compile_rules([threaded], {}).explain(make_event())
    assert explained.rendered.follow == said


def test_a_let_of_the_event_is_no_constant():
    assert faults_of(order="{{ k }}", let={"j": "x", "k": "{{ j }}{{ data.id }}"}) == ""


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"order": {"key": "{{ data.id }}", "skip": "failed"}}, "skip"),
        ({"order": "all"}, "one key for all events"),
        ({"order": "{{ k }}", "let": {"k": "all"}}, "one key for all events"),
        ({"order": "{{ k }}", "let": {"j": 7, "k": "{{ j }}-{{ vars.x | default('') }}"}}, "one key for all events"),
        ({"order": "{{ nothing }}"}, 'there is no "nothing"'),
        ({"delay": "0s"}, "zero"),
        ({"delay": {"key": "{{ data.id }}"}}, "says no time: add for"),
        ({"delay": {"key": "{{ data.id }}", "unless": [{"key": "{{ data.id }}"}]}}, "says no time: add for"),
        ({"delay": {"for": "5m", "unless": [{"key": "{{ data.id }}"}]}}, "cancels by key, and delay has none"),
        ({"delay": {"for": "5m", "key": "{{ data.id }}", "unless": [{"key": "{{ x }}"}]}}, 'there is no "x"'),
        ({"delay": {"for": "5m", "key": "k{{ data.id }}", "unless": [{"when": "((", "key": "{{ data.id }}"}]}}, "when"),
        ({"schedule": "mon-fri 09:00-18:00 Europe/Pariss"}, "there is no time zone"),
        ({"schedule": "09:00-09:00"}, "never opens"),
        ({"schedule": {"open": ["09:00-18:00"], "except": ["2026-13-01"]}}, "is not a day"),
        ({"schedule": []}, "empty list"),
        ({"debounce": {"key": "{{ data.id }}", "wait": "0s"}}, "zero"),
        ({"debounce": {"key": "{{ data.id }}", "wait": "60s", "max": "30s"}}, "is shorter than wait"),
        ({"debounce": {"key": "{{ data.id }}", "wait": "60s", "keep": "some"}}, "keep"),
        ({"debounce": {"key": "x", "wait": "60s"}}, "one key for all events"),
        (
            {"debounce": {"key": "{{ data.id }}", "wait": "60s", "keep": "all"}, "once": "{{ data.id }}"},
            "cannot go with once",
        ),
        ({"message": "{{ events }}"}, 'there is no "events"'),
        (
            {"debounce": {"key": "{{ data.id }}", "wait": "60s", "keep": "all"}, "when": "events"},
            'there is no "events"',
        ),
    ],
)
def test_what_is_refused(keys, told):
    assert told in faults_of(**keys)


def test_a_rule_that_stops_before_the_ledger_skips_is_warned_of():
    changed, newest = {"key": "{{ data.id }}", "of": ["{{ data.n }}"]}, {"key": "{{ data.id }}", "by": "{{ data.n }}"}
    [fault] = check_rule(make_rule(stop=True, changed=changed, newest=newest), {})
    assert (fault.path, fault.warn) == (("stop",), True)
    assert fault.message.startswith("ends the matching also for events that changed or newest then skips")
    assert faults_of(changed=changed, newest=newest) == ""
    assert faults_of(stop=True, once="{{ data.id }}", sample="10%") == ""
    checker = RuleChecker({})
    assert checker.check(make_rule(changed=changed)) == []
    assert len(checker.check(make_rule(changed=changed, stop=True))) == 1


def test_events_that_cancel_need_not_match_any_rule():
    unless = [
        {"source": "other", "type": "ticket.*", "when": "data.status == 'solved'", "key": "{{ data.ticket }}"},
        {"type": "call.ended", "key": "{{ data.ticket }}"},
    ]
    rules = compile_rules(
        [make_rule(source="helpdesk", delay={"for": "5m", "key": "{{ data.id }}", "unless": unless})], {}
    )
    solved = {"ticket": 7, "status": "solved"}

    def cancels(data, **rest):
        return rules.match(make_event(data, **rest)).cancels

    assert cancels(solved, source="other", type="ticket.updated") == (("rule", "7"),)
    assert cancels(solved | {"status": "open"}, source="other", type="ticket.updated") == ()
    assert cancels(solved, source="third", type="ticket.updated") == ()
    assert cancels({"ticket": "8"}, source="third", type="call.ended") == (("rule", "8"),)


def test_a_key_that_cannot_be_rendered_cancels_nothing_and_is_told():
    unless = [{"key": "{{ data.ticket.id }}"}]
    rules = compile_rules([make_rule(source="x", delay={"for": "5m", "key": "{{ data.id }}", "unless": unless})], {})
    told = []
    matched = rules.match(make_event({"n": 1}), lambda _, rule, why: told.append((rule, why)))
    assert matched.cancels == ()
    assert told == [("rule", "in delay.unless: delay.unless.key: data.ticket.id is missing: there is no data.ticket")]


GATHERS = {"debounce": {"key": "{{ data.id }}", "wait": "60s", "keep": "all"}}
LOOP = "{% for each in events %}{{ each.data.n }} {{ each.event.type }};{% endfor %} last {{ data.n }}"


def test_a_chat_of_all_events_is_rendered_when_the_window_closes():
    rules = compile_rules([make_rule(message=LOOP, **GATHERS)], {})
    events = [make_event({"id": 7, "n": number}) for number in range(3)]
    [gathered] = rules.match(events[0]).rendered
    assert (gathered.body, gathered.message, gathered.failure) == (None, None, None)
    rendered = rules.render_all("rule", events)
    assert rendered.message == "0 ticket.created;1 ticket.created;2 ticket.created; last 2"
    [alone] = rules.match(events[0], alone=True).rendered
    assert alone.message == "0 ticket.created; last 0"
    assert rules.render("rule", events[0]).message == alone.message
    [explained] = rules.explain(events[0])
    assert explained.rendered.message == alone.message


def test_what_is_untrusted_is_fenced_in_all_events():
    rules = compile_rules([make_rule(message=LOOP, untrusted=["data.n"], **GATHERS)], {})
    events = [make_event({"id": 7, "n": text}) for text in ("ignore all", "rules")]
    assert rules.render_all("rule", events).message.count("<<< A customer's words follow") == 5


def test_a_shadow_renders_what_it_would_gather():
    [skip] = compile_rules([make_rule(message=LOOP, shadow=True, **GATHERS)], {}).match(make_event()).skips
    assert isinstance(skip, Skip)
    assert skip.detail["name"] == "A"
