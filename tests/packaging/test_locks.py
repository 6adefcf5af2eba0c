"""The lock files pin all that pyproject.toml asks for, with hashes, and name no place to get it from."""

import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, GROUPS = PYPROJECT["project"], PYPROJECT["dependency-groups"]
EXTRAS = PROJECT["optional-dependencies"]
RUN = [*PROJECT["dependencies"], *EXTRAS["fast"], *EXTRAS["otel"]]
LOCKS = {
    "requirements.lock": RUN,
    "requirements-dev.lock": [*RUN, *EXTRAS["dev"]],
    "requirements-build.lock": [*GROUPS["build"], *PYPROJECT["build-system"]["requires"]],
    "requirements-tools.lock": GROUPS["tools"],
}
RUNNING = pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
PYTHONS = [text.rpartition(" ")[2] for text in PROJECT["classifiers"] if "Python :: 3." in text]
locks = pytest.mark.parametrize("lock", LOCKS)


def read_pins(lock):
    """Version by name; where a package is pinned more than once, for several platforms, all of them."""
    pins = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", (ROOT / lock).read_text(), re.MULTILINE):
        pins.setdefault(canonicalize_name(name), []).append(version)
    return pins


@locks
def test_what_the_project_asks_for_is_pinned_as_it_asks(lock):
    """Fails when a dependency was added or raised without `make lock`."""
    pins = read_pins(lock)
    for wanted in map(Requirement, LOCKS[lock]):
        versions = pins.get(canonicalize_name(wanted.name), [])
        assert versions, f"{wanted} is not in {lock}: run make lock"
        assert all(version in wanted.specifier for version in versions), (
            f"{lock} has {versions} for {wanted}: make lock"
        )


def test_tests_run_with_the_versions_that_the_image_has():
    dev = read_pins("requirements-dev.lock")
    assert {name: dev.get(name) for name in read_pins("requirements.lock")} == read_pins("requirements.lock")


def test_the_pythons_that_are_promised_are_those_it_may_be_installed_on():
    allowed = Requirement(f"relay{PROJECT['requires-python']}").specifier
    assert PYTHONS == ["3.11", "3.12", "3.13", "3.14"]
    assert [minor for minor in range(15) if f"3.{minor}.0" in allowed] == [11, 12, 13, 14]
    image = re.search(r"^ARG PYTHON_IMAGE=python:([0-9.]+)-slim$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert image[1] == PYTHONS[-1], "the image is on the newest"


@pytest.mark.parametrize("python", PYTHONS)
@RUNNING
def test_a_lock_is_complete_on_every_python(lock, python):
    """What each package asks for there, by the metadata of those that are installed here, is pinned, and as it asks."""
    here = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    pins = {}
    for line in re.findall(r"^[A-Za-z0-9].*==[^\\]+", (ROOT / lock).read_text(), re.MULTILINE):
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate(here):
            assert pins.setdefault(canonicalize_name(pin.name), pin) is pin, f"{pin.name} is pinned twice for {python}"
    pending = [wanted for wanted in map(Requirement, LOCKS[lock]) if _applies(wanted, here, {""})]
    seen = set()
    while pending:
        wanted = pending.pop()
        name = canonicalize_name(wanted.name)
        assert name in pins, f"{lock} has no {wanted} for Python {python}: run make lock"
        version = next(iter(pins[name].specifier)).version
        assert wanted.specifier.contains(version, prereleases=True), f"{lock} has {name} {version}, not {wanted}"
        extras = frozenset(wanted.extras)
        if (name, extras) not in seen:
            seen.add((name, extras))
            pending += [each for each in _asks(name) if _applies(each, here, extras | {""})]
    assert {"attrs", "greenlet"} <= {name for name, _ in seen}, "it followed what packages ask for, and their extras"


def _asks(name):
    """What an installed package asks for; nothing of one that only another Python needs."""
    try:
        return [Requirement(text) for text in requires(name) or []]
    except PackageNotFoundError:
        return []


def _applies(wanted, here, extras):
    return wanted.marker is None or any(wanted.marker.evaluate(here | {"extra": extra}) for extra in extras)


@pytest.mark.parametrize("file", ["Makefile", "Dockerfile"])
def test_nothing_is_installed_or_built_without_hashes(file):
    """What is installed from this folder is built by a backend that is in a lock; all else is in a lock itself."""
    commands = re.split(r"(?:&&|\n)", (ROOT / file).read_text().replace("\\\n", " "))
    fetching = [one for one in commands if re.search(r"(pip|\(PIP\))\S* .*\b(install|wheel)\b|\(PIP\) install", one)]
    assert len(fetching) > 3
    for one in fetching:
        alone = "--no-deps" in one and ("--no-build-isolation" in one or one.rstrip().endswith(".whl"))
        assert "--require-hashes" in one or alone, one


def test_an_image_is_made_of_wheels_for_either_machine():
    """`make wheels` asks the index for them, for each Python; it is a part of `make lock`, so that a lock has them."""
    commands = re.split(r"(?:&&|\n)", (ROOT / "Dockerfile").read_text().replace("\\\n", " "))
    locked = [one for one in commands if "--require-hashes" in one]
    assert len(locked) == 2
    assert all("--only-binary=:all:" in one for one in locked)
    asked = subprocess.run(["make", "-n", "lock"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert "for machine in x86_64 aarch64" in asked
    assert f"for python in {' '.join(PYTHONS)}" in asked
    for one in locked:
        assert f"-r {one.split('-r ')[1].strip()}" in asked.split("for machine", 1)[1]


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-build.lock"])
def test_the_image_has_the_same_packages_on_either_machine(lock):
    for line in re.findall(r"^[A-Za-z0-9].*==[^\\]+", (ROOT / lock).read_text(), re.MULTILINE):
        pin = Requirement(line)
        here = [{"platform_machine": name, "sys_platform": "linux"} for name in ("x86_64", "aarch64")]
        assert pin.marker is None or pin.marker.evaluate(here[0]) == pin.marker.evaluate(here[1]), line


@locks
def test_every_pin_has_a_hash(lock):
    for block in re.split(r"^(?=[A-Za-z0-9])", (ROOT / lock).read_text(), flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block, block


@locks
def test_no_place_to_get_packages_from_is_written_down(lock):
    assert not re.search(r"://|--(extra-)?index|--find-links|\bfile:", (ROOT / lock).read_text())


def test_no_package_is_called_tests():
    """Some bring their own tests along under that name, and would be imported in place of these."""
    assert "tests" not in packages_distributions()
