"""The command line as a user has it, and a relay's ops listener for it to ask."""

import asyncio
import logging
import threading
from contextlib import contextmanager

import pytest
import structlog
from aiohttp import web
from typer.testing import CliRunner

from relay.cli import app
from relay.ops import make_ops_app
from relay.ops.access import make_holders
from relay.secret import Secret
from relay.telemetry import Metrics, Status
from tests.ops.conftest import encode
from tests.ops.desk import NOW, Desk, Memory


@pytest.fixture
def relay(monkeypatch, tmp_path):
    """Runs a command in an empty folder without any of Relay's variables; gives exit_code, stdout, stderr."""
    for name in ("RELAY_CONFIG", "RELAY_URL", "RELAY_TOKEN", "RELAY_HEALTH_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    handlers, level = logging.root.handlers[:], logging.root.level

    def run(*args, stdin=None):
        result = runner.invoke(app, [str(arg) for arg in args], input=stdin, prog_name="relay")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    yield run
    structlog.reset_defaults()  # a command may have muted the log
    logging.root.handlers[:], logging.root.level = handlers, level


@contextmanager
def serving(make, port=0):
    """Serves the application that `make()` gives, on a loop and thread of its own; gives its URL."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start():
        runner = web.AppRunner(make(), access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def desk(memory):
    return Desk(memory)


def make_ops(memory, token=None, desk=None, tokens=None):
    """The ops listener's application on a Memory; call it on the loop that serves it."""
    status = Status(lambda: NOW, lambda: 0.0)
    token = Secret(token) if token else None
    return make_ops_app(
        memory,
        memory,
        desk or Desk(memory),
        holders=lambda: make_holders(token, tokens or {}),
        status=status,
        metrics=Metrics(),
        version="1",
        encode=encode,
        clock=lambda: NOW,
    )


@pytest.fixture
def url(memory, desk, monkeypatch, relay):
    """The URL of a running relay; RELAY_URL names it."""
    with serving(lambda: make_ops(memory, desk=desk)) as url:
        monkeypatch.setenv("RELAY_URL", url)
        yield url
