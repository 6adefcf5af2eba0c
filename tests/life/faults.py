"""One call of a whole relay that goes wrong: the n-th, of whatever port, in one of the ways in which calls go wrong."""

import asyncio

from relay.errors import Retryable, Unavailable, Unknown
from relay.ports import Publishing

KINDS = ("away", "lost", "slow", "bug", "cancelled", "outage")
OUTAGE = 5.0
LATE = 3.0


class Bug(Exception):
    """What nobody foresaw."""


class Faults:
    """Counts the calls of all ports while it is `armed`; the call number `at` goes wrong, in an outage others, too."""

    def __init__(self, at=0, kind="away", *, armed=True):
        self.at = at
        self.kind = kind
        self.armed = armed
        self.calls = 0
        self.hit = None
        self._away_until = None

    async def pass_through(self, port, name, act, away, lost):
        """Do `act`, unless this call goes wrong. `away` and `lost` make this port's errors: not done, not known."""
        kind = self._turn(f"{port}.{name}")
        if kind in {"away", "outage"}:
            raise away()
        if kind == "bug":
            raise Bug(name)
        if kind == "cancelled":
            raise asyncio.CancelledError
        if kind == "slow":
            return await self._be_slow(port, act, lost)
        answer = await act()
        if kind == "lost":
            raise lost()
        return answer

    def _turn(self, name):
        now = asyncio.get_running_loop().time()
        if self._away_until is not None and now < self._away_until:
            return "outage"
        if not self.armed:
            return None
        self.calls += 1
        if self.calls != self.at:
            return None
        self.hit = name
        if self.kind == "outage":
            self._away_until = now + OUTAGE
        return self.kind

    async def _be_slow(self, port, act, lost):
        """The ledger does it late; a client of Cargo or RabbitMQ has given up by then."""
        if port == "ledger":
            await asyncio.sleep(15)
            return await act()
        asyncio.get_running_loop().call_later(LATE, asyncio.ensure_future, act())
        await asyncio.sleep(2)
        raise lost()


class Ledger:
    """The ledger behind faults."""

    def __init__(self, ledger, faults):
        self._ledger = ledger
        self._faults = faults

    def __getattr__(self, name):
        method = getattr(self._ledger, name)

        async def call(*args, **kwargs):
            return await self._faults.pass_through(
                "ledger",
                name,
                lambda: method(*args, **kwargs),
                lambda: Unavailable("the ledger is away"),
                lambda: Unavailable("the ledger went away during the commit"),
            )

        return call


class Chats:
    """Cargo behind faults."""

    def __init__(self, cargo, faults):
        self._cargo = cargo
        self._faults = faults

    def __getattr__(self, name):
        method = getattr(self._cargo, name)

        async def call(*args):
            return await self._faults.pass_through(
                "cargo", name, lambda: method(*args), lambda: Retryable("no route"), lambda: Unknown("reset")
            )

        return call


class Results:
    """The result exchange behind faults; `told` are the ids of what arrived there."""

    def __init__(self, faults):
        self.told = []
        self._faults = faults

    async def publish(self, due, body):
        async def arrive():
            await asyncio.sleep(0.01)
            self.told.append(due.result.id)

        away = Publishing("RabbitMQ is away", away=True)
        await self._faults.pass_through("results", "publish", arrive, lambda: away, lambda: away)
