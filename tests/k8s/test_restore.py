"""A backup of an embedded ledger, by the README's commands, and its way back, by the pod of `restore.yaml`."""

import re
import shlex
import sqlite3
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml

from relay.units import duration
from tests.k8s.kustomize import K8S, VERSIONS, render
from tests.k8s.references import Rendered

POD = yaml.safe_load((K8S / "embedded/restore.yaml").read_text())
[CONTAINER] = POD["spec"]["containers"]


def write(path, texts):
    """A ledger's file with a write-ahead log beside it, as one has that is in use. Its connection stays open."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE events (text)")
    connection.executemany("INSERT INTO events VALUES (?)", [(text,) for text in texts])
    return connection


def read(path):
    with sqlite3.connect(path) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM events")]


def back_up(folder):
    """What `kubectl exec relay-0 --` of the README runs, in the order in which it stands there."""
    text = (K8S / "README.md").read_text()
    commands = [shlex.split(line) for line in re.findall(r"^kubectl exec relay-0 -- (.*)$", text, re.MULTILINE)]
    assert len(commands) == 3
    done = [
        subprocess.run([sys.executable, *command[1:3]], cwd=folder, check=True, capture_output=True).stdout
        for command in commands
    ]
    return b"".join(done)


def restore(folder, backup):
    code = CONTAINER["command"][2]
    return subprocess.run([sys.executable, "-c", code], cwd=folder, input=backup, capture_output=True, check=False)


def test_a_backup_of_a_ledger_in_use_comes_back_whole(tmp_path):
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    used = write(tmp_path / "old/relay.db", ["one", "two"])
    backup = back_up(tmp_path / "old")
    assert sorted(each.name for each in (tmp_path / "old").iterdir()) == ["relay.db", "relay.db-shm", "relay.db-wal"]
    used.close()
    lost = write(tmp_path / "new/relay.db", ["of another ledger"] * 100)
    assert (tmp_path / "new/relay.db-wal").stat().st_size > 0
    assert restore(tmp_path / "new", backup).stdout == b"restored\n"
    lost.close()
    assert read(tmp_path / "new/relay.db") == ["one", "two"]
    assert (tmp_path / "new/relay.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kept", [0, 100, 20_000])
def test_a_backup_that_did_not_come_whole_leaves_the_ledger_as_it_is(kept, tmp_path):
    used = write(tmp_path / "relay.db", ["text" * 100] * 100)
    backup = back_up(tmp_path)
    assert len(backup) > 20_000
    done = restore(tmp_path, backup[:kept])
    assert done.returncode != 0
    assert done.stderr.startswith(b"not restored: ")
    used.close()
    assert len(read(tmp_path / "relay.db")) == 100


def test_the_pod_fits_the_workload():
    for version in VERSIONS:
        kubernetes_validate.validate(POD, version, strict=True)
    rendered = Rendered(render(K8S / "embedded"))
    [container] = rendered.containers
    assert (CONTAINER["image"], CONTAINER["securityContext"]) == (container["image"], container["securityContext"])
    assert POD["spec"]["securityContext"].items() <= rendered.pod["securityContext"].items()
    [mount] = CONTAINER["volumeMounts"]
    assert mount in container["volumeMounts"]
    [volume] = POD["spec"]["volumes"]
    name = f"{mount['name']}-{rendered.workload['metadata']['name']}-0"
    assert volume["persistentVolumeClaim"]["claimName"] == name
    assert "labels" not in POD["metadata"], "no Service sends it anything"


@pytest.mark.parametrize(
    ("workload", "pods"),
    [
        ("deployment/relay", "pod --selector=app.kubernetes.io/instance=relay"),
        ("statefulset/relay", "pod/relay-0"),
    ],
)
def test_no_ledger_is_replaced_while_a_pod_that_stops_still_writes_to_it(workload, pods):
    """Scaling to 0 returns at once, and a pod lingers and drains for 25 s: it would write into what goes."""
    lines = (K8S / "README.md").read_text().splitlines()
    after = lines[lines.index(f"kubectl scale {workload} --replicas=0") + 1]
    assert after.startswith(f"kubectl wait --for=delete {pods} --timeout=")
    spec = Rendered(render(K8S / ("embedded" if "stateful" in workload else "cluster"))).pod
    assert duration(after.split("--timeout=")[1].split()[0]) / 1_000 > spec["terminationGracePeriodSeconds"]
