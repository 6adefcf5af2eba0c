"""Every name that one manifest takes from another, or from Relay's configuration, is there."""

import base64
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import yaml

from tests.k8s.kustomize import Manifest

SELECTING = {"app.kubernetes.io/name", "app.kubernetes.io/instance"}
"""Selectors of a Deployment never change: these are all that they have, so that two instances share a namespace."""
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
    def workload(self) -> Manifest:
        return [*self.all("Deployment"), *self.all("StatefulSet")][0]

    @property
    def pod(self) -> Manifest:
        return self.workload["spec"]["template"]["spec"]

    @property
    def labels(self) -> dict[str, str]:
        return self.workload["spec"]["template"]["metadata"]["labels"]

    @property
    def containers(self) -> list[Manifest]:
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def volumes(self) -> dict[str, Manifest]:
        """Volumes of the pods and claims of the workload, by name."""
        claims = self.workload["spec"].get("volumeClaimTemplates", [])
        return {each["name"]: each for each in self.pod["volumes"]} | {
            each["metadata"]["name"]: each for each in claims
        }

    @property
    def config_maps(self) -> list[str]:
        """The names of the ConfigMaps that the pods use."""
        sources = [each for volume in self.pod["volumes"] for each in volume.get("projected", {}).get("sources", [])]
        sources += [{"configMap": each["configMapRef"]} for each in self.environments if "configMapRef" in each]
        return [each["configMap"]["name"] for each in sources]

    @property
    def environments(self) -> list[Manifest]:
        return [source for container in self.containers for source in container["envFrom"]]

    @property
    def ports(self) -> dict[str, int]:
        """Port numbers by name, of all containers."""
        return {port["name"]: port["containerPort"] for each in self.containers for port in each.get("ports", [])}


def find_faults(manifests: list[Manifest]) -> list[str]:
    """What does not fit, one line each."""
    rendered = Rendered(manifests)
    checks = (
        check_labels,
        check_ports,
        check_ingress,
        check_targets,
        check_routes,
        check_scrapes,
        check_volumes,
        check_accounts,
        check_secrets,
        check_config,
    )
    return [fault for check in checks for fault in check(rendered)]


def check_labels(rendered: Rendered) -> Iterator[str]:
    selectors = [(rendered.workload["kind"], rendered.workload["spec"]["selector"]["matchLabels"])]
    selectors += [("Service", each["spec"]["selector"]) for each in rendered.all("Service")]
    selectors += [
        ("NetworkPolicy", each["spec"]["podSelector"]["matchLabels"]) for each in rendered.all("NetworkPolicy")
    ]
    budgets = rendered.all("PodDisruptionBudget")
    selectors += [("PodDisruptionBudget", each["spec"]["selector"]["matchLabels"]) for each in budgets]
    spread = rendered.pod.get("topologySpreadConstraints", [])
    selectors += [("topologySpreadConstraints", each["labelSelector"]["matchLabels"]) for each in spread]
    affinity = rendered.pod.get("affinity", {}).get("podAntiAffinity", {})
    terms = affinity.get("preferredDuringSchedulingIgnoredDuringExecution", [])
    selectors += [("podAntiAffinity", each["podAffinityTerm"]["labelSelector"]["matchLabels"]) for each in terms]
    for owner, wanted in selectors:
        if set(wanted) != SELECTING or not wanted.items() <= rendered.labels.items():
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


def check_targets(rendered: Rendered) -> Iterator[str]:
    """What scales or governs something names what is there."""
    service = rendered.workload["spec"].get("serviceName")
    if service is not None and service not in rendered.names("Service"):
        yield f"the StatefulSet wants the Service {service}"
    for scaler in [*rendered.all("HorizontalPodAutoscaler"), *rendered.all("ScaledObject")]:
        target = scaler["spec"]["scaleTargetRef"]["name"]
        if rendered.workload["kind"] != "Deployment" or target != rendered.workload["metadata"]["name"]:
            yield f"{scaler['kind']} scales {target}, which is not there"
        if "replicas" in rendered.workload["spec"]:
            yield f"{scaler['kind']} and the manifest both own the number of replicas"


def check_routes(rendered: Rendered) -> Iterator[str]:
    for route in rendered.all("HTTPRoute"):
        for backend in (backend for rule in route["spec"]["rules"] for backend in rule["backendRefs"]):
            ports = rendered.get("Service", backend["name"]).get("spec", {}).get("ports", [])
            if {port["port"]: port["targetPort"] for port in ports}.get(backend["port"]) != "hooks":
                yield f"HTTPRoute leads to {backend}, which is not the hooks listener"


def check_scrapes(rendered: Rendered) -> Iterator[str]:
    for monitor in rendered.all("PodMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        if set(wanted) != SELECTING or not wanted.items() <= rendered.labels.items():
            yield f"PodMonitor selects {wanted}, the pods have {rendered.labels}"
        if {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} != {"health"}:
            yield "PodMonitor scrapes another port than health"


def check_volumes(rendered: Rendered) -> Iterator[str]:
    volumes = rendered.volumes
    mounted = {mount["name"] for each in rendered.containers for mount in each["volumeMounts"]}
    if mounted != set(volumes):
        yield f"mounted are {sorted(mounted)}, the volumes are {sorted(volumes)}"
    for name in rendered.config_maps:
        if name not in rendered.names("ConfigMap"):
            yield f"the pods want the ConfigMap {name}, which is not there"
    yield from check_mounts(rendered, volumes)


def check_mounts(rendered: Rendered, volumes: dict[str, Manifest]) -> Iterator[str]:
    """The configuration is where Relay looks for it, as a whole folder, and an embedded ledger is on a kept volume."""
    for container in rendered.containers:
        places = {mount["mountPath"]: volumes.get(mount["name"], {}) for mount in container["volumeMounts"]}
        folder = {each["name"]: each.get("value") for each in container["env"]}.get("RELAY_CONFIG")
        if "projected" not in places.get(folder, {}) or any("subPath" in mount for mount in container["volumeMounts"]):
            yield f"{container['name']}: RELAY_CONFIG={folder} is no mounted folder of ConfigMaps"
        database = read_config(rendered).get("ledger", {}).get("url", "")
        if database.startswith("sqlite:///"):
            home = str(PurePosixPath(database.removeprefix("sqlite:///")).parent)
            if "accessModes" not in places.get(home, {}).get("spec", {}):
                yield f"{container['name']}: the ledger {database} is on no volume that is kept"


def check_accounts(rendered: Rendered) -> Iterator[str]:
    account = rendered.pod["serviceAccountName"]
    if account not in rendered.names("ServiceAccount"):
        yield f"the pods run as {account}, there is {rendered.names('ServiceAccount')}"


def check_secrets(rendered: Rendered) -> Iterator[str]:
    """Each `${NAME}` of the configuration is a key of a Secret that the container gets, and no key is for nothing."""
    wanted = {name for text in config_texts(rendered) for name in re.findall(r"\$\{([A-Z_]+)\}", text)}
    for container in rendered.containers:
        names = [source["secretRef"]["name"] for source in container["envFrom"] if "secretRef" in source]
        if set(names) & rendered.names("ExternalSecret"):
            continue  # what is in it stands in a vault
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
    data = [rendered.get("ConfigMap", name).get("data", {}) for name in rendered.config_maps]
    return [text for files in data for file, text in files.items() if file.endswith(".yaml")]


def read_config(rendered: Rendered) -> dict[str, Any]:
    """The blocks of all files, as Relay puts them together."""
    config: dict[str, Any] = {}
    for text in config_texts(rendered):
        for block, value in yaml.safe_load(text).items():
            config[block] = config.get(block, {}) | value if isinstance(value, dict) else value
    return config


def read_secrets(rendered: Rendered) -> dict[str, str]:
    """The variables that the containers get from Secrets, as they will see them."""
    pairs = (pair for secret in rendered.all("Secret") for pair in secret["data"].items())
    return {key: base64.b64decode(value).decode() for key, value in pairs}


def _policy_ports(policy: Manifest) -> list[str]:
    return [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]]
