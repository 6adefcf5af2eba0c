"""The npm packages that tests use, installed beside the virtual environment when package-lock.json is new."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.services.process import Unavailable

HERE = Path(__file__).parents[1] / "sdk"
FILES = ("package.json", "package-lock.json")


def install() -> Path:
    """The folder in which `node_modules` is. Raises Unavailable."""
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is missing: install Node 20 or newer with npm")
    lock = b"".join((HERE / name).read_bytes() for name in FILES)
    folder = Path(sys.prefix) / "npm" / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # released when it is closed; pytest may run in several processes
        if not (folder / "done").exists():
            _install(npm, folder)
    return folder


def _install(npm: str, folder: Path) -> None:
    for name in FILES:
        shutil.copy(HERE / name, folder)
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--engine-strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise Unavailable(f"npm cannot install what {HERE / FILES[0]} names: {done.stderr[-2_000:]}")
    (folder / "done").touch()
