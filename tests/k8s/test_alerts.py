"""The rules for alerts and the dashboard: promtool accepts them, their metrics exist, each says what to do."""

import json
import re
import subprocess

import pytest
import yaml

from relay.telemetry import Metrics
from tests.k8s.kustomize import K8S

FOLDER = K8S / "components/monitoring"
RULES = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["spec"]
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
KNOWN = {
    f"{metric.name}{suffix}"
    for metric in Metrics().registry.collect()
    for suffix in {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}.get(metric.type, ("",))
}
PLACE = 'namespace="a", job="relay"'
QUIET = f'relay_build_info{{version="0.1.0", {PLACE}}}'


def promtool(tmp_path, *command):
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(RULES))
    done = subprocess.run(["promtool", *command], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_accepts_the_rules(tmp_path):
    promtool(tmp_path, "check", "rules", "--lint-fatal", "rules.yaml")


@pytest.mark.parametrize("query", [*(rule["expr"] for rule in ALERTS), *QUERIES])
def test_every_metric_exists(query):
    names = set(re.findall(r"\brelay_\w+", query))
    assert names
    assert names <= KNOWN


def test_the_dashboard_begins_with_what_is_wrong():
    first = min(DASHBOARD["panels"], key=lambda panel: panel["gridPos"]["y"])
    assert "relay_problems" in first["targets"][0]["expr"]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_every_value_of_a_label_is_one_that_relay_gives(rule):
    """A reason that has another name by now would never match."""
    sources = "".join(path.read_text() for path in (K8S.parent / "relay").rglob("*.py"))
    for values in re.findall(r'\w+!?=~?"([^"]+)"', rule["expr"]):
        for value in values.split("|"):
            assert f'"{value}"' in sources


def test_each_alert_leads_to_what_it_means():
    headings = set(re.findall(r"^#+ (\w+)$", (K8S / "README.md").read_text(), re.MULTILINE))
    assert {rule["alert"] for rule in ALERTS} <= headings
    for rule in ALERTS:
        assert rule["annotations"]["runbook_url"] == f"k8s/README.md#{rule['alert'].lower()}"


@pytest.mark.parametrize(
    ("alert", "series", "values", "labels"),
    [
        ("RelayTurnsEventsAway", '_rejections_total{source="crm", reason="overloaded"}', "0+1x60", {}),
        (
            "RelayTurnsConnectionsAway",
            '_turned_away_total{listener="hooks", cap="connections"}',
            "0+1x60",
            {"cap": "connections"},
        ),
        ("RelayBudgetSpent", '_budget_used_ratio{rule="deal", of="chats"}', "1x60", {"rule": "deal", "of": "chats"}),
        ("RelayHighWater", "_high_water_ratio", "0.9x60", {}),
        ("RelayCargoUnauthorized", '_cargo_paused{reason="unauthorized"}', "1x60", {}),
        ("RelayCargoCircuitOpen", '_cargo_paused{reason="circuit"}', "1x60", {}),
        ("RelayBacklog", "_oldest_due_seconds", "301x60", {}),
        ("RelayParked", '_parked{reason="unknown"}', "2x60", {"reason": "unknown"}),
        # One failure is enough.
        ("RelayChatsFail", '_chats_total{rule="deal", outcome="failed"}', "0x40 1x20", {"rule": "deal"}),
        ("RelayRefusesSender", '_rejections_total{source="crm", reason="signature"}', "0+6x60", {"source": "crm"}),
        ("RelayResultsUnpublished", "_unpublished_results", "101x60", {}),
        ("RelayResultsUnroutable", "_unroutable_results", "1x60", {}),
        ("RelayConfigurationNotInForce", "_config_reload_success", "0x60", {}),
    ],
)
def test_an_alert_fires_and_is_alone(alert, series, values, labels, tmp_path):
    name, _, rest = series.partition("{")
    full = f"relay{name}{{{PLACE}{', ' + rest if rest else '}'}"
    rule = next(rule for rule in ALERTS if rule["alert"] == alert)
    inputs = [{"series": full, "values": values}, {"series": QUIET, "values": "1x60"}]
    firing = {"eval_time": "45m", "alertname": alert, "exp_alerts": [{"exp_labels": {**rule["labels"], **labels}}]}
    firing["exp_alerts"][0]["exp_labels"].update(namespace="a", job="relay")
    others = [
        {"eval_time": "45m", "alertname": other["alert"], "exp_alerts": []} for other in ALERTS if other is not rule
    ]
    check(tmp_path, inputs, [firing, *others])


CALM = {
    "_rejections_total": {
        'source="crm", reason="limit"': "0+9x60",
        'source="crm", reason="paused"': "0+9x60",
        'source="_unknown", reason="unknown_source"': "0+9x60",
        'source="crm", reason="signature"': "0+1x20 20x40",  # and then a sender has its new secret
        'source="crm", reason="overloaded"': "0+9x30 270x30",
    },
    "_turned_away_total": {
        'listener="hooks", cap="connections"': "5x60",
        'listener="ops", cap="connections"': "0+9x60",
    },
    "_high_water_ratio": {"": "0.8x60"},
    "_cargo_paused": {'reason="unauthorized"': "0x60", 'reason="circuit"': "0x36 1x9 0x15"},
    "_oldest_due_seconds": {"": "300x60"},
    "_due_dispatches": {"": "5000x60"},
    "_parked": {'reason="unknown"': "0x40 2x5 0x15"},
    "_budget_used_ratio": {'rule="deal", of="chats"': "0.99x60"},
    "_chats_total": {'rule="deal", outcome="created"': "0+9x60", 'rule="deal", outcome="failed"': "7x60"},
    "_unpublished_results": {"": "100x60"},
    "_unroutable_results": {"": "0x41 1x4 0x15"},
    "_config_reload_success": {"": "1x60"},
    "_config_info": {'pod="one", hash="b"': "1x60", 'pod="two", hash="b"': "1x60"},
}
"""Just below what each alert is for, or not for as long."""


def test_no_alert_fires_just_below_its_threshold(tmp_path):
    inputs = [
        {"series": f"relay{name}{{{PLACE}{', ' + labels if labels else ''}}}", "values": values}
        for name, series in CALM.items()
        for labels, values in series.items()
    ]
    used = {name for rule in ALERTS for name in re.findall(r"\brelay(_\w+)", rule["expr"])} - {"_build_info"}
    assert used <= CALM.keys()
    silent = [{"eval_time": "45m", "alertname": rule["alert"], "exp_alerts": []} for rule in ALERTS]
    check(tmp_path, [*inputs, {"series": QUIET, "values": "1x60"}], silent)


def check(tmp_path, inputs, expected):
    """Annotations show the value, which is not what is tested here."""
    for alert in expected[0]["exp_alerts"]:
        alert["exp_annotations"] = {}
    bare = {"groups": [{"name": "relay", "rules": [{**each, "annotations": {}} for each in ALERTS]}]}
    (tmp_path / "bare.yaml").write_text(yaml.safe_dump(bare))
    test = {"interval": "1m", "input_series": inputs, "alert_rule_test": expected}
    plan = {"rule_files": ["bare.yaml"], "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    promtool(tmp_path, "test", "rules", "plan.yaml")


@pytest.mark.parametrize(
    ("series", "labels"),
    [
        ({"other": "1x60"}, {}),
        ({QUIET: "1x60", 'relay_build_info{namespace="b", job="relay"}': "1x20"}, {"namespace": "b", "job": "relay"}),
    ],
    ids=["there was none", "one of two is gone"],
)
def test_no_relay_is_an_alert(series, labels, tmp_path):
    rule = next(rule for rule in ALERTS if rule["alert"] == "RelayAbsent")
    expected = [{"exp_labels": rule["labels"] | labels}]
    firing = {"eval_time": "45m", "alertname": "RelayAbsent", "exp_alerts": expected}
    check(tmp_path, [{"series": name, "values": values} for name, values in series.items()], [firing])


def test_replicas_with_different_configurations_are_an_alert_and_two_relays_are_not(tmp_path):
    rule = next(rule for rule in ALERTS if rule["alert"] == "RelayConfigurationsDiffer")
    labels = {**rule["labels"], "namespace": "a", "job": "relay"}
    firing = {"eval_time": "30m", "alertname": rule["alert"], "exp_alerts": [{"exp_labels": labels}]}
    pairs = [("relay", "b"), ("relay", "c"), ("relay-eu", "d")]
    names = [f'relay_config_info{{namespace="a", job="{job}", hash="{hash_}"}}' for job, hash_ in pairs]
    check(tmp_path, [{"series": name, "values": "1x60"} for name in names], [firing])
