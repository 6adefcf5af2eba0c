"""What is built is what runs: the wheel has all that Relay reads at run time, and nothing else."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from this checkout by the build backend itself."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as archive:
        yield archive


def test_the_wheel_has_every_file_of_the_package(wheel):
    """Migrations, templates and `py.typed` included."""
    listed = subprocess.run(["git", "ls-files", "relay"], cwd=ROOT, check=True, capture_output=True, text=True)
    tracked = set(listed.stdout.splitlines())
    assert "relay/py.typed" in tracked
    assert tracked <= set(wheel.namelist())


def test_the_wheel_has_what_pages_load_in_a_browser(wheel):
    """It is fetched by `.ci/browser.py`, so git does not have it."""
    subprocess.run([sys.executable, ".ci/browser.py"], cwd=ROOT, check=True)
    folder = "relay/ops/console/static/vendor"
    assert {f"{folder}/{name}" for name in ("htmx.js", "uplot.js", "uplot.css")} <= set(wheel.namelist())


def test_the_wheel_has_nothing_beside_the_package(wheel):
    others = {name.split("/")[0] for name in wheel.namelist()} - {"relay"}
    assert others == {f"relay-{PROJECT['version']}.dist-info"}
    assert not [name for name in wheel.namelist() if re.search(r"\.(db|lock|pyc|log)$|/test_", name)]


def test_the_wheel_says_its_version_licence_and_command(wheel):
    info = f"relay-{PROJECT['version']}.dist-info"
    metadata = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
    assert metadata["Version"] == PROJECT["version"]
    assert metadata["License-Expression"] == "MIT"
    assert wheel.read(f"{info}/licenses/LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert "relay = relay.__main__:main" in wheel.read(f"{info}/entry_points.txt").decode()


def test_the_version_stands_in_one_place():
    """`relay.__version__` is the installed one; nothing in the package repeats the number."""
    import relay

    assert relay.__version__ == PROJECT["version"]
    spelled = f'"{PROJECT["version"]}"'
    assert [path for path in (ROOT / "relay").rglob("*.py") if spelled in path.read_text()] == []


def test_the_image_says_the_same_version():
    assert f"ARG VERSION={PROJECT['version']}" in (ROOT / "Dockerfile").read_text()
