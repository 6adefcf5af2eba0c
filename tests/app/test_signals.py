"""The signals that end a relay: the first one drains, a second one of either kind ends it, as a shell says it."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, os, sys
from relay.app.run import on_signals

async def main():
    ending = asyncio.Event()
    on_signals(ending)
    os.kill(os.getpid(), int(sys.argv[1]))
    await ending.wait()
    print("drains", flush=True)
    os.kill(os.getpid(), int(sys.argv[2]))
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (signal.SIGTERM, signal.SIGTERM, 143),
        (signal.SIGINT, signal.SIGINT, 130),
        (signal.SIGTERM, signal.SIGINT, 130),
        (signal.SIGINT, signal.SIGTERM, 143),
    ],
)
def test_a_second_signal_ends_a_relay_at_once(first, second, code):
    command = [sys.executable, "-c", PROGRAM, str(int(first)), str(int(second))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "drains\n", "")
