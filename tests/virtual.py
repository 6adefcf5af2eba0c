"""An event loop whose time moves only while nobody has anything to do, and then at once to the next timer."""

import asyncio
import functools
import selectors


class Deadlock(Exception):
    """Nothing is scheduled, and nobody can wake anybody any more."""


class _Jumping:
    """A selector that lets the loop's time pass instead of waiting for it."""

    def __init__(self, loop):
        self._loop = loop
        self._real = selectors.DefaultSelector()

    def select(self, timeout=None):
        ready = self._real.select(0)
        if not ready:
            if timeout is None:
                raise Deadlock
            self._loop.now += timeout
        return ready

    def __getattr__(self, name):
        return getattr(self._real, name)


class VirtualLoop(asyncio.SelectorEventLoop):
    """No threads, no sockets: what they bring would come at any time."""

    def __init__(self):
        self.now = 0.0
        super().__init__(_Jumping(self))

    def time(self):
        return self.now


def virtually(test):
    """A test that runs on a loop of its own with virtual time."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


def milliseconds():
    """The loop's time."""
    return round(asyncio.get_running_loop().time() * 1_000)
