"""Holds the renderer of the tests against kubectl's: python -m tests.k8s.compare FOLDER FILE_THAT_KUBECTL_RENDERED."""

import sys
from pathlib import Path

from tests.k8s.kustomize import Manifest, read, render


def key(manifest: Manifest) -> tuple[str, str]:
    return manifest["kind"], manifest["metadata"]["name"]


def main(folder: str, rendered: str) -> int:
    ours, theirs = (sorted(manifests, key=key) for manifests in (render(Path(folder)), read(Path(rendered))))
    differing = {key(a) for a in ours if a not in theirs} | {key(b) for b in theirs if b not in ours}
    for kind, name in sorted(differing):
        print(f"{folder}: {kind} {name} is not what kubectl makes of it; mend tests/k8s/kustomize.py")  # noqa: T201 - for a terminal
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
