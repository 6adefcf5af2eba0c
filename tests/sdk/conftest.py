"""The npm packages of senders, installed beside the virtual environment when package-lock.json is new."""

import asyncio
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FILES = ("package.json", "package-lock.json")


@pytest.fixture(scope="session")
def script():
    """`sdks.mjs` beside the installed packages, where Node looks for them."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail("npm is missing: install Node 20 or newer with npm", pytrace=False)
    lock = b"".join((HERE / name).read_bytes() for name in FILES)
    folder = Path(sys.prefix) / "npm" / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # released when it is closed; pytest may run in several processes
        if not (folder / "done").exists():
            install(npm, folder)
        return shutil.copy(HERE / "sdks.mjs", folder)


def install(npm, folder):
    for name in FILES:
        shutil.copy(HERE / name, folder)
    command = [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--engine-strict"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.fail(f"npm cannot install what {HERE / FILES[0]} names: {done.stderr[-2_000:]}", pytrace=False)
    (folder / "done").touch()


@pytest.fixture
def node(script):
    """Gives one job to `sdks.mjs`; its result."""

    async def run(**job):
        process = await asyncio.create_subprocess_exec(
            "node", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await asyncio.wait_for(process.communicate(json.dumps(job).encode()), 60)
        assert process.returncode == 0, err.decode()
        return json.loads(out)

    return run
