"""Global trouble is global: refused credentials and an open circuit pause all sending, on every replica.

Whatever paused, a probe (`GET /ai/chats/list?limit=1`) that Cargo answers ends the pause; after an open circuit
one dispatch goes first. One replica probes, under a lease that lasts for its wait and one call: when it dies, another
goes on about when the next probe would have been.
"""

import asyncio
from collections.abc import Awaitable, Callable

from relay.dispatch.policy import Policy
from relay.errors import Denied, Permanent, RelayError, Retryable, Unavailable, Unknown
from relay.limits import Circuit, Phase
from relay.ports import Chats, Work
from relay.retry import backoff
from relay.telemetry import get_log

log = get_log()

UNAUTHORIZED = "unauthorized"
CIRCUIT = "circuit"
_POLL = 1.0


class Gate:
    """Watches the outcomes of one replica's calls, and probes while a pause is on."""

    def __init__(
        self,
        work: Work,
        chats: Chats,
        policy: Policy,
        *,
        sleep: Callable[[float], Awaitable[None]],
        opened: Callable[[], None],
    ) -> None:
        self._work = work
        self._chats = chats
        self._policy = policy
        self._sleep = sleep
        self._opened = opened
        self._circuit = Circuit()
        self._probing = asyncio.Lock()
        self.paused: tuple[str, ...] = ()

    def room(self, free: int, in_flight: int) -> int:
        """How many of the free slots may be claimed for now."""
        if self._circuit.phase is Phase.CLOSED:
            return free
        return 1 if self._circuit.phase is Phase.TRIAL and not in_flight else 0

    def succeed(self) -> None:
        """Cargo did what it was asked, or said clearly that it will not: it works."""
        if self._circuit.phase is not Phase.OPEN:
            self._circuit.succeed()

    async def trouble(self, dispatch_id: str, error: RelayError) -> None:
        """Cargo could not be reached, or its answer means nothing."""
        if self._circuit.trouble(dispatch_id):
            await self._pause(CIRCUIT, str(error))

    async def denied(self, error: Denied) -> bool:
        """401 or 403: is it our token, not that one dispatch? Then all sending is paused."""
        async with self._probing:
            if UNAUTHORIZED in self.paused:
                return True
            try:
                await self._chats.probe()
            except Denied:
                await self._pause(UNAUTHORIZED, str(error))
                return True
            except (Retryable, Unknown, Permanent) as trouble:
                log.warning("cargo.unclear", error=str(trouble), what="refused credentials could not be confirmed")
                return True
            return False

    async def run(self) -> None:
        """Follow the pauses of the ledger, and end them when Cargo answers."""
        while True:
            try:
                await self.look()
                if self.paused and await self._work.lease("prober", self._policy.lease):
                    await self._probe_until_open()
            except Unavailable as error:
                log.warning("ledger.unavailable", part="gate", error=str(error))
            await self._sleep(_POLL)

    async def look(self) -> None:
        """Take over the pauses that any replica has set or ended."""
        before, self.paused = self.paused, tuple(await self._work.pauses())
        if before and not self.paused:
            self._open()

    async def _probe_until_open(self) -> None:
        tries = 0
        while self.paused:
            try:
                await self._chats.probe()
            except (Retryable, Unknown, Permanent) as error:
                log.info("cargo.probed", paused=self.paused, error=str(error))
                tries += 1
                wait = max(500, backoff(tries, first=1_000, cap=30_000, random=self._policy.random))
                if not await self._work.lease("prober", wait + self._policy.lease):
                    return
                await self._sleep(wait / 1_000)
                await self.look()
                continue
            for reason in self.paused:
                if await self._work.resume(reason):
                    log.info("cargo.resumed", reason=reason)
            self.paused = ()
            await self._work.release("prober")
            self._open()

    async def _pause(self, reason: str, error: str) -> None:
        self.paused = (*self.paused, reason)
        if await self._work.pause(reason):
            log.error("cargo.paused", reason=reason, error=error, what=_WHAT[reason])

    def _open(self) -> None:
        self._circuit.allow_trial()
        self._opened()


_WHAT = {
    UNAUTHORIZED: "Cargo refuses our token: check cargo.token; sending goes on by itself once it is accepted",
    CIRCUIT: "Cargo does not answer as it should; it is probed, and sending goes on by itself",
}
