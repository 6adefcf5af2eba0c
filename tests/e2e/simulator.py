"""The Cargo simulator inside the test's process, over real HTTP."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from relay.sandbox import Faults, make_app, run
from tests.e2e.harness import TOKEN


@dataclass(frozen=True, slots=True)
class Simulator:
    """`url` ends in /v1; the rest asks the simulator's own paths."""

    url: str
    session: aiohttp.ClientSession

    async def chats(self) -> list[dict[str, Any]]:
        """What it made, oldest first."""
        async with self.session.get("/_chats") as answer:
            return (await answer.json())["chats"]

    async def set_faults(self, faults: Faults) -> None:
        async with self.session.put("/_faults", data=_wire(faults)) as answer:
            assert answer.status == 200, await answer.text()

    async def stats(self) -> dict[str, Any]:
        async with self.session.get("/_stats") as answer:
            return await answer.json()


def _wire(faults: Faults) -> bytes:
    from relay.sandbox.faults import WIRE

    return WIRE.dump_json(faults)


@asynccontextmanager
async def simulating(faults: Faults | None = None, **options: Any) -> AsyncIterator[Simulator]:
    """A simulator that wants the tests' token."""
    app = make_app(faults or Faults(), token=TOKEN, **({"pending": 0.0, "generating": 0.0} | options))
    async with await run(app) as running, aiohttp.ClientSession(running.url) as session:
        yield Simulator(f"{running.url}/v1", session)
