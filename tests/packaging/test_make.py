"""What make and CI say on a machine where something is missing."""

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
# No pattern of a place fits, and what is on the path is up to the test: without apt-get nothing can be installed.
NOTHING_INSTALLED = "compgen() { return 1; }; . .ci/provide tests"


def run(*command, path, **env):
    """Run with only `path` to find programs on, as on a machine that has little."""
    variables = {"PATH": str(path), "HOME": os.environ.get("HOME", "/"), **env}
    return subprocess.run(command, check=False, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60)


def link(folder, *programs):
    for program in programs:
        found = next(Path(place) / program for place in ("/usr/bin", "/bin") if (Path(place) / program).exists())
        (folder / program).symlink_to(found)
    return folder


def test_make_alone_lists_what_it_can_do():
    said = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert {line.split()[0] for line in said.splitlines()} >= {
        "demo",
        "test",
        "lint",
        "bench",
        "faults",
        "soak",
        "lock",
        "audit",
        "sbom",
        "install",
        "chart",
        "image",
        "image-test",
        "wheels",
        "clean",
        "help",
    }


def test_a_machine_without_python_is_told_what_to_install(tmp_path):
    bare = link(tmp_path, "sh", "test", "echo")
    said = run("/usr/bin/make", "no-such-venv/bin/pip", "VENV=no-such-venv", path=bare)
    assert said.returncode != 0
    assert "No Python 3.11 or newer" in said.stderr
    assert "apt-get install python3" in said.stderr


def test_missing_servers_are_named_with_package_and_setting_where_they_cannot_be_installed(tmp_path):
    said = run("/bin/bash", "-c", NOTHING_INSTALLED, path=link(tmp_path, "id"))
    assert said.returncode == 1
    for word in (
        "rabbitmq-server",
        "RELAY_TEST_AMQP=",
        "postgresql",
        "RELAY_TEST_POSTGRES=",
        "nodejs",
        "apt-get install",
    ):
        assert word in said.stderr


def test_servers_that_are_set_are_not_asked_for(tmp_path):
    ready = {"RELAY_TEST_AMQP": "amqp://host", "RELAY_TEST_POSTGRES": "postgresql://host"}
    said = run("/bin/bash", "-c", NOTHING_INSTALLED, path=link(tmp_path, "id"), **ready)
    assert "rabbitmq" not in said.stderr
    assert "postgresql" not in said.stderr
    assert "nodejs" in said.stderr
