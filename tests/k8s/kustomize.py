"""As much of `kubectl kustomize` as k8s/ uses, so that the manifests are checked where there is no kubectl.

Where there is one, `compare` holds it against the real thing.
"""

import base64
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
# What tells the items of a list apart when a patch is merged into it (`x-kubernetes-patch-merge-key` of the API).
KEYS = {"ports": "containerPort", "volumeMounts": "mountPath"}


def render(folder: Path) -> list[Manifest]:
    """All manifests of the kustomization in `folder`. Raises ValueError for what this does not know."""
    plan = read(folder / "kustomization.yaml")[0]
    unknown = set(plan) - {"apiVersion", "kind", "resources", "patches", "configMapGenerator", "secretGenerator"}
    if unknown - {"generatorOptions"}:
        raise ValueError(f"{folder}/kustomization.yaml: {', '.join(unknown)}: not known here")
    manifests = [manifest for name in plan["resources"] for manifest in _load(folder / name)]
    for patch in plan.get("patches", []):
        for change in read(folder / patch["path"]):
            _patch(manifests, change)
    for wanted in plan.get("configMapGenerator", []):
        _generate(manifests, "ConfigMap", wanted, {Path(name).name: _text(folder, name) for name in wanted["files"]})
    for wanted in plan.get("secretGenerator", []):
        lines = "\n".join(_text(folder, name) for name in wanted["envs"]).splitlines()
        pairs = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in pairs.items()}
        _generate(manifests, "Secret", wanted, encoded)
    return manifests


def read(path: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(path.read_text()))


def merge(old: Any, new: Any, key: str = "") -> Any:
    """A strategic merge of what k8s/ has: mappings by key, lists of named things by name, all else replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {name: merge(old.get(name), value, name) for name, value in new.items()}
    if not isinstance(old, list) or not all(isinstance(item, dict) for item in (*old, *new)):
        return new
    identity = KEYS.get(key, "name")
    known = {item[identity]: item for item in old}
    changed = {item[identity]: merge(known.get(item[identity], {}), item) for item in new}
    added = [name for name in changed if name not in known]
    # kustomize puts what is new in front
    return [changed[name] for name in added] + [changed.get(name, item) for name, item in known.items()]


def _load(path: Path) -> list[Manifest]:
    return render(path) if path.is_dir() else read(path)


def _text(folder: Path, name: str) -> str:
    return (folder / name).read_text()


def _patch(manifests: list[Manifest], change: Manifest) -> None:
    place = _find(manifests, change["kind"], change["metadata"]["name"])
    manifests[place] = merge(manifests[place], change)


def _generate(manifests: list[Manifest], kind: str, wanted: Manifest, data: dict[str, str]) -> None:
    if wanted.get("behavior") == "merge":
        place = _find(manifests, kind, wanted["name"])
        manifests[place]["data"] |= data
        return
    made = {"apiVersion": "v1", "kind": kind, "metadata": {"name": wanted["name"]}, "data": data}
    manifests.append(made | ({"type": "Opaque"} if kind == "Secret" else {}))


def _find(manifests: list[Manifest], kind: str, name: str) -> int:
    for place, manifest in enumerate(manifests):
        if (manifest["kind"], manifest["metadata"]["name"]) == (kind, name):
            return place
    raise ValueError(f"a patch or generator changes {kind} {name}, which is not there")
