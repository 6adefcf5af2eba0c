"""Pauses sending on every replica while Cargo refuses the credentials or the circuit breaker is open.

A successful probe (`GET /ai/chats/list?limit=1`) ends any pause. After an open circuit each replica sends one trial
dispatch first. If the trial fails, the next pause is twice as long, up to 5 minutes, because Cargo can list chats
while it fails to create them. One replica probes at a time, under a lease that lasts for its wait plus one call. If
that replica dies, another takes over at about the time of the next probe.

The gate compares states and does not depend on seeing each change. It keeps a pause request until the ledger has
recorded it, and each turn reads the ledger's pauses anew. If a ledger call fails, the next turn repeats the work.
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
_LONGEST_WAIT = 4_000
"""The longest wait between two probes, in ms, so that a call follows within 5 s of Cargo's recovery, however long it
was away. One replica probes for all of them, so this costs Cargo one small read."""
_PROBER = "prober"
_LONGEST_HOLD = 300_000
"""The longest time an open circuit waits before its next probe, in ms."""
_MEMORY = 60_000
"""A circuit that opens again within this time (ms) plus twice the last hold counts as the same outage."""


class Refusal(Enum):
    """The scope of a 401 or 403: all sending, this dispatch only, or not known yet."""

    GLOBAL = "global"
    OWN = "own"
    UNCLEAR = "unclear"


class Gate:
    """Tracks the outcomes of one replica's calls and probes Cargo during a pause.

    `boottime` returns milliseconds on a clock that keeps counting while the machine is suspended.
    """

    def __init__(
        self, work: Work, chats: Chats, policy: Policy, signals: Signals, *, boottime: Callable[[], int]
    ) -> None:
        self._work = work
        self._chats = chats
        self.policy = policy
        self._signals = signals
        self._boottime = boottime
        self._circuit = Circuit()
        self._judging = asyncio.Lock()
        self._unrecorded: dict[str, str] = {}
        """Pause reasons that are not in the ledger yet, each with the error that caused it."""
        self._recorded: tuple[str, ...] = ()
        """The pause reasons read from the ledger at the last turn."""
        self._was_paused = False
        """Whether sending was paused at the last turn. The worker is woken when this ends."""
        self._leased = False
        self._tries = 0
        self._next_probe = 0
        self._renewed_at = -1
        """When the token was replaced."""
        self._strikes = 0
        """How often the circuit has opened again since the last successful trial."""
        self._hold_until = 0
        self._circuit_was_open = False
        self._closed_at: int | None = None

    @property
    def paused(self) -> tuple[str, ...]:
        """Why sending is paused; empty when it is not paused."""
        return (*self._recorded, *(reason for reason in self._unrecorded if reason not in self._recorded))

    def room(self, free: int, in_flight: int) -> int:
        """How many of the `free` call slots the worker may fill now."""
        if self._recorded or self._unrecorded:
            return 0
        if self._circuit.phase is CircuitPhase.CLOSED:
            return free
        return 1 if self._circuit.phase is CircuitPhase.TRIAL and not in_flight else 0

    def succeed(self) -> None:
        """Record that Cargo works: it fulfilled a request or rejected it definitively."""
        if self._circuit.phase is not CircuitPhase.OPEN:
            if self._circuit.phase is CircuitPhase.TRIAL:
                self._closed_at = None
            self._circuit.succeed()

    def trouble(self, dispatch_id: str, error: RelayError) -> None:
        """Record that a call for this dispatch could not reach Cargo or got no definitive answer."""
        if self._circuit.trouble(dispatch_id):
            self._request(CIRCUIT, str(error))

    def renew(self) -> None:
        """Probe at once, because another token is in force."""
        self._renewed_at = self._boottime()
        self._next_probe, self._tries = 0, 0
        self._signals.pauses.set()

    async def judge(self, error: Denied, *, since: int) -> Refusal:
        """Probe Cargo to find the scope of a 401 or 403. If Cargo rejects the token itself, pause all sending.

        `since` is when the refused call began. What the token of that time was refused says nothing about a later one.
        """
        # Many calls fail at once when a token is revoked: the lock lets the first one probe, and the others then find
        # sending paused instead of probing again.
        async with self._judging:
            if UNAUTHORIZED in self.paused:
                return Refusal.GLOBAL
            try:
                await self._chats.probe()
            except Denied:
                self._request(UNAUTHORIZED, str(error))
                return Refusal.GLOBAL
            except (Retryable, Unknown, Permanent) as probe_error:
                log.warning(
                    "cargo.unclear",
                    error=str(probe_error),
                    what="a probe could not confirm that the credentials are refused",
                )
                return Refusal.UNCLEAR
            return Refusal.OWN if since > self._renewed_at else Refusal.UNCLEAR

    async def run(self, stop: Stop) -> None:
        """Follow the ledger's pauses and end them once Cargo answers. Runs until `stop`."""
        stop.wakes(self._signals.pauses)
        try:
            while not stop.asked:
                self._signals.pauses.clear()  # before the turn, so that a pause requested during it is not missed
                try:
                    wait = await self.turn()
                except Unavailable as error:
                    log.warning("ledger.unavailable", part="gate", error=str(error))
                    wait = _POLL
                await self._signals.pauses.wait(wait)
        finally:
            await self._release()

    async def turn(self) -> float:
        """Write this replica's pauses, read the ledger's, probe if due. Returns the seconds until the next turn."""
        await self._pause()  # written first, so that the read below includes them
        self._recorded = tuple(await self._work.pauses())
        self._follow_circuit()
        if not self.paused:
            self._open()
            await self._release()
            return _POLL
        self._was_paused = True
        return await self._probe()

    def _follow_circuit(self) -> None:
        """Double the hold each time the circuit opens again, no matter which replica opened it."""
        now, is_open = self._boottime(), CIRCUIT in self.paused
        if is_open:
            self._circuit.open()
        if is_open and not self._circuit_was_open:
            hold = _hold(self._strikes)
            same_outage = self._closed_at is not None and now - self._closed_at < 2 * hold + _MEMORY
            self._strikes = self._strikes + 1 if same_outage else 0
            self._hold_until = now + _hold(self._strikes)
        elif self._circuit_was_open and not is_open:
            self._closed_at = now
        self._circuit_was_open = is_open

    def _request(self, reason: str, error: str) -> None:
        self._unrecorded[reason] = error
        self._signals.pauses.set()

    async def _pause(self) -> None:
        """Write this replica's pause requests to the ledger. A request is kept until the ledger has it."""
        for reason, error in list(self._unrecorded.items()):
            if await self._work.pause(reason):
                log.error("cargo.paused", reason=reason, error=error, what=_WHAT[reason])
            del self._unrecorded[reason]
            self._recorded = (*self._recorded, reason)

    def _open(self) -> None:
        """End the pause on this replica: allow one trial dispatch and wake the worker."""
        self._circuit.allow_trial()
        if self._was_paused:
            self._was_paused = False
            self._signals.work.set()

    async def _probe(self) -> float:
        """Probe Cargo if this replica holds the lease and the probe is due. Returns the seconds until the next turn."""
        wait = max(self._next_probe, self._hold_until) - self._boottime()
        if self._leased and wait > 0:
            return min(_POLL, wait / 1_000)
        if not await self._work.lease(_PROBER, max(0, wait) + self.policy.lease):
            self._leased, self._tries = False, 0
            return _POLL
        self._leased = True
        if wait > 0:
            return min(_POLL, wait / 1_000)
        try:
            await self._chats.probe()
        except (Retryable, Unknown, Permanent) as error:
            if isinstance(error, Denied) and UNAUTHORIZED not in self.paused:
                self._request(UNAUTHORIZED, str(error))  # refused while the circuit is open, when nothing is sent
            return await self._put_off(error)
        for reason in self._recorded:
            if await self._work.resume(reason):
                log.info("cargo.resumed", reason=reason)
        self._recorded = ()
        self._follow_circuit()  # after the pauses ended: this is when the circuit counts as closed
        if not self._unrecorded:
            self._open()
        await self._release()
        return 0.0 if self._unrecorded else _POLL

    async def _put_off(self, error: RelayError) -> float:
        """Schedule the next probe with back-off and extend the lease until then. Returns the seconds to wait."""
        log.info("cargo.probed", paused=self.paused, error=str(error))
        self._tries += 1
        wait = max(500, backoff(self._tries, first=1_000, cap=_LONGEST_WAIT, random=self.policy.random))
        self._next_probe = self._boottime() + wait
        self._leased = await self._work.lease(_PROBER, wait + self.policy.lease)
        return min(_POLL, wait / 1_000)

    async def _release(self) -> None:
        """Release the lease so that another replica can probe at once. If the release fails, the lease expires."""
        if self._leased:
            self._leased, self._tries, self._next_probe = False, 0, 0
            with suppress(Unavailable):
                await self._work.release(_PROBER)


def _hold(strikes: int) -> int:
    """Milliseconds until an open circuit is probed: 0 the first time, then 2 s, doubling each time."""
    return min(_LONGEST_HOLD, 1_000 << min(strikes, 20)) if strikes else 0


_WHAT = {
    UNAUTHORIZED: "Cargo refuses the token: check cargo.token; sending resumes by itself once Cargo accepts it",
    CIRCUIT: "too many calls to Cargo failed in a row; Relay probes Cargo, and sending resumes by itself",
}
