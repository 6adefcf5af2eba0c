"""What the Dockerfile runs, as processes: there need be no engine here."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from aiohttp import web

from tests.cli.conftest import serving

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROBE = [sys.executable, "-I", "-S", str(ROOT / ".ci/probe.py")]


def answering(status):
    async def livez(_):
        return web.Response(status=status)

    def make():
        app = web.Application()
        app.router.add_get("/livez", livez)
        return app

    return make


def probe(url):
    return subprocess.run(PROBE, env={"RELAY_HEALTH_URL": url}, capture_output=True, text=True, timeout=10, check=False)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_tells_a_living_relay_from_a_stuck_one(status, code):
    with serving(answering(status)) as url:
        done = probe(url)
    assert (done.returncode, done.stderr) == (code, "")
    assert f"{url}: HTTP/1.1 {status}" in done.stdout


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://127.0.0.1:8082", "nonsense", "http://[::1]:1"])
def test_a_health_check_that_reaches_nothing_says_so_in_a_line(url):
    done = probe(url)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith(f"{url}: ")


def test_a_health_check_imports_what_it_asks_with_and_nothing_of_relay():
    """What it costs is what it imports. `make image-test` measures that: at most 60 ms of a core."""
    with serving(answering(200)) as url:
        done = subprocess.run(
            [*PROBE[:3], "-X", "importtime", PROBE[3]],
            env={"RELAY_HEALTH_URL": url},
            capture_output=True,
            text=True,
            check=True,
        )
    imported = set(re.findall(r"\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert "socket" in imported
    assert imported.isdisjoint({"relay", "typer", "yaml", "aiohttp", "http", "ssl", "typing", "json", "logging"})


def test_the_health_check_of_the_image_is_this_one():
    [command] = re.findall(r"^HEALTHCHECK .*CMD (.*)$", DOCKERFILE, re.MULTILINE)
    assert command == '["python", "-I", "-S", "/opt/relay/probe.py"]'


def test_what_is_copied_into_the_build_is_let_through():
    """`.dockerignore` names what is let through; what the Dockerfile copies beside that is not there at a build."""
    copied = {
        source
        for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    }
    let_through = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert {source for source in copied if os.path.normpath(source) not in let_through} == set()
    assert {source for source in let_through if not (ROOT / source).exists()} == set()


BLOCKED = """
import importlib, pkgutil, runpy, sys
from pathlib import Path
sys.path.insert(0, ".ci")
pack = runpy.run_path(".ci/pack.py")
import sysconfig
packages = Path(sysconfig.get_path("purelib"))
left_out = {path.relative_to(packages).with_suffix("") for path in pack["find_unused"](packages)}
assert len(left_out) > 100


class Refuse:
    def find_spec(self, name, path=None, target=None):
        place = Path(*name.split("."))
        if place in left_out or left_out & set(place.parents):
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)


sys.meta_path.insert(0, Refuse())
import relay
for module in pkgutil.walk_packages(relay.__path__, "relay."):
    if not module.name.startswith("relay.ledger.engine.migrations."):
        importlib.import_module(module.name)
from stdnum import iban
assert iban.is_valid("ES91 2100 0418 4502 0005 1332")
assert not iban.is_valid("ES21 2100 0418 4502 0005 1333")
sys.argv = ["relay", "demo", "--once"]
relay.cli.main()
"""
"""Imports all of Relay and runs `demo` while what the image leaves out cannot be imported."""


def test_what_the_image_leaves_out_is_needed_by_nothing():
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


DROPPED = """
import runpy, sys
from pathlib import Path
sys.path.insert(0, ".ci")
runpy.run_path(".ci/pack.py")["drop_sources"](Path(sys.argv[1]), Path(sys.argv[1]))
"""


def test_bytecode_alone_can_be_imported_and_is_the_same_from_each_build(tmp_path):
    made = []
    for build in ("one", "two"):
        package = tmp_path / build / "package"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("from package.part import answer\n")
        (package / "part.py").write_text("names = {'b', 'a', 'c'}\n\n\ndef answer():\n    return __file__\n")
        (package / "data.txt").write_text("data")
        subprocess.run([sys.executable, "-c", DROPPED, tmp_path / build], cwd=ROOT, check=True)
        made.append({path.name: path.read_bytes() for path in package.iterdir()})
    assert made[0] == made[1]
    assert made[0].keys() == {"__init__.pyc", "part.pyc", "data.txt"}
    asked = [sys.executable, "-c", "import package; print(package.answer())"]
    answer = subprocess.run(asked, cwd=tmp_path / "one", capture_output=True, text=True, check=True).stdout
    assert answer == f"{tmp_path}/one/package/part.pyc\n"


def test_the_bill_names_what_wheels_bring_along_and_every_package_of_the_lock(tmp_path):
    subprocess.run([sys.executable, ROOT / ".ci/bill.py", tmp_path / "bill.json"], cwd=ROOT, check=True)
    bill = json.loads((tmp_path / "bill.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["purl"].startswith("pkg:pypi/relay@")
    named = {each["name"] for each in bill["components"]}
    locked = set(re.findall(r"^([a-z0-9-]+)==[^ ;]+ \\", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    assert locked
    assert named >= locked | {"python", "openssl"}
    references = [each["bom-ref"] for each in bill["components"]]
    assert len(references) == len(set(references))


ENGINE = """#!/bin/sh
case $1 in
  --version) echo "{version}" ;;
  info) exit {away} ;;
  image) seq -f base@sha256:%g 100000 ;;
  build) echo "$0" "$@" ;;
esac
"""
"""An engine of containers that only says what it would build."""


def build(folder, engines, **variables):
    """`make image` where these engines are: what it would build."""
    for name, (version, away) in engines.items():
        program = folder / name
        program.write_text(ENGINE.format(version=version, away=away))
        program.chmod(0o755)
    env = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", **variables}
    return subprocess.run([ROOT / ".ci/image", "--more"], env=env, capture_output=True, text=True, check=False)


DOCKER, PODMAN = "Docker version 28.2.2", "podman version 5.4.2"
HEALTHY = ["--format", "docker"]
"""Without it Podman writes OCI's format, which has no health check."""


@pytest.mark.parametrize(
    ("engines", "variables", "taken", "options"),
    [
        ({"docker": (DOCKER, 0), "podman": (PODMAN, 0)}, {}, "docker", []),
        ({"docker": (DOCKER, 1), "podman": (PODMAN, 0)}, {}, "podman", HEALTHY),
        ({"docker": (DOCKER, 0), "podman": (PODMAN, 0)}, {"ENGINE": "podman"}, "podman", HEALTHY),
        ({"docker": (PODMAN, 0)}, {}, "docker", HEALTHY),
    ],
    ids=["docker", "docker's service is away", "podman is named", "podman by the name of docker"],
)
def test_an_image_is_built_by_the_engine_that_answers_and_has_its_health_check(
    engines, variables, taken, options, tmp_path
):
    done = build(tmp_path, engines, **variables)
    assert done.returncode == 0, done.stderr
    program, command, *rest = done.stdout.split()
    assert (program, command, rest[: len(options) + 1]) == (str(tmp_path / taken), "build", [*options, "--more"])
    assert "PYTHON_IMAGE=base@sha256:1" in rest, "the base by its first digest, of however many"


def test_where_no_engine_answers_that_is_said(tmp_path):
    done = build(tmp_path, {"docker": (DOCKER, 1), "podman": (PODMAN, 1)})
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "no engine answers here: docker or podman (ENGINE=... names another)\n"
