"""The image's bill of materials as CycloneDX: packages of Python, Python itself, and what of Debian's it loads.

Scanners find packages of Python by themselves, but not what stands in an image without a package manager: glibc,
OpenSSL, SQLite, and the OpenSSL that a wheel brings along.
"""

import json
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution, distributions
from pathlib import Path
from typing import Any
from urllib.parse import quote

Component = dict[str, Any]
PROJECT = "relay"


def write_bill(target: Path, taken: Iterable[Path]) -> None:
    """Write the bill of this interpreter's environment and of Debian's packages that own the files `taken`."""
    project = describe(PROJECT, distribution(PROJECT).version, "pypi", "application")
    components = [*find_packages(), *find_debian(taken), *find_runtime()]
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": project},
        "components": sorted(components, key=lambda each: str(each["bom-ref"])),
    }
    target.write_text(json.dumps(bill, indent=1) + "\n")


def describe(name: str, version: str, kind: str, what: str = "library", **more: str) -> Component:
    """One component; `more` are qualifiers of its package URL."""
    qualifiers = "&".join(f"{key}={quote(value)}" for key, value in sorted(more.items()))
    url = f"pkg:{kind}/{quote(name)}@{quote(version)}" + (f"?{qualifiers}" if qualifiers else "")
    return {"type": what, "bom-ref": url, "name": name, "version": version, "purl": url}


def find_packages() -> Iterator[Component]:
    for each in distributions():
        if each.name != PROJECT:
            yield describe(each.name.lower().replace("_", "-"), each.version, "pypi")


def find_runtime() -> Iterator[Component]:
    """Python, and the OpenSSL that cryptography is linked with."""
    from cryptography.hazmat.backends.openssl.backend import backend  # noqa: PLC0415, of the environment that is packed

    yield describe("python", platform.python_version(), "generic", "platform")
    version = backend.openssl_version_text().split()[1]
    yield describe("openssl", version, "generic", part_of="cryptography")


def find_debian(taken: Iterable[Path]) -> Iterator[Component]:
    """Debian's packages by the names of their sources, which is what advisories go by: glibc, openssl, sqlite3."""
    form = "${binary:Package}\t${Version}\t${Architecture}\t${source:Package}\n"
    for package in sorted(find_owners(taken)):
        line = run("dpkg-query", "--show", f"--showformat={form}", package)
        name, version, architecture, source = line.strip().split("\t")
        more = {"arch": architecture, "distro": f"debian-{debian_release()}", "upstream": source}
        yield {**describe(name.partition(":")[0], version, "deb/debian", **more), "name": source}


def find_owners(taken: Iterable[Path]) -> set[str]:
    owners = set()
    for path in taken:
        # A library is known by /usr/lib or by /lib, which are one folder.
        for known in (path.resolve(), Path("/", *path.resolve().parts[2:])):
            found = subprocess.run(["dpkg-query", "--search", known], capture_output=True, text=True, check=False)
            if found.returncode == 0:
                owners.add(found.stdout.splitlines()[0].rpartition(": ")[0].partition(",")[0])
                break
    return owners


def debian_release() -> str:
    return platform.freedesktop_os_release().get("VERSION_ID", "testing")


def run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    write_bill(Path(sys.argv[1]), map(Path, sys.argv[2:]))
