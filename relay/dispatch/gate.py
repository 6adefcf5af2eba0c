"""Global trouble is global: refused credentials and an open circuit pause all sending, on every replica.

Whatever paused, a probe (`GET /ai/chats/list?limit=1`) that Cargo answers ends the pause; after an open circuit
one dispatch of each replica goes first. Where that fails, too, the next pause is twice as long, up to 5 minutes: Cargo
may well list chats while it makes none. One replica probes, under a lease that lasts for its wait and one call: when it
dies, another goes on about when the next probe would have been.

Nothing here hangs on seeing a change. What this replica wants paused is kept until the ledger has it, and each turn
compares what the ledger says with what the worker was told: a call that fails in between is made up for by the next.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

from relay.dispatch.policy import Policy
from relay.errors import Denied, Permanent, RelayError, Retryable, Unavailable, Unknown
from relay.life import Signals, Stop
from relay.limits import Circuit, CircuitPhase
from relay.ports import Chats, Work
from relay.retry import backoff
from relay.telemetry import get_log

log = get_log()

UNAUTHORIZED = "unauthorized"
CIRCUIT = "circuit"
_POLL = 1.0
_PROBER = "prober"
_LONGEST_HOLD = 300_000
"""Milliseconds for which an open circuit stays open at most, however often it has opened again."""
_MEMORY = 60_000
"""Milliseconds after a pause within which the next one counts as the same trouble, beside twice its length."""


class Refusal(Enum):
    """Whom a 401 or 403 concerns: all sending, that one dispatch, or nobody can tell now."""

    GLOBAL = "global"
    OWN = "own"
    UNCLEAR = "unclear"


class Gate:
    """Watches the outcomes of one replica's calls, and probes while a pause is on.

    `boottime` gives milliseconds on a clock that counts suspension.
    """

    def __init__(
        self, work: Work, chats: Chats, policy: Policy, signals: Signals, *, boottime: Callable[[], int]
    ) -> None:
        self._work = work
        self._chats = chats
        self._policy = policy
        self._signals = signals
        self._boottime = boottime
        self._circuit = Circuit()
        self._asking = asyncio.Lock()
        self._wanted: dict[str, str] = {}
        """Reasons to pause that the ledger does not have yet, each with the error that it comes from."""
        self._shown: tuple[str, ...] = ()
        """The pauses that the ledger showed last."""
        self._barred = False
        """Whether sending was paused at the last turn: the worker is told when that ends."""
        self._leased = False
        self._tries = 0
        self._next_probe = 0
        self._strikes = 0
        """How often the circuit has opened again after a pause without a success in between."""
        self._hold_until = 0
        self._circuit_was_open = False
        self._closed_at: int | None = None

    @property
    def paused(self) -> tuple[str, ...]:
        """The reasons for which sending is paused; empty when it is not."""
        return (*self._shown, *(reason for reason in self._wanted if reason not in self._shown))

    def room(self, free: int, in_flight: int) -> int:
        """How many of the free slots may be claimed for now."""
        if self._shown or self._wanted:
            return 0
        if self._circuit.phase is CircuitPhase.CLOSED:
            return free
        return 1 if self._circuit.phase is CircuitPhase.TRIAL and not in_flight else 0

    def succeed(self) -> None:
        """Cargo did what it was asked, or said clearly that it will not: it works."""
        if self._circuit.phase is not CircuitPhase.OPEN:
            if self._circuit.phase is CircuitPhase.TRIAL:
                self._closed_at = None
            self._circuit.succeed()

    def trouble(self, dispatch_id: str, error: RelayError) -> None:
        """Cargo could not be reached, or its answer means nothing."""
        if self._circuit.trouble(dispatch_id):
            self._want(CIRCUIT, str(error))

    async def judge(self, error: Denied) -> Refusal:
        """Whom a 401 or 403 concerns, found out by a probe. Where it is our token, all sending is paused from now."""
        async with self._asking:
            if UNAUTHORIZED in self.paused:
                return Refusal.GLOBAL
            try:
                await self._chats.probe()
            except Denied:
                self._want(UNAUTHORIZED, str(error))
                return Refusal.GLOBAL
            except (Retryable, Unknown, Permanent) as trouble:
                log.warning("cargo.unclear", error=str(trouble), what="refused credentials could not be confirmed")
                return Refusal.UNCLEAR
            return Refusal.OWN

    async def run(self, stop: Stop) -> None:
        """Follow the pauses of the ledger, and end them when Cargo answers, until told to stop."""
        stop.wakes(self._signals.pauses)
        try:
            while not stop.asked:
                self._signals.pauses.clear()
                try:
                    wait = await self.turn()
                except Unavailable as error:
                    log.warning("ledger.unavailable", part="gate", error=str(error))
                    wait = _POLL
                await self._signals.pauses.wait(wait)
        finally:
            await self._release()

    async def turn(self) -> float:
        """Bring the ledger's pauses and this replica's together, probe if it is time; seconds until the next turn."""
        await self._pause()
        self._shown = tuple(await self._work.pauses())
        self._follow_circuit()
        if not self.paused:
            self._open()
            await self._release()
            return _POLL
        self._barred = True
        return await self._probe()

    def _follow_circuit(self) -> None:
        """Hold a circuit that opens again and again ever longer; it counts whichever replica opened it."""
        now, is_open = self._boottime(), CIRCUIT in self.paused
        if is_open:
            self._circuit.open()
        if is_open and not self._circuit_was_open:
            hold = _hold(self._strikes)
            again = self._closed_at is not None and now - self._closed_at < 2 * hold + _MEMORY
            self._strikes = self._strikes + 1 if again else 0
            self._hold_until = now + _hold(self._strikes)
        elif self._circuit_was_open and not is_open:
            self._closed_at = now
        self._circuit_was_open = is_open

    def _want(self, reason: str, error: str) -> None:
        self._wanted[reason] = error
        self._signals.pauses.set()

    async def _pause(self) -> None:
        """Write down what this replica wants paused; it is wanted until that is done."""
        for reason, error in list(self._wanted.items()):
            if await self._work.pause(reason):
                log.error("cargo.paused", reason=reason, error=error, what=_WHAT[reason])
            del self._wanted[reason]
            self._shown = (*self._shown, reason)

    def _open(self) -> None:
        """Nothing is paused: an open circuit lets one dispatch through, and the worker looks for work."""
        self._circuit.allow_trial()
        if self._barred:
            self._barred = False
            self._signals.work.set()

    async def _probe(self) -> float:
        """Ask Cargo, if this replica is the one that asks and it is time. Gives seconds until the next look."""
        wait = max(self._next_probe, self._hold_until) - self._boottime()
        if self._leased and wait > 0:
            return min(_POLL, wait / 1_000)
        if not await self._work.lease(_PROBER, max(0, wait) + self._policy.lease):
            self._leased, self._tries = False, 0
            return _POLL
        self._leased = True
        if wait > 0:
            return min(_POLL, wait / 1_000)
        try:
            await self._chats.probe()
        except (Retryable, Unknown, Permanent) as error:
            return await self._put_off(error)
        for reason in self._shown:
            if await self._work.resume(reason):
                log.info("cargo.resumed", reason=reason)
        self._shown = ()
        self._follow_circuit()
        if not self._wanted:
            self._open()
        await self._release()
        return 0.0 if self._wanted else _POLL

    async def _put_off(self, error: RelayError) -> float:
        """Cargo does not answer yet: the next probe is later than this one was, and the lease lasts until then."""
        log.info("cargo.probed", paused=self.paused, error=str(error))
        self._tries += 1
        wait = max(500, backoff(self._tries, first=1_000, cap=30_000, random=self._policy.random))
        self._next_probe = self._boottime() + wait
        self._leased = await self._work.lease(_PROBER, wait + self._policy.lease)
        return min(_POLL, wait / 1_000)

    async def _release(self) -> None:
        """Let another replica probe at once. A lease that cannot be given back ends by itself."""
        if self._leased:
            self._leased, self._tries, self._next_probe = False, 0, 0
            with suppress(Unavailable):
                await self._work.release(_PROBER)


def _hold(strikes: int) -> int:
    """Milliseconds until an open circuit is probed: at once the first time, then from 2 s on twice as long each."""
    return min(_LONGEST_HOLD, 1_000 << min(strikes, 20)) if strikes else 0


_WHAT = {
    UNAUTHORIZED: "Cargo refuses our token: check cargo.token; sending goes on by itself once it is accepted",
    CIRCUIT: "Cargo does not answer as it should; it is probed, and sending goes on by itself",
}
