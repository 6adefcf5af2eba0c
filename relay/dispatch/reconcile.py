"""After an outcome that is not known: look for the chat, adopt it, or prove that there is none."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby

from relay.dispatch import outcome
from relay.dispatch.gate import Gate
from relay.dispatch.likeness import Likeness
from relay.dispatch.policy import Policy
from relay.dispatch.scan import SKEW, Scan, is_complete, scan
from relay.dispatch.stamp import STAMPABLE
from relay.dispatch.worker import report
from relay.errors import Denied, Permanent, RelayError, Retryable, Unavailable, Unknown
from relay.life import Signals, Stop
from relay.model import UNSTAMPED, Claim, Doubt, Failure, Move, ParkReason, State
from relay.ports import Chats, Work
from relay.telemetry import Metrics, get_log

log = get_log()

_MOST = 1_000
_TURN = 1.0


class Reconciler:
    """The one scanner of a ledger (leased). One scan serves every dispatch in `checking` of a trigger type.

    The lease is held while there is something to look for, and renewed before each call: when its holder dies, another
    goes on after about the time of one call. Two at once would do no harm, since moves are fenced, and save no calls.

    `clock` gives milliseconds since the epoch, `boottime` milliseconds on a clock that counts suspension.
    """

    def __init__(
        self,
        work: Work,
        chats: Chats,
        gate: Gate,
        policy: Policy,
        signals: Signals,
        *,
        clock: Callable[[], int],
        boottime: Callable[[], int],
        metrics: Metrics,
    ) -> None:
        self._work = work
        self._chats = chats
        self._gate = gate
        self._policy = policy
        self._signals = signals
        self._clock = clock
        self._boottime = boottime
        self._metrics = metrics
        self._stop = Stop()

    async def run(self, stop: Stop) -> None:
        """Sweep ended leases and look for what is due, until told to stop; rests at least as long as a look took."""
        self._stop = stop
        while not stop.asked:
            began = self._boottime()
            try:
                await self.turn()
            except Unavailable as error:
                log.warning("ledger.unavailable", part="reconciler", error=str(error))
            except _Stopped:
                return
            await stop.sleep(max(_TURN, (self._boottime() - began) / 1_000))

    async def turn(self) -> None:
        """One round: ended leases become doubts, doubts that are due are looked for."""
        if swept := await self._work.sweep():
            log.warning("lease.ended", count=swept, what="a replica died or hung; what it was sending is looked for")
            self._signals.work.set()
        if self._gate.paused or not await self._work.doubts(1) or not await self._take_turn():
            return
        try:
            doubts = sorted(await self._work.doubts(_MOST), key=_trigger_type)
            for trigger_type, group in groupby(doubts, _trigger_type):
                await self._look(trigger_type, list(group))
        finally:
            with suppress(Unavailable):  # then it ends by itself
                await self._work.release("scanner")

    async def _take_turn(self) -> bool:
        return await self._work.lease("scanner", self._policy.lease)

    async def _look(self, trigger_type: str, doubts: Sequence[Doubt]) -> None:
        try:
            moves = await self._judge(trigger_type, doubts)
        except (Retryable, Unknown, Permanent) as error:
            if isinstance(error, Denied):
                await self._gate.judge(error)
            log.warning("scan.failed", trigger_type=trigger_type, doubts=len(doubts), error=str(error))
            moves = [self._put_off(doubt, error) for doubt in doubts]
        for claim, move in moves:
            await self._record(claim, move)

    async def _judge(self, trigger_type: str, doubts: Sequence[Doubt]) -> list[tuple[Claim, Move]]:
        begun = max(doubt.at for doubt in doubts)
        since, until = min(doubt.first_attempt_at for doubt in doubts) - SKEW, begun + SKEW
        wanted = frozenset(doubt.claim.dispatch.id for doubt in doubts)
        seen = await scan(self._chats, trigger_type, since, until, wanted, pace=self._pace)
        missing = [doubt for doubt in doubts if doubt.claim.dispatch.id not in seen.stamped]
        proof = False
        if any(doubt.ended_ago >= self._policy.settle for doubt in missing):
            again = await scan(self._chats, trigger_type, since, until, wanted, pace=self._pace)
            proof = is_complete(seen, again, begun)
            seen.extend(again)
        log.info("scan.ended", trigger_type=trigger_type, doubts=len(doubts), chats=len(seen.made), proof=proof)
        return [move for doubt in doubts for move in self._conclude_one(doubt, seen, proof=proof)]

    def _conclude_one(self, doubt: Doubt, seen: Scan, *, proof: bool) -> list[tuple[Claim, Move]]:
        """What follows for one dispatch; that it cannot be told for one holds up no other."""
        try:
            return self._conclude(doubt, seen, proof=proof)
        except Exception as error:
            log.exception("look.failed", dispatch_id=doubt.claim.dispatch.id)
            return [self._put_off(doubt, Unknown(f"the relay failed at this look: {type(error).__name__}: {error}"))]

    def _conclude(self, doubt: Doubt, seen: Scan, *, proof: bool) -> list[tuple[Claim, Move]]:
        claim = doubt.claim
        if found := seen.stamped.get(claim.dispatch.id):
            now = self._clock()
            return [(claim, outcome.adopt(claim, chat, now=now, reconciled=True)) for chat in found]
        if not proof or doubt.ended_ago < self._policy.settle:
            return [self._look_again(doubt)]
        lookalikes = _find_lookalikes(doubt, seen)
        if (lookalikes or not _carries_stamp(claim)) and not _is_decided(claim):
            return [self._undecidable(doubt, lookalikes)]
        absent = Failure("absent", "the outcome of the last attempt was not known; Cargo has no such chat")
        move = outcome.wait_or_give_up(claim, absent, self._policy, now=self._clock(), verdict=None)
        return [(claim, move)]

    def _undecidable(self, doubt: Doubt, lookalikes: Sequence[str]) -> tuple[Claim, Move]:
        """Cargo does not carry stamps back here, so absence cannot be proved."""
        claim = doubt.claim
        failure = Failure(UNSTAMPED, _doubtful(claim, lookalikes))
        if claim.dispatch.on_unknown == "retry":
            return claim, outcome.wait_or_give_up(claim, failure, self._policy, now=self._clock(), verdict=None)
        return claim, outcome.park(claim, ParkReason.UNKNOWN, failure, now=self._clock())

    def _look_again(self, doubt: Doubt) -> tuple[Claim, Move]:
        if doubt.claim.waited >= self._policy.give_up_after:
            failure = Failure("unknown", "it could not be told in time whether Cargo made the chat")
            return doubt.claim, outcome.park(doubt.claim, ParkReason.UNKNOWN, failure, now=self._clock())
        due_in = self._policy.look_in(doubt.looks + 1, doubt.ended_ago)
        return doubt.claim, outcome.look_again(doubt.claim, due_in)

    def _put_off(self, doubt: Doubt, error: RelayError) -> tuple[Claim, Move]:
        if doubt.claim.waited >= self._policy.give_up_after:
            failure = Failure("unknown", f"Cargo's list could not be read in time: {error}")
            return doubt.claim, outcome.park(doubt.claim, ParkReason.UNKNOWN, failure, now=self._clock())
        return doubt.claim, outcome.look_again(doubt.claim, self._policy.wait(doubt.looks + 1))

    async def _pace(self) -> None:
        """Before each call: none is begun after the stop."""
        if wait := await self._work.pace(1):
            await self._stop.sleep(wait / 1_000)
        if self._stop.asked:
            raise _Stopped
        await self._take_turn()

    async def _record(self, claim: Claim, move: Move) -> None:
        recorded = await self._work.record(move)
        if move.results:
            self._signals.results.set()
        if move.to is not State.CHECKING:
            report(claim, move, recorded, self._metrics)
            self._signals.work.set()


class _Stopped(Exception):
    """The relay stops: what is not looked for yet is due at the next start, or at another replica."""


def _trigger_type(doubt: Doubt) -> str:
    return doubt.claim.dispatch.trigger_type


def _carries_stamp(claim: Claim) -> bool:
    return claim.dispatch.trigger_type in STAMPABLE


def _is_decided(claim: Claim) -> bool:
    """A person, told that nobody else can tell, has begun this run, which has made no call yet: it is wanted."""
    return claim.doubt or (claim.attempts == 0 and not _carries_stamp(claim))


def _doubtful(claim: Claim, lookalikes: Sequence[str]) -> str:
    if lookalikes:
        return f"one of these chats may be the one: {', '.join(lookalikes[:5])}"
    kind = claim.dispatch.trigger_type
    return f"a {kind} chat carries no stamp: look in Cargo whether there is one, then retry or cancel"


def _find_lookalikes(doubt: Doubt, seen: Scan) -> list[str]:
    """The chats that may be the one, and have no stamp."""
    likeness, since = Likeness.of(doubt.claim.dispatch), doubt.first_attempt_at - SKEW
    return [chat.uuid for chat in seen.bare if chat.created_at >= since and likeness.fits(chat)]
