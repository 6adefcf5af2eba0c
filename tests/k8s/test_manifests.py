"""The manifests of k8s/ fit Kubernetes' API, each other, and Relay's own configuration."""

import copy
import re
import subprocess
import tempfile
import tomllib
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from relay.errors import Misconfigured
from relay.units import duration
from tests.k8s.kustomize import K8S, VERSIONS, compose, render
from tests.k8s.references import Rendered, config_texts, find_faults, read_secrets

ROOT = Path(__file__).parents[2]
OVERLAYS = {name: render(K8S / name) for name in ("embedded", "cluster")}
with tempfile.TemporaryDirectory() as _folder:
    EXPOSED = {name: compose(Path(_folder) / name, K8S / name, "ingress-tls") for name in OVERLAYS}
"""With what leads to the Services too."""
overlays = pytest.mark.parametrize("overlay", OVERLAYS)


def find_names(node, path=()):
    """The path of every name in the manifests that something else relies on, or that relies on something else."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from find_names(value, (*path, key))
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from find_names(value, (*path, place))
    elif isinstance(node, str) and is_name(path):
        yield path


def is_name(path):
    tail = path[-1]
    parents = [part for part in path[:-1] if isinstance(part, str)]
    if tail in {"app.kubernetes.io/name", "app.kubernetes.io/instance"}:
        return "selector" in parents or "matchLabels" in parents or "template" in parents
    if tail in {"targetPort", "serviceAccountName", "serviceName"} or parents[-1:] in (["httpGet"], ["service"]):
        return tail != "path"
    if tail == "port":
        return True
    return tail == "name" and parents[-1] in {
        "ports",
        "port",
        "volumes",
        "volumeMounts",
        "configMap",
        "configMapRef",
        "secretRef",
    }


DEFINED = {"ConfigMap", "Secret", "ServiceAccount"}


def find_mutations():
    for overlay, manifests in EXPOSED.items():
        for place, manifest in enumerate(manifests):
            owner = f"{manifest['kind']}-{manifest['metadata']['name']}"
            paths = list(find_names(manifest.get("spec", {}), ("spec",)))
            paths += [("metadata", "name")] if manifest["kind"] in DEFINED or owner == "Service-relay-hooks" else []
            if manifest["kind"] == "Service" and owner != "Service-relay-hooks":
                paths.remove(("spec", "ports", 0, "name"))  # for people: nothing here refers to it
            for path in paths:
                yield pytest.param(overlay, place, path, id=f"{overlay}-{owner}-{'.'.join(map(str, path))}")


@overlays
def test_each_manifest_is_valid_to_the_letter(overlay):
    for manifest in OVERLAYS[overlay]:
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)


@overlays
def test_every_name_that_is_used_exists(overlay):
    assert find_faults(OVERLAYS[overlay]) == []


@pytest.mark.parametrize(("overlay", "place", "path"), list(find_mutations()))
def test_a_name_that_is_changed_in_one_place_only_is_found(overlay, place, path):
    manifests = copy.deepcopy(EXPOSED[overlay])
    node = manifests[place]
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] += "-other"
    assert find_faults(manifests)


@pytest.mark.parametrize(
    ("overlay", "old", "new"),
    [
        ("embedded", "hooks: :8080", "hooks: :8090"),
        ("embedded", "${HELPDESK_SECRET}", "${OTHER_SECRET}"),
        ("embedded", "/var/lib/relay/", "/var/lib/other/"),
        ("cluster", "${POSTGRES_PASSWORD}", "none"),
        ("cluster", "  token: ${RELAY_TOKEN}", ""),
    ],
)
def test_a_configuration_that_does_not_fit_the_manifests_is_found(overlay, old, new):
    manifests = copy.deepcopy(OVERLAYS[overlay])
    maps = [each["data"] for each in manifests if each["kind"] == "ConfigMap"]
    assert any(old in text for data in maps for text in data.values())
    for data in maps:
        data.update({name: text.replace(old, new) for name, text in data.items()})
    assert find_faults(manifests)


@overlays
def test_relay_itself_accepts_the_configuration_with_the_keys_of_the_secret(overlay, tmp_path):
    from relay.config import load

    rendered = Rendered(OVERLAYS[overlay])
    for number, text in enumerate(config_texts(rendered)):
        (tmp_path / f"{number}.yaml").write_text(text)
    shipped = read_secrets(rendered)
    with pytest.raises(Misconfigured) as refused:
        load([tmp_path], shipped)
    assert len(refused.value.faults) == len(shipped)
    for name in shipped:
        [fault] = [fault for fault in refused.value.faults if f"${{{name}}}" in fault]
        assert re.match(rf"{re.escape(str(tmp_path))}/\w+\.yaml:\d+:\d+: [a-z.]+: is still the placeholder", fault)
    loaded = load([tmp_path], {name: f"{name}-of-the-operator" for name in shipped})
    beyond = {"cluster": ["broker.url", "ledger.url"], "embedded": []}[overlay]
    told = sorted(warning.split(": ")[1] for warning in loaded.warnings)
    assert told == beyond, "services of the cluster, without TLS"
    assert list(loaded.settings.sources) == ["helpdesk"]


@overlays
def test_the_image_is_of_this_version(overlay):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    rendered = Rendered(OVERLAYS[overlay])
    assert {each["image"] for each in rendered.containers} == {f"relay:{version}"}
    assert rendered.labels["app.kubernetes.io/version"] == version
    assert f"`make image` names it by the version, `relay:{version}`," in (ROOT / "README.md").read_text()


@overlays
def test_no_container_may_more_than_it_needs(overlay):
    rendered = Rendered(OVERLAYS[overlay])
    assert rendered.pod["securityContext"]["runAsNonRoot"] is True
    assert rendered.pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert rendered.pod["automountServiceAccountToken"] is False
    for container in rendered.containers:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["requests"] == {"cpu": "100m", "memory": "128Mi"}


def test_one_ledger_file_never_has_two_pods_and_outlives_a_delete():
    workload = Rendered(OVERLAYS["embedded"]).workload
    assert (workload["kind"], workload["spec"]["replicas"]) == ("StatefulSet", 1)
    # Else a pod that a broken configuration has ended stays when the configuration is mended.
    assert workload["spec"]["podManagementPolicy"] == "Parallel"
    assert workload["spec"]["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert "PersistentVolumeClaim" not in {each["kind"] for each in OVERLAYS["embedded"]}


def test_a_cluster_is_updated_without_a_pod_less():
    spec = Rendered(OVERLAYS["cluster"]).workload["spec"]
    assert spec["replicas"] >= 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert spec["minReadySeconds"] >= 5


@overlays
def test_a_pod_has_time_to_linger_and_to_drain_and_is_left_out_by_then(overlay):
    """`serve --linger`, then `--grace`, within the grace that Kubernetes gives; no hook before it."""
    pod = Rendered(OVERLAYS[overlay]).pod
    [container] = pod["containers"]
    options = dict(zip(container["args"][2::2], container["args"][3::2], strict=True))
    linger, grace = (duration(options[name]) / 1_000 for name in ("--linger", "--grace"))
    assert "lifecycle" not in container
    assert pod["terminationGracePeriodSeconds"] >= linger + grace + 15
    probe = container["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < linger


@overlays
def test_it_waits_for_its_database_itself_and_says_why_it_does_not_start(overlay):
    pod = Rendered(OVERLAYS[overlay]).pod
    assert "initContainers" not in pod
    assert pod["containers"][0]["args"][:2] == ["serve", "--migrate"]
    assert pod["containers"][0]["terminationMessagePolicy"] == "FallbackToLogsOnError"


@overlays
def test_operators_and_metrics_are_not_for_every_namespace(overlay):
    [policy] = Rendered(OVERLAYS[overlay]).all("NetworkPolicy")
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    open_ports = [port["port"] for rule in policy["spec"]["ingress"] if "from" not in rule for port in rule["ports"]]
    assert open_ports == ["hooks"]
    peers = [peer for rule in policy["spec"]["ingress"] for peer in rule.get("from", ())]
    assert {} not in [peer.get("namespaceSelector") for peer in peers]


@overlays
def test_everything_says_what_it_is_and_each_port_its_name(overlay):
    for manifest in OVERLAYS[overlay]:
        labels = manifest["metadata"]["labels"]
        assert {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/part-of"} <= set(labels)
    services = Rendered(OVERLAYS[overlay]).all("Service")
    assert services
    for service in services:
        assert service["spec"]["ports"]
        assert all("name" in port for port in service["spec"]["ports"])


def test_plain_files_are_what_is_applied():
    """`make install` writes them, and the rules for a Prometheus without the operator."""
    subprocess.run(["make", "-o", ".venv/test.stamp", "install"], cwd=ROOT, check=True, capture_output=True)
    build = ROOT / "build"
    for overlay, manifests in OVERLAYS.items():
        assert list(yaml.safe_load_all((build / f"install-{overlay}.yaml").read_text())) == manifests
    subprocess.run(["promtool", "check", "rules", build / "alerts.yaml"], check=True, capture_output=True)
