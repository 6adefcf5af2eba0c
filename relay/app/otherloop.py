"""An event loop in a thread of its own, for what must answer also when the relay's own loop is stuck."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


class OtherLoop:
    """Runs coroutines in the other loop from its making until `aclose`; to be made inside of a loop."""

    def __init__(self, name: str) -> None:
        self._own = asyncio.get_running_loop()
        self._loop = asyncio.new_event_loop()
        # A daemon: when the relay's loop is stuck for good, this thread must not keep the process.
        self._thread = Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it in the other loop; what it gives or raises."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, self._loop))

    def ask(self, call: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """The same call, of a coroutine of the relay's own loop, to be awaited in the other one."""

        async def awaited() -> T:
            return await call()

        async def asked() -> T:
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(awaited(), self._own))

        return asked

    async def aclose(self) -> None:
        """End the other loop and its thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join)
        self._loop.close()
