"""Each component fits each overlay that it is for, also under another name, and a change rolls what it should."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import kubernetes_validate
import pytest
import yaml

from tests.k8s.kustomize import COMPONENTS, FOREIGN, K8S, OVERLAYS, SCALERS, VERSIONS, compose, copy, kinds, render
from tests.k8s.references import Rendered, config_texts, find_faults

FITTING = [
    (overlay, name) for overlay in OVERLAYS for name in COMPONENTS if overlay == "cluster" or name not in SCALERS
]
SECOND = {
    "nameSuffix": "-eu",
    "labels": [{"pairs": {"app.kubernetes.io/instance": "relay-eu"}, "includeSelectors": True}],
}


@pytest.mark.parametrize(("overlay", "component"), FITTING)
@pytest.mark.parametrize("more", [{}, SECOND], ids=["as it is", "as a second instance"])
def test_a_component_fits(overlay, component, more, tmp_path):
    manifests = compose(tmp_path / "overlay", K8S / overlay, component, **more)
    assert find_faults(manifests) == []
    for manifest in manifests:
        if manifest["kind"] not in FOREIGN:
            for version in VERSIONS:
                kubernetes_validate.validate(manifest, version, strict=True)


def test_all_that_do_not_exclude_each_other_fit_together(tmp_path):
    without = {"autoscale-hpa", "gateway"}  # in their place are autoscale-keda and ingress-tls
    manifests = compose(tmp_path / "overlay", K8S / "cluster", *(name for name in COMPONENTS if name not in without))
    assert find_faults(manifests) == []


def test_two_instances_of_a_namespace_share_no_name_and_no_pod(tmp_path):
    first, second = render(K8S / "cluster"), compose(tmp_path / "overlay", K8S / "cluster", **SECOND)
    names = [{(each["kind"], each["metadata"]["name"]) for each in manifests} for manifests in (first, second)]
    assert not names[0] & names[1]
    selector = Rendered(first).workload["spec"]["selector"]["matchLabels"]
    assert not selector.items() <= Rendered(second).labels.items()


@pytest.mark.parametrize("scaler", SCALERS)
def test_the_number_of_replicas_has_one_owner(scaler, tmp_path):
    [workload] = kinds(compose(tmp_path / "overlay", K8S / "cluster", scaler), "Deployment")
    assert "replicas" not in workload["spec"]


def test_scaling_takes_no_sum_over_replicas_and_waits():
    [scaler] = [each for each in render(K8S / "components/autoscale-keda") if each["kind"] == "ScaledObject"]
    about = scaler["spec"]["triggers"][0]["metadata"]
    assert about["query"] == "max(relay_due_dispatches) + max(relay_paused_dispatches)"
    assert about["ignoreNullValues"] == "false"
    behavior = scaler["spec"]["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert min(scaler["spec"]["cooldownPeriod"], behavior["scaleDown"]["stabilizationWindowSeconds"]) >= 300


def test_openshift_chooses_the_user(tmp_path):
    pod = Rendered(compose(tmp_path / "overlay", K8S / "embedded", "openshift")).pod
    assert pod["securityContext"] == {
        "runAsNonRoot": True,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize(
    ("file", "old", "new", "rolls"),
    [
        ("{overlay}/secrets.env", "replace-with-a-token-of-cargo", "another", True),
        ("base/relay.env", "RELAY_LOG_LEVEL=info", "RELAY_LOG_LEVEL=debug", True),
        ("base/settings.yaml", "hooks: :8080", "hooks: '[::]:8080'", True),
        ("{overlay}/ledger.yaml", "ledger:", "ledger: # moved", True),
        ("base/rules.yaml", "urgent-ticket", "other-ticket", False),
    ],
)
def test_a_change_rolls_the_pods_unless_relay_follows_it_itself(overlay, file, old, new, rolls, tmp_path):
    before = Rendered(render(K8S / overlay))
    changed = copy(tmp_path / "k8s", {file.format(overlay=overlay): (old, new)})
    after = Rendered(render(changed / overlay))
    assert before.manifests != after.manifests
    assert (before.workload != after.workload) is rolls


def test_the_overlay_of_the_readme_is_whole(tmp_path):
    """An operator's repository, with this one beside it at `vendor/relay`."""
    overlay = printed("apiVersion: kustomize")
    second = printed("nameSuffix:")
    copy(tmp_path / "vendor/relay/k8s", {})
    folder = tmp_path / "apps/relay"
    folder.mkdir(parents=True)
    for file in ("base/rules.yaml", "cluster/ledger.yaml", "components/ingress-tls/proxy.yaml"):
        (folder / Path(file).name).write_text((K8S / file).read_text().replace("urgent-ticket", "ticket-of-mine"))
    for more in ("", second):
        (folder / "kustomization.yaml").write_text(overlay + more)
        manifests = render(folder)
        assert find_faults(manifests) == []
        rendered = Rendered(manifests)
        assert {each["image"] for each in rendered.containers} == {"registry.example.com/relay:0.1.0"}
        assert any("ticket-of-mine" in text for text in config_texts(rendered))
        assert {each["metadata"]["namespace"] for each in manifests} == {"relay"}
        assert rendered.workload["spec"]["replicas"] == 3
        assert [each["spec"]["rules"][0]["host"] for each in rendered.all("Ingress")] == ["hooks.example.com"]
        assert [each["spec"]["secretStoreRef"]["name"] for each in rendered.all("ExternalSecret")] == ["team-vault"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_traces_of_the_readme_reach_a_collector(overlay, tmp_path):
    added = yaml.safe_load(printed("configMapGenerator:"))
    rendered = Rendered(compose(tmp_path / "overlay", K8S / overlay, **added))
    assert find_faults(rendered.manifests) == []
    [name] = [each["configMapRef"]["name"] for each in rendered.containers[0]["envFrom"] if "configMapRef" in each]
    variables = rendered.get("ConfigMap", name)["data"]
    assert variables.keys() > {"OTEL_EXPORTER_OTLP_ENDPOINT"}, "beside those of the base"
    collector = urlsplit(variables["OTEL_EXPORTER_OTLP_ENDPOINT"])
    [policy] = rendered.all("NetworkPolicy")
    for version in VERSIONS:
        kubernetes_validate.validate(policy, version, strict=True)
    namespace = collector.hostname.split(".")[1]
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}]
    assert {"to": peers, "ports": [{"port": collector.port}]} in policy["spec"]["egress"]


def printed(beginning):
    """The block of YAML in the README that begins so."""
    blocks = re.findall(r"```yaml\n(.*?)```", (K8S / "README.md").read_text(), re.DOTALL)
    [block] = [block for block in blocks if block.startswith(beginning)]
    return block
