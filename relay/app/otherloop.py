"""An event loop in its own thread, for listeners that must answer even when the relay's main loop is stuck."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class OtherLoop:
    """Runs coroutines in the other loop until `aclose`. Create it in a running event loop."""

    def __init__(self, name: str) -> None:
        self._own = asyncio.get_running_loop()
        self._loop = asyncio.new_event_loop()
        # A daemon: if the main loop is stuck for good, this thread must not keep the process alive.
        self._thread = Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the other loop. Returns or raises what it does."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def ask(self, call: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """Wrap a call that must run in the main loop, so that the other loop can await it."""

        async def in_main_loop() -> T:
            return await call()

        async def from_other_loop() -> T:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(in_main_loop(), self._own))

        return from_other_loop

    async def aclose(self) -> None:
        """End the other loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()
