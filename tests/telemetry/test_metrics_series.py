"""Which series there are."""

from prometheus_client import generate_latest

from relay.telemetry import Metrics


def test_no_series_tells_when_a_counter_was_made():
    metrics = Metrics()
    metrics.chat("urgent", "created")
    metrics.called("ok", 0.1)
    text = generate_latest(metrics.registry).decode()
    assert "relay_chats_total{" in text
    assert "_created" not in text


def test_the_first_failure_of_a_rule_is_an_increase():
    metrics = Metrics()
    metrics.expect(["urgent"])
    assert metrics.registry.get_sample_value("relay_chats_total", {"rule": "urgent", "outcome": "failed"}) == 0
    metrics.chat("urgent", "failed")
    metrics.expect(["urgent"])
    assert metrics.registry.get_sample_value("relay_chats_total", {"rule": "urgent", "outcome": "failed"}) == 1


def test_messages_are_counted_by_rule_and_past_200_rules_together():
    metrics = Metrics()
    for number in range(210):
        metrics.message(f"rule-{number}", "sent")
    assert metrics.registry.get_sample_value("relay_messages_total", {"rule": "rule-7", "outcome": "sent"}) == 1
    assert metrics.registry.get_sample_value("relay_messages_total", {"rule": "_other", "outcome": "sent"}) == 10
