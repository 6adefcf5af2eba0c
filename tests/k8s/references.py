"""Every name that one manifest takes from another, or from Relay's configuration, is there."""

import base64
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import yaml

from tests.k8s.kustomize import Manifest

LISTENERS = ("hooks", "health", "ops")


class Rendered:
    """The manifests of one overlay, by kind and name."""

    def __init__(self, manifests: list[Manifest]) -> None:
        self.manifests = manifests

    def all(self, kind: str) -> list[Manifest]:
        return [manifest for manifest in self.manifests if manifest["kind"] == kind]

    def names(self, kind: str) -> set[str]:
        return {manifest["metadata"]["name"] for manifest in self.all(kind)}

    def get(self, kind: str, name: str) -> Manifest:
        return next((each for each in self.all(kind) if each["metadata"]["name"] == name), {})

    @property
    def deployment(self) -> Manifest:
        return self.all("Deployment")[0]

    @property
    def pod(self) -> Manifest:
        return self.deployment["spec"]["template"]["spec"]

    @property
    def labels(self) -> dict[str, str]:
        return self.deployment["spec"]["template"]["metadata"]["labels"]

    @property
    def containers(self) -> list[Manifest]:
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def ports(self) -> dict[str, int]:
        """Port numbers by name, of all containers."""
        return {port["name"]: port["containerPort"] for each in self.containers for port in each.get("ports", [])}


def find_faults(manifests: list[Manifest]) -> list[str]:
    """What does not fit, one line each."""
    rendered = Rendered(manifests)
    checks = (check_labels, check_ports, check_ingress, check_volumes, check_accounts, check_secrets, check_config)
    return [fault for check in checks for fault in check(rendered)]


def check_labels(rendered: Rendered) -> Iterator[str]:
    selectors = [("Deployment", rendered.deployment["spec"]["selector"]["matchLabels"])]
    selectors += [("Service", each["spec"]["selector"]) for each in rendered.all("Service")]
    selectors += [
        ("NetworkPolicy", each["spec"]["podSelector"]["matchLabels"]) for each in rendered.all("NetworkPolicy")
    ]
    budgets = rendered.all("PodDisruptionBudget")
    selectors += [("PodDisruptionBudget", each["spec"]["selector"]["matchLabels"]) for each in budgets]
    spread = rendered.pod.get("topologySpreadConstraints", [])
    selectors += [("topologySpreadConstraints", each["labelSelector"]["matchLabels"]) for each in spread]
    for owner, wanted in selectors:
        if not wanted or not wanted.items() <= rendered.labels.items():
            yield f"{owner} selects {wanted}, the pods have {rendered.labels}"


def check_ports(rendered: Rendered) -> Iterator[str]:
    wanted = [("Service", port["targetPort"]) for each in rendered.all("Service") for port in each["spec"]["ports"]]
    wanted += [("NetworkPolicy", name) for each in rendered.all("NetworkPolicy") for name in _policy_ports(each)]
    probes = ("startupProbe", "livenessProbe", "readinessProbe")
    wanted += [(probe, rendered.pod["containers"][0][probe]["httpGet"]["port"]) for probe in probes]
    for owner, name in wanted:
        if name not in rendered.ports:
            yield f"{owner} wants the port {name}, the containers have {sorted(rendered.ports)}"
    for probe in probes:
        if rendered.pod["containers"][0][probe]["httpGet"]["port"] != "health":
            yield f"{probe} does not ask the health listener"


def check_ingress(rendered: Rendered) -> Iterator[str]:
    for ingress in rendered.all("Ingress"):
        for path in (path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]):
            backend = path["backend"]["service"]
            ports = rendered.get("Service", backend["name"]).get("spec", {}).get("ports", [])
            target = {port.get("name"): port["targetPort"] for port in ports}.get(backend["port"]["name"])
            if (path["path"], target) != ("/hooks", "hooks"):
                yield f"Ingress leads {path['path']} to {backend}, which is {target}: only /hooks to the hooks listener"


def check_volumes(rendered: Rendered) -> Iterator[str]:
    volumes = {volume["name"]: volume for volume in rendered.pod["volumes"]}
    mounted = {mount["name"] for each in rendered.containers for mount in each["volumeMounts"]}
    if mounted != set(volumes):
        yield f"mounted are {sorted(mounted)}, the volumes are {sorted(volumes)}"
    for volume in volumes.values():
        for kind, key, field in (
            ("ConfigMap", "configMap", "name"),
            ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
        ):
            if key in volume and volume[key][field] not in rendered.names(kind):
                yield f"the volume {volume['name']} wants {kind} {volume[key][field]}, which is not there"
    yield from check_mounts(rendered, volumes)


def check_mounts(rendered: Rendered, volumes: dict[str, Manifest]) -> Iterator[str]:
    """The configuration is where Relay looks for it, as a whole folder, and an embedded ledger is on a kept volume."""
    for container in rendered.containers:
        places = {mount["mountPath"]: volumes.get(mount["name"], {}) for mount in container["volumeMounts"]}
        folder = {each["name"]: each.get("value") for each in container["env"]}.get("RELAY_CONFIG")
        if "configMap" not in places.get(folder, {}) or any("subPath" in mount for mount in container["volumeMounts"]):
            yield f"{container['name']}: RELAY_CONFIG={folder} is no mounted folder of a ConfigMap"
        database = read_config(rendered).get("ledger", {}).get("url", "")
        if database.startswith("sqlite:///"):
            home = str(PurePosixPath(database.removeprefix("sqlite:///")).parent)
            if "persistentVolumeClaim" not in places.get(home, {}):
                yield f"{container['name']}: the ledger {database} is on no volume that is kept"


def check_accounts(rendered: Rendered) -> Iterator[str]:
    account = rendered.pod["serviceAccountName"]
    if account not in rendered.names("ServiceAccount"):
        yield f"the pods run as {account}, there is {rendered.names('ServiceAccount')}"


def check_secrets(rendered: Rendered) -> Iterator[str]:
    """Each `${NAME}` of the configuration is a key of a Secret that the container gets, and no key is for nothing."""
    wanted = {name for text in config_texts(rendered) for name in re.findall(r"\$\{([A-Z_]+)\}", text)}
    for container in rendered.containers:
        names = [source["secretRef"]["name"] for source in container["envFrom"]]
        given = {key for name in names for key in rendered.get("Secret", name).get("data", {})}
        if given != wanted:
            yield f"{container['name']}: the configuration wants {sorted(wanted)}, {names} have {sorted(given)}"


def check_config(rendered: Rendered) -> Iterator[str]:
    """The listeners of the configuration are the ports of the container, and the operators' one has its token."""
    http = read_config(rendered).get("http", {})
    listening = {name: int(str(http.get(name, ":0")).rpartition(":")[2]) for name in LISTENERS}
    if listening != rendered.ports:
        yield f"Relay listens on {listening}, the ports are {rendered.ports}"
    if "token" not in http:
        yield "the operators' listener is reachable in the cluster and has no http.token"


def config_texts(rendered: Rendered) -> list[str]:
    name = next((each["configMap"]["name"] for each in rendered.pod["volumes"] if "configMap" in each), "")
    return [text for file, text in rendered.get("ConfigMap", name).get("data", {}).items() if file.endswith(".yaml")]


def read_config(rendered: Rendered) -> dict[str, Any]:
    return {key: value for text in config_texts(rendered) for key, value in yaml.safe_load(text).items()}


def read_secrets(rendered: Rendered) -> dict[str, str]:
    """The variables that the containers get from Secrets, as they will see them."""
    pairs = (pair for secret in rendered.all("Secret") for pair in secret["data"].items())
    return {key: base64.b64decode(value).decode() for key, value in pairs}


def _policy_ports(policy: Manifest) -> list[str]:
    return [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]]
