"""One call of a whole relay that goes wrong: the n-th, of whatever port, in one of the ways in which calls go wrong."""

import asyncio

from relay.errors import Retryable, Unavailable, Unknown
from relay.ports import Publishing
from relay.slots import Offer

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
        if not callable(method):
            return method

        async def call(*args, **kwargs):
            given = [Given(arg) if isinstance(arg, Offer) else arg for arg in args]
            offers = [arg for arg in given if isinstance(arg, Given)]
            begun = False

            async def act():
                nonlocal begun
                begun = True
                return await method(*given, **kwargs)

            def away():
                return Unavailable("the ledger is away")

            def lost():
                return Unavailable("the ledger went away during the commit")

            try:
                answer = await self._faults.pass_through("ledger", name, act, away, lost)
            except BaseException as error:
                for offer in offers:
                    if begun and isinstance(error, asyncio.CancelledError):
                        offer.pass_on()
                    else:
                        offer.lose()
                raise
            for offer in offers:
                offer.pass_on()
            return answer

        return call


class Given:
    """An offer that ends once: what the ledger hands on for it is lost together with a response that is lost.

    The commit of a caller that was cancelled goes on, and hands on what it made.
    """

    def __init__(self, offer):
        self.count = offer.count
        self._offer = offer
        self._items = None
        self._passing = False
        self._over = False

    def take(self, items):
        self._items = items
        if self._passing:
            self.pass_on()

    def pass_on(self):
        self._passing = True
        if self._items is not None and not self._over:
            self._over = True
            self._offer.take(self._items)

    def lose(self):
        if not self._over:
            self._over = True
            self._offer.lose()


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


class Receivers:
    """The receivers of alerts behind faults; `told` are the ids of what they took."""

    def __init__(self, faults):
        self.told = []
        self._faults = faults

    async def post(self, url, body, headers):
        async def arrive():
            self.told.append(headers["webhook-id"])

        await self._faults.pass_through("receivers", "post", arrive, lambda: Retryable("away"), lambda: Retryable("?"))


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
