"""Fetches what the console's pages load in a browser, as package-lock.json pins it, without Node.

browser.py               htmx and uPlot, into the folder from which pages load them; nothing when they are there
browser.py --tests DIR   axe-core too, into DIR

The registry is that of npm: $npm_config_registry, else `registry=` of ~/.npmrc, else registry.npmjs.org.
"""

import base64
import hashlib
import io
import json
import os
import sys
import tarfile
import urllib.request
from pathlib import Path

STATIC = Path(__file__).resolve().parent.parent / "relay/ops/console/static"
VENDOR = STATIC / "vendor"
FILES = {
    "htmx.org": {"dist/htmx.min.js": "htmx.js", "LICENSE": "htmx.LICENSE"},
    "uplot": {"dist/uPlot.iife.min.js": "uplot.js", "dist/uPlot.min.css": "uplot.css", "LICENSE": "uplot.LICENSE"},
}
FOR_TESTS = {"axe-core": {"axe.min.js": "axe.js"}}
TIMEOUT = 60


def main() -> None:
    lock = json.loads((STATIC / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    pinned = {place.removeprefix("node_modules/"): package for place, package in lock.items() if place}
    for name, files in FILES.items():
        bring(name, pinned[name], files, VENDOR)
    if "--tests" in sys.argv:
        for name, files in FOR_TESTS.items():
            bring(name, pinned[name], files, Path(sys.argv[sys.argv.index("--tests") + 1]))


def bring(name: str, package: dict[str, str], files: dict[str, str], folder: Path) -> None:
    """Put these files of a package into the folder, unless those of this version are there."""
    stamp = folder / f"{name}.version"
    wanted = f"{package['version']} {package['integrity']}\n"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    url = f"{registry()}/{name}/-/{name}-{package['version']}.tgz"
    print(f"Fetching {name} {package['version']} from {url}")
    with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:  # noqa: S310 - the scheme is the registry's
        packed = answer.read()
    check(url, packed, package["integrity"])
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        for inside, target in files.items():
            member = archive.extractfile(f"package/{inside}")
            if member is None:
                sys.exit(f"browser: {url} has no file {inside}")
            (folder / target).write_bytes(member.read())
    stamp.write_text(wanted, encoding="utf-8")


def check(url: str, packed: bytes, integrity: str) -> None:
    """End with a message unless the package is the pinned one."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(packed).digest()).decode()
    if found != integrity:
        sys.exit(f"browser: {url} is not what package-lock.json pins: {found} in place of {integrity}")


def registry() -> str:
    """The address of the registry, without a slash at its end."""
    for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
        if os.environ.get(name):
            return os.environ[name].rstrip("/")
    settings = Path.home() / ".npmrc"
    for line in settings.read_text(encoding="utf-8").splitlines() if settings.is_file() else ():
        name, _, value = line.partition("=")
        if name.strip() == "registry":
            return value.strip().rstrip("/")
    return "https://registry.npmjs.org"


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"browser: {error}")
