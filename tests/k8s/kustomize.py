"""Renders k8s/ as `kubectl apply -k` does."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
K8S = Path(__file__).parents[2] / "k8s"
OVERLAYS = ("embedded", "cluster")
COMPONENTS = tuple(sorted(folder.name for folder in (K8S / "components").iterdir()))
VERSIONS = ("1.30", "1.37")
"""The oldest and the newest Kubernetes that is supported."""
SCALERS = ("autoscale-hpa", "autoscale-keda")
FOREIGN = {"ScaledObject", "ExternalSecret", "PodMonitor", "PrometheusRule", "HTTPRoute", "RabbitmqCluster"}
"""Kinds of operators, whose schemas are not Kubernetes' own."""
MISSING = "These tests need kubectl 1.27 or newer: apt-get install kubernetes-client (Debian 13)."


def render(folder: Path) -> list[Manifest]:
    """All manifests of the kustomization in `folder`."""
    if shutil.which("kubectl") is None:
        raise FileNotFoundError(MISSING)
    done = subprocess.run(["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(done.stderr)
    return list(yaml.safe_load_all(done.stdout))


def compose(folder: Path, overlay: Path, *components: str, **more: object) -> list[Manifest]:
    """What an overlay of an operator makes: written to `folder`, with `more` of its keys."""
    paths = [relative(K8S / "components" / name, folder) for name in components]
    plan = {"kind": "Kustomization", "resources": [relative(overlay, folder)], "components": paths, **more}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(plan))
    return render(folder)


def relative(path: Path, folder: Path) -> str:
    return os.path.relpath(path.resolve(), folder.resolve())


def copy(folder: Path, changes: Mapping[str, tuple[str, str]]) -> Path:
    """A copy of k8s/ with a text replaced by another in some files."""
    shutil.copytree(K8S, folder)
    for name, (old, new) in changes.items():
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))
    return folder


def kinds(manifests: Sequence[Manifest], *wanted: str) -> list[Manifest]:
    return [manifest for manifest in manifests if manifest["kind"] in wanted]
