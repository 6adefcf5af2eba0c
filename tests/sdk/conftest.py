"""Senders' SDKs for Node.js."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def script(npm_folder):
    """`sdks.mjs` beside the installed packages, where Node looks for them."""
    return shutil.copy(Path(__file__).with_name("sdks.mjs"), npm_folder)


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
