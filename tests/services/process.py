"""A server that lives as long as the test run and no longer."""

import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path


class Unavailable(Exception):
    """A server cannot be had here; the message says what to install or to set."""


def find_port() -> int:
    """A free TCP port of 127.0.0.1 below the ephemeral range, so that no client's connection takes it meanwhile."""
    while True:
        port = random.randrange(11000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until(
    ready: Callable[[], bool], *, seconds: float, alive: Callable[[], bool], describe: Callable[[], str]
) -> None:
    """Returns once `ready()`; raises Unavailable with `describe()` when the server died or the seconds have passed."""
    end = time.monotonic() + seconds
    while not ready():
        if not alive() or time.monotonic() > end:
            raise Unavailable(describe())
        time.sleep(0.05)


class Process:
    """One child process; the kernel kills it when this one dies, however that happens.

    `user` runs it as somebody else (only as root). Output goes to the file `log`.
    """

    def __init__(self, command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None, user: str = ""):
        self.log = log
        with log.open("ab") as out:
            self._child = subprocess.Popen(
                [*_tether(user), *command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=None if env is None else dict(env),
                start_new_session=True,  # Ctrl-C is for the test run, which then stops its servers in order
            )

    @property
    def pid(self) -> int:
        return self._child.pid

    def alive(self) -> bool:
        return self._child.poll() is None

    def describe(self) -> str:
        """How it stands, with the end of its log."""
        state = "is running" if self.alive() else f"ended with {self._child.returncode}"
        return f"{' '.join(map(str, self._child.args))} {state}; {self.log} ends:\n{self.log.read_text()[-2000:]}"

    def finish(self, *, seconds: float) -> None:
        """Wait for its end. Raises Unavailable when it takes longer or ends badly."""
        if not self.wait(seconds) or self._child.returncode != 0:
            raise Unavailable(self.describe())

    def wait(self, seconds: float | None = None) -> bool:
        """Whether it has ended by then."""
        try:
            self._child.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        if self.alive():
            os.kill(self.pid, number)

    def send_all(self, number: signal.Signals) -> None:
        """Send it to all that it started, too."""
        for pid in [self.pid, *_descendants(self.pid)]:
            os.kill(pid, number)

    def stop(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 30) -> None:
        """Ask it to end, wait, and kill it if it does not."""
        self.send(number)
        if not self.wait(seconds):
            self.kill()

    def kill(self) -> None:
        """SIGKILL for it and all that it started, first it, so that it cannot tidy up after its children."""
        family = [self.pid, *_descendants(self.pid)]
        for pid in family:
            _kill(pid)
        self.wait()
        while any(running(pid) for pid in family[1:]):
            time.sleep(0.01)


# The parent may die before the kernel has been asked: then nobody would tell.
_STILL_THERE = '[ "$PPID" = "$0" ] && exec "$@"'


def _tether(user: str) -> list[str]:
    """What stands before a command so that it dies with this process, and runs as `user` if one is named."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        if user:
            raise Unavailable(f"To start a server as {user}, setpriv is needed: apt-get install util-linux")
        return []
    owner = ["--reuid", user, "--regid", user, "--clear-groups"] if user else []
    return [setpriv, *owner, "--pdeathsig", "KILL", "--", "sh", "-c", _STILL_THERE, str(os.getpid())]


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _descendants(pid: int) -> Iterator[int]:
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in listing.read_text().split():
            yield int(child)
            yield from _descendants(int(child))


def running(pid: int) -> bool:
    """Whether there is such a process; one that ended and that nobody has asked after yet is none."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
