"""Applies k8s/ to a real API server: `.venv/bin/python -m tests.k8s.apiserver [FOLDER_OF_CRDS]`.

It wants etcd and kube-apiserver on the PATH, which Debian's packages are not both, so `make test` does without it. It
starts them on this machine alone. Each line says what held; the first that does not ends it. The operators' kinds are
applied too where a folder has their CustomResourceDefinitions, else they are left out. No pod runs: no kubelet does.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.k8s.kustomize import COMPONENTS, FOREIGN, K8S, OVERLAYS, SCALERS, Manifest, compose, render
from tests.services.process import Process, Unavailable, find_port, wait_until

PATIENCE = 90.0
"""Seconds for the API server to be ready."""
TOKEN = "of-this-trial"
SECOND = {
    "nameSuffix": "-eu",
    "labels": [{"pairs": {"app.kubernetes.io/instance": "relay-eu"}, "includeSelectors": True}],
}
NUMBER = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "relay"}, "spec": {"replicas": 2}}


def main() -> None:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with serving(folder) as config:
            os.environ["KUBECONFIG"] = str(config)
            crds = sys.argv[1:]
            for place in crds:
                apply([each for file in Path(place).glob("*.yaml") for each in yaml.safe_load_all(file.read_text())])
            if crds:
                kubectl("wait", "--for=condition=Established", "customresourcedefinition", "--all", "--timeout=30s")
            try_warning()
            try_all(folder, foreign=bool(crds))
            try_chart(folder)
            try_scaler(folder, "autoscale-hpa")


@contextmanager
def serving(folder: Path) -> Iterator[Path]:
    """The path of a kubeconfig for a new API server."""
    etcd, peers, port = find_port(), find_port(), find_port()
    subprocess.run(["openssl", "genrsa", "-out", folder / "key", "2048"], check=True, capture_output=True)
    (folder / "tokens").write_text(f'{TOKEN},admin,1,"system:masters"\n')
    store, peer = f"http://127.0.0.1:{etcd}", f"http://127.0.0.1:{peers}"
    options = {
        "etcd": {
            "data-dir": folder / "etcd",
            "listen-client-urls": store,
            "advertise-client-urls": store,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
        },
        "kube-apiserver": {
            "etcd-servers": store,
            "bind-address": "127.0.0.1",
            "secure-port": port,
            "cert-dir": folder / "certificates",
            "advertise-address": "127.0.0.1",
            "endpoint-reconciler-type": "none",
            "service-cluster-ip-range": "10.96.0.0/16",
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": folder / "key",
            "service-account-signing-key-file": folder / "key",
            "token-auth-file": folder / "tokens",
            "authorization-mode": "RBAC",
        },
    }
    commands = [[name, *(f"--{key}={value}" for key, value in each.items())] for name, each in options.items()]
    config = folder / "kubeconfig"
    server = {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}
    known = {"clusters": [{"name": "here", "cluster": server}], "users": [{"name": "me", "user": {"token": TOKEN}}]}
    here = {"contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}], "current-context": "here"}
    config.write_text(json.dumps({"apiVersion": "v1", "kind": "Config"} | known | here))
    running = [Process(command, log=folder / f"{command[0]}.log") for command in commands]
    try:
        wait_until(
            lambda: kubectl("--kubeconfig", str(config), "get", "--raw=/readyz", ok=False).stdout == "ok",
            seconds=PATIENCE,
            alive=lambda: all(process.alive() for process in running),
            describe=lambda: "\n".join(process.describe() for process in running),
        )
        yield config
    finally:
        for process in reversed(running):
            process.stop()


def try_warning() -> None:
    """Silence says something only where the server speaks."""
    done = kubectl(*namespaced("unsafe"), "create", "deployment", "other", "--image=other")
    hold('would violate PodSecurity "restricted' in done.stderr, "a pod that may too much is warned of")


def try_all(folder: Path, *, foreign: bool) -> None:
    for overlay in OVERLAYS:
        quiet(render(K8S / overlay), overlay)
        for component in COMPONENTS:
            if overlay == "cluster" or component not in SCALERS:
                name = f"{overlay}-{component}"
                manifests = compose(folder / name, K8S / overlay, component)
                quiet([each for each in manifests if foreign or each["kind"] not in FOREIGN], name)
    quiet(compose(folder / "second", K8S / "cluster", **SECOND), "cluster")
    hold(len(names("cluster", "deployments")) == 2, "two instances stand beside each other")


def try_chart(folder: Path) -> None:
    import helm_python  # a wheel for x86_64 alone

    subprocess.run([sys.executable, K8S.parent / ".ci/chart.py", folder / "chart"], check=True)
    for overlay in OVERLAYS:
        with helm_python.Chart.load(str(folder / "chart/relay")) as chart:
            texts = chart.render({"mode": overlay}, name="relay", namespace="default")
        quiet([each for text in texts.values() for each in yaml.safe_load_all(text) if each], f"chart-{overlay}")


def try_scaler(folder: Path, scaler: str) -> None:
    """The number goes over to a scaler as k8s/README.md says, and stays what the scaler makes of it."""
    space = namespaced("scaled")
    apply(render(K8S / "cluster"), *space)
    apply([NUMBER], *space, "--field-manager=handover")
    scaled = compose(folder / "scaled", K8S / "cluster", scaler)
    apply(scaled, *space)
    hold(count(space) == "2", f"{scaler} comes, and the number stays 2")
    change = ("--subresource=scale", "--type=merge", '--patch={"spec": {"replicas": 6}}')
    kubectl(*space, "patch", "deployment/relay", *change, "--field-manager=horizontal-pod-autoscaler")
    apply(scaled, *space)
    hold(count(space) == "6", "a scaler makes it 6, and the next apply neither conflicts nor changes it")


def count(space: tuple[str, ...]) -> str:
    return kubectl(*space, "get", "deployment/relay", "--output=jsonpath={.spec.replicas}").stdout


def quiet(manifests: list[Manifest], name: str) -> None:
    """They are taken, in a namespace that enforces `restricted`, without a word of warning."""
    done = apply(manifests, *namespaced(name))
    hold(not done.stderr, f"{name}: {len(manifests)} objects, {done.stderr or 'no warning'}")


def namespaced(name: str) -> tuple[str, ...]:
    labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}])
    return ("--namespace", name)


def names(space: str, kind: str) -> list[str]:
    return kubectl("--namespace", space, "get", kind, "--output=name").stdout.split()


def apply(manifests: list[Manifest], *options: str) -> subprocess.CompletedProcess[str]:
    return kubectl("apply", "--server-side", *options, "--filename=-", given=yaml.safe_dump_all(manifests))


def kubectl(*command: str, given: str = "", ok: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["kubectl", *command], input=given, capture_output=True, text=True, check=False)
    if ok and done.returncode:
        raise SystemExit(f"kubectl {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done


def hold(held: bool, what: str) -> None:
    sys.stdout.write(f"{'ok' if held else 'NOT'}: {what}\n")
    sys.stdout.flush()
    if not held:
        raise SystemExit(1)


if __name__ == "__main__":
    try:
        main()
    except Unavailable as error:
        raise SystemExit(str(error)) from None
