"""The Helm chart installs what the overlays of kustomize do, and what its values say."""

import platform
import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.k8s.kustomize import K8S, OVERLAYS, VERSIONS, render
from tests.k8s.references import Rendered, find_faults, read_config, read_secrets

if platform.machine() != "x86_64":
    pytest.skip("Helm's engine comes as a wheel for x86_64 alone", allow_module_level=True)

import helm_python

MAKE = K8S.parent / ".ci/chart.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("chart")
    subprocess.run([sys.executable, MAKE, made], check=True)
    return made


@pytest.fixture
def install(folder):
    """What a release makes: `install("relay", mode="cluster")`."""

    def run(release, **values):
        with helm_python.Chart.load(str(folder / "relay")) as chart:
            chart.validate_schema(values)
            texts = chart.render(values, name=release, namespace="default")
        return [each for text in texts.values() for each in yaml.safe_load_all(text) if each]

    return run


def settle(manifests):
    """The manifests by kind and name, without what rolls the pods: a hash in the name there, an annotation here."""
    plain = re.sub(r"\brelay-(env|settings|secrets)-[a-z0-9]{10}\b", r"relay-\1", yaml.safe_dump_all(manifests))
    settled = list(yaml.safe_load_all(plain))
    for pod in (each["spec"]["template"] for each in settled if each["kind"] in {"Deployment", "StatefulSet"}):
        pod["metadata"].pop("annotations", None)
    return {(each["kind"], each["metadata"]["name"]): each for each in settled}


@pytest.mark.parametrize("mode", OVERLAYS)
def test_a_chart_installs_what_is_applied(mode, install):
    assert settle(install("relay", mode=mode)) == settle(render(K8S / mode))


@pytest.mark.parametrize("mode", OVERLAYS)
def test_every_name_of_a_release_exists_and_is_its_own(mode, install):
    manifests = install("eu", mode=mode)
    assert find_faults(manifests) == []
    assert {each["metadata"]["name"].partition("-")[0] for each in manifests} == {"eu"}
    assert {each["metadata"]["labels"]["app.kubernetes.io/instance"] for each in manifests} == {"eu"}
    for manifest in manifests:
        for version in VERSIONS:
            kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.parametrize("mode", OVERLAYS)
def test_values_go_where_they_belong(mode, install):
    manifests = install(
        "relay",
        mode=mode,
        image={"repository": "registry.example.com/relay", "tag": "1.2.3"},
        replicas=5,
        storage="20Gi",
        resources={"requests": {"cpu": "1"}},
        secrets={"CARGO_API_TOKEN": 'a"b<c>: {}', "MORE": "one"},
        rules="rules: [] # {{ data.id }}\n",
    )
    rendered = Rendered(manifests)
    [container] = rendered.containers
    assert container["image"] == "registry.example.com/relay:1.2.3"
    assert container["resources"] == {"requests": {"cpu": "1", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
    assert rendered.workload["spec"]["replicas"] == (5 if mode == "cluster" else 1)
    for claim in rendered.workload["spec"].get("volumeClaimTemplates", []):
        assert claim["spec"]["resources"]["requests"] == {"storage": "20Gi"}
    secrets = read_secrets(rendered)
    assert (secrets["CARGO_API_TOKEN"], secrets["MORE"]) == ('a"b<c>: {}', "one")
    assert secrets["RELAY_TOKEN"].startswith("replace-with-"), "Relay refuses it until it is set"
    assert rendered.get("ConfigMap", "relay-rules")["data"] == {"rules.yaml": "rules: [] # {{ data.id }}\n"}


def test_a_scaler_may_own_the_number_of_replicas(install):
    assert Rendered(install("relay", mode="cluster", replicas=None)).workload["spec"].get("replicas") is None


def test_a_secret_of_the_operators_is_used_and_none_is_made(install):
    rendered = Rendered(install("relay", existingSecret="from-the-vault"))
    assert rendered.all("Secret") == []
    assert {"secretRef": {"name": "from-the-vault"}} in rendered.environments


@pytest.mark.parametrize(
    ("values", "rolls"),
    [
        ({"rules": "rules: []\n"}, False),
        ({"settings": "cargo: {}\n"}, True),
        ({"ledger": "ledger: {}\n"}, True),
        ({"env": {"RELAY_LOG_LEVEL": "debug"}}, True),
        ({"secrets": {"RELAY_TOKEN": "another"}}, True),
    ],
)
@pytest.mark.parametrize("mode", OVERLAYS)
def test_a_change_rolls_the_pods_unless_relay_follows_it_itself(mode, values, rolls, install):
    before, after = install("relay", mode=mode), install("relay", mode=mode, **values)
    assert before != after
    assert (Rendered(before).workload != Rendered(after).workload) is rolls


@pytest.mark.parametrize("values", [{"image": {"tga": "1"}}, {"mode": "both"}, {"replica": 3}, {"secrets": {"A": 1}}])
def test_a_value_that_is_none_is_refused(values, install):
    with pytest.raises(helm_python.HelmError):
        install("relay", **values)


def test_the_archive_is_the_chart_and_the_same_each_time(folder, tmp_path):
    subprocess.run([sys.executable, MAKE, tmp_path], check=True)
    [archive], [again] = (list(Path(each).glob("relay-*.tgz")) for each in (folder, tmp_path))
    assert archive.read_bytes() == again.read_bytes()
    with helm_python.Chart.load_archive(archive.read_bytes()) as chart:
        version = Rendered(render(K8S / "cluster")).labels["app.kubernetes.io/version"]
        assert (chart.name, chart.version) == ("relay", version)


def test_helm_has_nothing_to_say_against_it(folder):
    said = helm_python.lint(str(folder / "relay"), strict=True)
    assert [each["error"] for each in said["messages"]] == ["icon is recommended"]
    assert said["errors"] == []


def test_the_values_of_the_readme_are_values_of_the_chart(install):
    blocks = re.findall(r"```yaml\n(.*?)```", (K8S / "README.md").read_text(), re.DOTALL)
    values = yaml.safe_load(next(block for block in blocks if "mine.yaml" in block))
    rendered = Rendered(install("relay", **values))
    assert rendered.workload["kind"] == "Deployment"
    assert read_config(rendered)["ledger"]["password"] == "${POSTGRES_PASSWORD}"
