"""What goes wrong is counted in memory without bounds on how often, and within bounds on how differently."""

import pytest

from relay.rules import RuleSpec, compile_rules, missing_path
from relay.telemetry import Metrics
from relay.telemetry import problems as counts_module
from relay.telemetry.problems import DETAIL, MOST, ProblemCounts
from tests.ledger.build import make_event


def test_many_different_details_are_counted_together():
    counts = ProblemCounts(lambda: 7)
    for number in range(3 * MOST):
        counts.saw("failures", rule="urgent", code="render", detail=f"data.{number}")
    seen = counts.take().seen
    assert len(seen) == MOST + 1
    assert seen["failures", None, "urgent", "render", None].count == 2 * MOST
    for number in range(3 * MOST):
        counts.saw("failures", rule=f"rule-{number}", code="render", detail="data.id")
    assert len(counts.take().seen) == 2 * MOST


def test_a_long_detail_is_cut():
    counts = ProblemCounts()
    counts.saw("reload", detail="x" * 1_000)
    [named] = counts.take().seen
    assert named[-1] == "x" * DETAIL


def test_what_is_put_back_is_counted_together_with_what_came_since():
    now = 10
    counts = ProblemCounts(lambda: now)
    counts.saw("failures", rule="a", code="x", event_id="e-1", dispatch_id="d-1")
    counts.made("a")
    earlier = counts.take()
    now = 30
    counts.saw("failures", rule="a", code="x")
    counts.saw("failures", rule="b", code="x")
    counts.accepted("shop")
    counts.put_back(earlier)
    both = counts.take()
    first = both.seen["failures", None, "a", "x", None]
    assert (first.count, first.first_at, first.last_at, first.event_id) == (2, 10, 30, "e-1")
    assert (len(both.seen), both.made, both.accepted) == (2, {"a"}, {"shop"})


def test_what_lasts_is_said_again_until_it_is_over_here():
    counts = ProblemCounts()
    counts.reload_refused("no")
    counts.reload_refused("neither")
    assert {named[4]: counted.count for named, counted in counts.take().seen.items()} == {"no": 1, "neither": 1}
    counts.go_on()
    assert {named[4]: counted.count for named, counted in counts.take().seen.items()} == {"no": 0, "neither": 0}
    counts.reloaded()
    counts.go_on()
    assert counts.take().seen == {}


@pytest.mark.parametrize(
    ("source", "reason", "counted"),
    [("shop", "signature_wrong", 1), ("shop", "paused", 0), ("shop", "unavailable", 0), ("_unknown", "malformed", 0)],
)
def test_refusals_are_problems_where_the_sender_is_the_cause(source, reason, counted):
    metrics = Metrics()
    metrics.rejected(source, reason)
    assert len(metrics.problems.take().seen) == counted
    labels = {"source": source, "reason": reason}
    assert metrics.registry.get_sample_value("relay_rejections_total", labels) == 1


def test_successes_are_noted():
    metrics = Metrics()
    metrics.events("shop", "unmatched", 1, 1)
    metrics.events("other", "unreadable", 1, 1)
    metrics.chat("urgent", "created")
    metrics.chat("broken", "failed")
    counts = metrics.problems.take()
    assert (counts.accepted, counts.made) == ({"shop"}, {"urgent"})


@pytest.mark.parametrize(
    ("message", "path"),
    [
        ("rule urgent: name: data.ticket.id is missing: there is no data.ticket", "data.ticket.id"),
        ('rule urgent: trigger.meta.x: data["first name"].x is missing', 'data["first name"].x'),
        ("rule urgent: data.rows[0] is missing", "data.rows[0]"),
        ("rule urgent: message: thing is not set", "thing"),
        ("rule urgent: trigger.connectorUuid: is not a uuid", None),
    ],
)
def test_the_missing_path_of_a_failed_rendering_is_its_detail(message, path):
    assert missing_path(message) == path


def test_the_message_of_a_rule_names_its_path():
    chat = {"trigger": {"type": "draft"}, "name": "{{ data.ticket.id }}"}
    rules = compile_rules([RuleSpec("urgent", chat=chat)], {})
    [rendered] = rules.match(make_event("e-1")).rendered
    assert missing_path(rendered.failure.message) == "data.ticket.id"


def test_its_clock_goes_forward():
    assert counts_module.monotonic() <= counts_module.monotonic()
