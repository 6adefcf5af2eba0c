"""The manifests of k8s/ fit Kubernetes' API, each other, and Relay's own configuration."""

import copy
import re
import tomllib
from pathlib import Path

import kubernetes_validate
import pytest

from relay.errors import Misconfigured
from tests.k8s.kustomize import render
from tests.k8s.references import Rendered, find_faults, read_secrets

ROOT = Path(__file__).parents[2]
OVERLAYS = {name: render(ROOT / "k8s" / name) for name in ("embedded", "cluster")}
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
    if tail == "app.kubernetes.io/name":
        return "selector" in parents or "matchLabels" in parents or "template" in parents
    if tail in {"targetPort", "serviceAccountName", "claimName"} or parents[-1:] in (["httpGet"], ["service"]):
        return tail != "path"
    if tail == "port":
        return True
    return tail == "name" and parents[-1] in {"ports", "port", "volumes", "volumeMounts", "configMap", "secretRef"}


DEFINED = {"ConfigMap", "Secret", "PersistentVolumeClaim", "ServiceAccount"}


def find_mutations():
    for overlay, manifests in OVERLAYS.items():
        for place, manifest in enumerate(manifests):
            owner = f"{manifest['kind']}-{manifest['metadata']['name']}"
            paths = list(find_names(manifest.get("spec", {}), ("spec",)))
            paths += [("metadata", "name")] if manifest["kind"] in DEFINED or owner == "Service-relay-hooks" else []
            for path in paths:
                yield pytest.param(overlay, place, path, id=f"{overlay}-{owner}-{'.'.join(map(str, path))}")


@overlays
def test_each_manifest_is_valid_to_the_letter(overlay):
    for manifest in OVERLAYS[overlay]:
        kubernetes_validate.validate(manifest, "1.37.0", strict=True)


@overlays
def test_every_name_that_is_used_exists(overlay):
    assert find_faults(OVERLAYS[overlay]) == []


@pytest.mark.parametrize(("overlay", "place", "path"), list(find_mutations()))
def test_a_name_that_is_changed_in_one_place_only_is_found(overlay, place, path):
    manifests = copy.deepcopy(OVERLAYS[overlay])
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
    data = next(each["data"] for each in manifests if each["kind"] == "ConfigMap")
    assert any(old in text for text in data.values())
    data.update({name: text.replace(old, new) for name, text in data.items()})
    assert find_faults(manifests)


@overlays
def test_relay_itself_accepts_the_configuration_with_the_keys_of_the_secret(overlay, tmp_path):
    from relay.config import load

    rendered = Rendered(OVERLAYS[overlay])
    for name, text in rendered.all("ConfigMap")[0]["data"].items():
        (tmp_path / name).write_text(text)
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
    assert {each["image"] for each in Rendered(OVERLAYS[overlay]).containers} == {f"relay:{version}"}


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


def test_one_ledger_file_never_has_two_pods():
    assert Rendered(OVERLAYS["embedded"]).deployment["spec"]["replicas"] == 1
    assert Rendered(OVERLAYS["embedded"]).deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_a_cluster_is_updated_without_a_pod_less():
    spec = Rendered(OVERLAYS["cluster"]).deployment["spec"]
    assert spec["replicas"] >= 2
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


@overlays
def test_a_pod_has_time_to_drain(overlay):
    """preStop, then `serve --grace 20s`, within the grace that Kubernetes gives."""
    pod = Rendered(OVERLAYS[overlay]).pod
    assert pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == 5
    assert pod["terminationGracePeriodSeconds"] == 45
