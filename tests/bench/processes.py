"""Everything that is measured is a process: Relay, the peers, the floors, Cargo."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.e2e.harness import Relay
from tests.services.process import Process, find_port

HERE = Path(__file__).parent
BARE = HERE / "bare.py"
TICK = os.sysconf("SC_CLK_TCK")
CONCURRENCY = 32
"""Calls to Cargo in flight: Relay's default, and what the floors and peers have too."""


@dataclass(frozen=True, slots=True)
class Service:
    """What takes webhooks and publishes results: Relay, in one or two replicas, or a peer.

    `hooks` are the base URLs of its replicas, `queue` is where its results arrive.
    """

    name: str
    hooks: tuple[str, ...]
    amqp: str
    queue: str
    pids: tuple[int, ...]
    describe: Callable[[], str]

    def cpu(self) -> float:
        """Seconds of processor time so far, over all threads, in user and kernel."""
        return sum(cpu(pid) for pid in self.pids)

    def rss(self) -> float:
        """Resident memory in MiB, over all replicas."""
        return sum(rss(pid) for pid in self.pids)


def cpu(pid: int) -> float:
    """Seconds of processor time of a process: utime and stime of proc_pid_stat(5)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def rss(pid: int) -> float:
    """Resident memory of a process in MiB."""
    return _memory(pid, "VmRSS")


def peak_rss(pid: int) -> float:
    """The most resident memory that a process had so far, in MiB."""
    return _memory(pid, "VmHWM")


def _memory(pid: int, line: str) -> float:
    """A line of proc_pid_status(5), which counts KiB, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split(f"{line}:")[1].split()[0]) / 1_024


def wait(ready: Callable[[], bool], describe: Callable[[], str], *, seconds: float = 300, every: float = 0.02) -> None:
    """Return once `ready()`; end the bench with `describe()` when that takes longer than `seconds`."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise SystemExit(describe())
        time.sleep(every)


def is_up(url: str) -> bool:
    """Whether an HTTP server answers there, with whatever status."""
    try:
        urlopen(url, timeout=2).close()
    except HTTPError as error:
        error.close()  # an answer too, whose connection is open
    except OSError:
        return False
    return True


@contextmanager
def background(folder: Path, *command: str, env: dict[str, str] | None = None) -> Iterator[Process]:
    """A Python process that is killed at the end of the block."""
    process = Process([sys.executable, *command], log=folder / "background.log", env=env)
    try:
        yield process
    finally:
        process.kill()


@contextmanager
def cargo(folder: Path, latency: int = 0) -> Iterator[str]:
    """The simulator, `latency` in ms; gives its base URL."""
    port = find_port()
    options = ["--port", str(port), "--latency", str(latency / 1_000), "--keep", "20000"]
    with background(folder, "-m", "relay", "sandbox", *options) as process:
        wait(lambda: is_up(f"http://127.0.0.1:{port}/_stats"), process.describe, seconds=20)
        yield f"http://127.0.0.1:{port}/v1"


def set_latency(cargo: str, milliseconds: int) -> None:
    """Have the simulator answer after so many milliseconds from now on."""
    body = json.dumps({"latency": milliseconds / 1_000}).encode()
    address = cargo.removesuffix("/v1") + "/_faults"
    urlopen(Request(address, body, {"Content-Type": "application/json"}, method="PUT"), timeout=5).close()


@contextmanager
def handler(folder: Path, *how: str) -> Iterator[str]:
    """The bare handler; gives its base URL."""
    port = find_port()
    with background(folder, str(BARE), "http", str(port), *how) as process:
        wait(lambda: is_up(f"http://127.0.0.1:{port}/"), process.describe, seconds=20)
        yield f"http://127.0.0.1:{port}"


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Relay]:
    """`relay serve`, started with a configuration in `folder`."""
    folder.mkdir(exist_ok=True)
    replica = Relay(folder, concurrency=CONCURRENCY, timeout="30s", **options)
    replica.start()
    try:
        yield replica
    finally:
        replica.kill()


@contextmanager
def relay(
    name: str, folder: Path, *, cargo: str, amqp: str, ledger: str | None = None, replicas: int = 1
) -> Iterator[Service]:
    """Relay with its results in RabbitMQ; several replicas share one PostgreSQL."""
    with _replicas(folder, replicas, cargo=cargo, amqp=amqp, ledger=ledger) as started:
        yield Service(
            name,
            hooks=tuple(replica.url("hooks") for replica in started),
            amqp=amqp,
            queue="relay.results",
            pids=tuple(replica.pid for replica in started),
            describe=lambda: "\n".join(replica.describe() for replica in started),
        )


@contextmanager
def _replicas(folder: Path, count: int, **options: Any) -> Iterator[list[Relay]]:
    if not count:
        yield []
        return
    with running(folder / f"replica-{count}", **options) as last, _replicas(folder, count - 1, **options) as others:
        yield [*others, last]


@contextmanager
def peer(name: str, folder: Path, module: str, *, cargo: str, amqp: str) -> Iterator[Service]:
    """A service of tests/bench/peers under uvicorn."""
    port = find_port()
    serve = ["-m", "uvicorn", f"tests.bench.peers.{module}:app", "--host", "127.0.0.1", "--port", str(port)]
    quiet = ["--no-access-log", "--log-level", "warning"]
    env = {**os.environ, "PEER_AMQP": amqp, "PEER_CARGO": cargo, "PEER_CALLS": str(CONCURRENCY)}
    with background(folder, *serve, *quiet, env=env) as process:
        url = f"http://127.0.0.1:{port}"
        wait(lambda: is_up(f"{url}/"), process.describe, seconds=20)
        yield Service(name, (url,), amqp, "peer.results", (process.pid,), process.describe)
