"""Cargo's own TypeScript client (npm `@cargo-ai/api`) against the simulator."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from relay.sandbox import make_app, run

PACKAGE = "@cargo-ai/api@1.0.57"
SCRIPT = Path(__file__).with_name("official.mjs")


@pytest.fixture(scope="session")
def script(tmp_path_factory):
    """The script beside an installed client, as Node looks for packages beside the file that imports them."""
    folder = tmp_path_factory.mktemp("official")
    npm = shutil.which("npm")
    if npm is None:
        pytest.fail("npm is missing: install Node 20 or newer with npm", pytrace=False)
    (folder / "package.json").write_text("{}")
    install = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", PACKAGE]
    done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        pytest.fail(f"npm cannot install {PACKAGE}: {done.stderr[-2_000:]}", pytrace=False)
    return shutil.copy(SCRIPT, folder)


@pytest.fixture
async def seen(script):
    async with await run(make_app(token="right", pending=60)) as running:
        node = await asyncio.create_subprocess_exec(
            "node", script, running.url, "right", stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await asyncio.wait_for(node.communicate(), 60)
    assert node.returncode == 0, err.decode()
    return json.loads(out)


async def test_the_official_client_makes_gets_and_lists_chats_and_messages(seen):
    created, said = seen["created"], seen["said"]
    assert created["trigger"]["meta"] == {"ticket": 7}
    assert seen["got"] == created
    assert seen["listed"] == [created]
    assert [chat["uuid"] for chat in seen["waiting"]] == [created["uuid"]]
    assert said["userMessage"]["parts"] == [{"type": "text", "text": "Hello"}]
    assert said["assistantMessage"]["status"] == "pending"
    assert [one["uuid"] for one in seen["messages"]] == [
        said["userMessage"]["uuid"],
        said["assistantMessage"]["uuid"],
    ]
    assert seen["message"]["uuid"] == said["assistantMessage"]["uuid"]
    assert (seen["missing"]["reason"], seen["missing"]["status"]) == ("chatNotFound", 404)
    assert seen["unfinished"]["reason"] == "lastMessageNotFinished"
    assert (seen["refused"]["reason"], seen["refused"]["status"]) == ("invalidPayload", 400)
    assert seen["stranger"]["status"] == 401
