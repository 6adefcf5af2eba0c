"""Makes a Helm chart of the overlays of k8s/: `make chart`. What it installs is what `kubectl apply -k` applies.

chart.py FOLDER writes FOLDER/relay and FOLDER/relay-VERSION.tgz. The manifests are rendered by kubectl; what
`values.yaml` offers and what comes from the release is put in as expressions of Helm, all else stands as it is.
"""

import base64
import gzip
import io
import json
import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import yaml

Manifest = dict[str, Any]
ROOT: Final = Path(__file__).parents[1]
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MODES: Final = ("embedded", "cluster")
HASHED: Final = re.compile(r"^relay-(env|settings|secrets)-[a-z0-9]{10}$")
"""Names that kustomize has given a hash: a chart has none, so the pods are rolled by annotations."""
CHECKED: Final = ("settings", "env", "secrets")
CHART: Final = {
    "apiVersion": "v2",
    "name": "relay",
    "description": PROJECT["description"],
    "type": "application",
    "version": PROJECT["version"],
    "appVersion": PROJECT["version"],
    "kubeVersion": ">=1.30.0-0",
}
VALUES: Final = """\
# embedded: one relay with SQLite on a claim. cluster: two and more on your PostgreSQL and RabbitMQ.
mode: embedded
image: {image}
# Of the cluster; null where a scaler owns the number.
replicas: {replicas}
# The size of the claim of an embedded ledger. It stays as it is once it is made.
storage: {storage}
resources: {resources}
# Variables of the process; a change rolls the pods.
env: {env}
# What ${{NAME}} in the files below stands for; a change rolls the pods. Better: a Secret of yours, by its name.
secrets: {secrets}
existingSecret: ""
# The files of the configuration. Relay follows changes of its rules; a change of the others rolls the pods.
# The ledger's is that of the mode, and for a cluster has the broker too.
ledger: ""
settings: |
{settings}rules: |
{rules}"""


class Expressions:
    """Marks that stand for expressions of Helm until the YAML is written, because YAML would quote them."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def mark(self, text: str) -> str:
        self._texts.append(text)
        return f"HELM{len(self._texts) - 1}MARK"

    def write(self, document: Manifest) -> str:
        text = yaml.safe_dump(document, sort_keys=True, width=1_000)
        if "{{" in text:
            raise ValueError(
                f"{document['kind']} {document['metadata']['name']} has {{{{ that Helm would take for its own"
            )
        return re.sub(r"HELM(\d+)MARK", lambda match: f"{{{{ {self._texts[int(match[1])]} }}}}", text)


def main() -> None:
    folder = Path(sys.argv[1]) / "relay"
    (folder / "templates").mkdir(parents=True, exist_ok=True)
    overlays = {mode: render(mode) for mode in MODES}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(CHART, sort_keys=False))
    (folder / "values.yaml").write_text(make_values(overlays))
    (folder / "values.schema.json").write_text(json.dumps(make_schema(folder), indent=2) + "\n")
    for mode, manifests in overlays.items():
        (folder / "templates" / f"{mode}.yaml").write_text(make_template(mode, manifests))
    pack(folder, folder.with_name(f"relay-{PROJECT['version']}.tgz"))


def render(overlay: str) -> list[Manifest]:
    command = ["kubectl", "kustomize", str(ROOT / "k8s" / overlay)]
    return list(yaml.safe_load_all(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def make_template(mode: str, manifests: list[Manifest]) -> str:
    """All objects of one overlay, for a release whose `mode` is this."""
    expressions = Expressions()
    secrets = find(manifests, "Secret", "secrets")["data"]
    ledger = find(manifests, "ConfigMap", "settings")["data"]["ledger.yaml"]
    for manifest in manifests:
        put_values(manifest, expressions, secrets, ledger)
        put_names(manifest, expressions.mark)
    head = f'{{{{- if eq .Values.mode "{mode}" }}}}\n'
    bodies = []
    for manifest in manifests:
        text = expressions.write(manifest)
        bodies.append(
            f"{{{{- if not .Values.existingSecret }}}}\n---\n{text}{{{{- end }}}}\n"
            if is_secret(manifest)
            else f"---\n{text}"
        )
    return head + "".join(bodies) + "{{- end }}\n"


def is_secret(manifest: Manifest) -> bool:
    return manifest["kind"] == "Secret"


def put_values(manifest: Manifest, expressions: Expressions, secrets: dict[str, str], ledger: str) -> None:
    """What `values.yaml` offers, in the places where it goes."""
    mark = expressions.mark
    kind = manifest["kind"]
    name = match[1] if (match := HASHED.match(manifest["metadata"]["name"])) else manifest["metadata"]["name"]
    if kind == "ConfigMap" and name == "env":
        manifest["data"] = mark(expression_of("env", secrets, ledger))
    elif kind == "ConfigMap" and name == "settings":
        manifest["data"] = mark(expression_of("settings", secrets, ledger))
    elif kind == "ConfigMap" and name == "relay-rules":
        manifest["data"]["rules.yaml"] = mark(".Values.rules | toJson")
    elif kind == "Secret":
        each = "{{ $key | quote }}: {{ $value | b64enc | quote }}, "
        shipped = expression_of("secrets", secrets, ledger)
        manifest["data"] = mark(
            f'"{{" }}}}{{{{ range $key, $value := {shipped} | fromJson }}}}{each}{{{{ end }}}}{{{{ "}}"'
        )
    elif kind in {"Deployment", "StatefulSet"}:
        put_workload(manifest["spec"], kind, mark)
        notes = manifest["spec"]["template"]["metadata"].setdefault("annotations", {})
        for each in CHECKED:
            notes[f"checksum/{each}"] = mark(f"{expression_of(each, secrets, ledger)} | sha256sum")


def put_workload(spec: Manifest, kind: str, mark: Callable[[str], str]) -> None:
    [container] = spec["template"]["spec"]["containers"]
    container["image"] = mark('printf "%s:%s" .Values.image.repository .Values.image.tag | quote')
    container["resources"] = mark(".Values.resources | toJson")
    if kind == "Deployment":
        spec["replicas"] = mark(".Values.replicas | toJson")
    else:
        [claim] = spec["volumeClaimTemplates"]
        claim["spec"]["resources"]["requests"]["storage"] = mark(".Values.storage | quote")


def expression_of(what: str, secrets: dict[str, str], ledger: str) -> str:
    """The content of a ConfigMap or of the Secret as one JSON object, which YAML is too."""
    if what == "env":
        return ".Values.env | toJson"
    if what == "settings":
        text = f"(.Values.ledger | default {json.dumps(ledger)})"
        return f'dict "settings.yaml" .Values.settings "ledger.yaml" {text} | toJson'
    # What the overlay names and nobody has set stays its placeholder, which Relay refuses where it is used.
    shipped = " ".join(
        f'"{key}" {json.dumps(base64.b64decode(value).decode())}' for key, value in sorted(secrets.items())
    )
    return f"merge (deepCopy .Values.secrets) (dict {shipped}) | toJson"


def put_names(node: Any, mark: Callable[[str], str]) -> None:
    """Names of this relay's objects, and its instance, are the release's."""
    pairs = list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    for key, value in pairs:
        if key == "containers":
            for each in value:
                put_names({name: part for name, part in each.items() if name != "name"}, mark)
        elif key == "app.kubernetes.io/instance":
            node[key] = mark(".Release.Name | quote")
        elif key in {"name", "serviceName", "serviceAccountName"} and isinstance(value, str):
            node[key] = rename(value, mark)
        else:
            put_names(value, mark)


def rename(name: str, mark: Callable[[str], str]) -> str:
    plain = f"relay-{match[1]}" if (match := HASHED.match(name)) else name
    if plain == "relay-secrets":
        return mark('.Values.existingSecret | default (printf "%s-secrets" .Release.Name) | quote')
    if plain == "relay":
        return mark(".Release.Name | quote")
    if plain.startswith("relay-"):
        return mark(f'printf "%s{plain.removeprefix("relay")}" .Release.Name | quote')
    return name


def find(manifests: list[Manifest], kind: str, name: str) -> Manifest:
    """The object whose name is `name` between what kustomize puts before and after it."""
    found = (each for each in manifests if each["kind"] == kind)
    return next(each for each in found if (match := HASHED.match(each["metadata"]["name"])) and match[1] == name)


def make_values(overlays: dict[str, list[Manifest]]) -> str:
    one, many = (
        next(each["spec"] for each in overlays[mode] if each["kind"] in {"Deployment", "StatefulSet"}) for mode in MODES
    )
    [container] = one["template"]["spec"]["containers"]
    repository, _, tag = container["image"].rpartition(":")
    secrets = find(overlays["embedded"], "Secret", "secrets")["data"]
    rules = next(each for each in overlays["embedded"] if each["metadata"]["name"] == "relay-rules")["data"][
        "rules.yaml"
    ]
    settings = find(overlays["embedded"], "ConfigMap", "settings")["data"]["settings.yaml"]
    return VALUES.format(
        image=json.dumps({"repository": repository, "tag": tag}),
        replicas=many["replicas"],
        storage=one["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"],
        resources=json.dumps(container["resources"]),
        env=json.dumps(find(overlays["embedded"], "ConfigMap", "env")["data"]),
        secrets=json.dumps({key: base64.b64decode(value).decode() for key, value in secrets.items()}),
        settings=indent(settings),
        rules=indent(rules),
    )


def indent(text: str) -> str:
    return "".join(f"  {line}".rstrip() + "\n" for line in text.splitlines())


def make_schema(folder: Path) -> dict[str, Any]:
    """A value that is no value of the chart is refused, not ignored."""
    text = {"type": "string"}
    texts = {"type": "object", "additionalProperties": text}
    values = yaml.safe_load((folder / "values.yaml").read_text())
    known = {
        "mode": {"enum": list(MODES)},
        "image": {"type": "object", "additionalProperties": False, "properties": {"repository": text, "tag": text}},
        "replicas": {"type": ["integer", "null"], "minimum": 1},
        "resources": {"type": "object"},
        "env": texts,
        "secrets": texts,
    }
    properties = {name: known.get(name, text) for name in values} | {"global": {}}
    return {
        "$schema": "https://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
    }


def pack(folder: Path, target: Path) -> None:
    """The chart as an archive, the same for the same files."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            about = tarfile.TarInfo(str(path.relative_to(folder.parent)))
            about.size, about.mode = path.stat().st_size, 0o644
            archive.addfile(about, io.BytesIO(path.read_bytes()))
    target.write_bytes(gzip.compress(content.getvalue(), mtime=0))


if __name__ == "__main__":
    main()
