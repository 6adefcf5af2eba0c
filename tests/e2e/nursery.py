"""Starts relays without the seconds of CPU that Python takes to import Relay: one process imports it once, then forks.

`nursery.py` reads a start per line (`{"log", "at", "argv"}`), answers each with a process id, and ends with its input;
its relays end with it. What starts is the same program: nothing but imports has happened when it forks.
"""

import ctypes
import gc
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

from tests.services.process import Process, running

KILLABLE = Path(__file__).with_name("killable.py")
ROOT = Path(__file__).parents[2]
PR_SET_PDEATHSIG = 1


class Nursery:
    """The process that forks, started with the first relay and ended with this run."""

    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        # No thread of this run may own it, as the kernel would end it with the thread: it ends with its input.
        self._forker = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
        )

    def start(self, argv: Sequence[str], at: tuple[str, int] | None, log: Path) -> int:
        """Start `relay ARGV...`, which kills itself at the point `at`. Returns its process id."""
        line = json.dumps({"log": str(log), "at": at, "argv": list(argv)})
        with self._one_at_a_time:
            assert self._forker.stdin is not None
            assert self._forker.stdout is not None
            self._forker.stdin.write(line.encode() + b"\n")
            self._forker.stdin.flush()
            return int(self._forker.stdout.readline())


class Forked(Process):
    """`relay ARGV...` from the nursery, which is its parent: how it ended is not known here."""

    def __init__(self, argv: Sequence[str], *, log: Path, at: tuple[str, int] | None = None) -> None:
        self.log = log
        self._argv = argv
        self._pid = nursery().start(argv, at, log)

    @property
    def pid(self) -> int:
        return self._pid

    def alive(self) -> bool:
        return running(self._pid)

    def describe(self) -> str:
        state = "is running" if self.alive() else "has ended"
        return f"relay {' '.join(self._argv)} {state}; {self.log} ends:\n{self.log.read_text()[-2000:]}"

    def wait(self, seconds: float | None = None) -> bool:
        try:
            ended = os.pidfd_open(self._pid)
        except ProcessLookupError:
            return True  # the nursery has forgotten it
        try:
            return bool(select.select([ended], [], [], seconds)[0])
        finally:
            os.close(ended)


_FIRST = threading.Lock()


def nursery() -> Nursery:
    """The only one of this run, also where several threads want the first relay at once."""
    with _FIRST:
        return _make_nursery()


@cache
def _make_nursery() -> Nursery:
    return Nursery()


def _serve() -> None:
    """Fork for each line of the input, until it ends."""
    for module in ("relay.app.service", "relay.cli.serve", "tests.e2e.killable"):
        import_module(module)
    gc.freeze()  # what all share stays as it is, and is copied for none
    for line in sys.stdin.buffer:
        _reap()
        pid = os.fork()
        if pid == 0:
            _become(**json.loads(line))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


def _become(log: str, at: list[str] | None, argv: list[str]) -> None:
    """Be that relay, in a session of its own, with nothing of the nursery's but what it imported. Does not return."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(out, 1)
    os.dup2(out, 2)
    if at:
        sys.argv = [str(KILLABLE), at[0], str(at[1]), *argv]
        runpy.run_path(str(KILLABLE), run_name="__main__")
    else:
        sys.argv = ["relay", *argv]
        runpy.run_module("relay", run_name="__main__")
    os._exit(70)  # not reached: the command line exits


def _reap() -> None:
    """Forget those that have ended; until here their ids are nobody else's."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return


if __name__ == "__main__":
    _serve()
