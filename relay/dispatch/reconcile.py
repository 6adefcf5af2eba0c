"""Resolves unknown outcomes: finds the chat and adopts it, or proves that it does not exist."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import groupby

from relay.dispatch import outcome
from relay.dispatch.gate import UNAUTHORIZED, Gate
from relay.dispatch.likeness import Likeness
from relay.dispatch.policy import Policy
from relay.dispatch.report import report, report_expired
from relay.dispatch.scan import SKEW, Scan, is_complete, scan
from relay.dispatch.stamp import STAMPABLE
from relay.errors import Denied, Permanent, RelayError, Retryable, Unavailable, Unknown
from relay.life import Signals, Stop
from relay.model import UNSTAMPED, Claim, Doubt, Failure, Move, ParkReason, State
from relay.ports import Chats, Work
from relay.telemetry import Metrics, get_log

log = get_log()

_MOST = 1_000
_TURN = 1.0


class Reconciler:
    """Scans Cargo's list for the dispatches in `checking`; one scan serves all of a trigger type.

    A lease makes one replica at a time the scanner. The scanner holds the lease while it has something to search for
    and renews it before each call, so that another replica takes over about one call's time after it dies. The lease
    only saves calls: moves are fenced, so two scanners at once do no harm.

    `clock` returns milliseconds since the epoch, `boottime` milliseconds on a clock that keeps counting while the
    machine is suspended.
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
        self.policy = policy
        self._signals = signals
        self._clock = clock
        self._boottime = boottime
        self._metrics = metrics
        self._stop = Stop()

    async def run(self, stop: Stop) -> None:
        """Take turns until `stop`. The pause after a turn is 1 s, or as long as the turn if that took longer."""
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
        """End what waited too long, move dispatches whose lease ended to `checking`, search for those that are due."""
        while not self._stop.asked and (expired := await self._work.expire()):
            for dispatch in expired:
                report_expired(dispatch, self._metrics)
            self._signals.results.set()
        if swept := await self._work.sweep():
            log.warning(
                "lease.ended", count=swept, what="a replica died or hung; Relay searches for what it was sending"
            )
            self._signals.work.set()
        # An open circuit stops the sending, not the looks: Cargo's list may work while creating chats does not.
        # The lease is taken only when something is due, so that an idle ledger costs no lease writes.
        if UNAUTHORIZED in self._gate.paused or not await self._work.doubts(1) or not await self._take_turn():
            return
        try:
            doubts = sorted(await self._work.doubts(_MOST), key=_trigger_type)
            for trigger_type, group in groupby(doubts, _trigger_type):
                await self._look(trigger_type, list(group))
        finally:
            with suppress(Unavailable):  # the lease then expires
                await self._work.release("scanner")

    async def _take_turn(self) -> bool:
        return await self._work.lease("scanner", self.policy.lease)

    async def _look(self, trigger_type: str, doubts: Sequence[Doubt]) -> None:
        began = self._boottime()
        try:
            moves = await self._judge(trigger_type, doubts)
        except (Retryable, Unknown, Permanent) as error:
            if isinstance(error, Denied):
                await self._gate.judge(error, since=began)
            log.warning("scan.failed", trigger_type=trigger_type, doubts=len(doubts), error=str(error))
            moves = [self._put_off(doubt, error) for doubt in doubts]
        for claim, move in moves:
            await self._record(claim, move)

    async def _judge(self, trigger_type: str, doubts: Sequence[Doubt]) -> list[tuple[Claim, Move]]:
        begun = max(doubt.at for doubt in doubts)
        since, until = min(doubt.first_attempt_at for doubt in doubts) - SKEW, begun + SKEW
        dispatch_ids = frozenset(doubt.claim.dispatch.id for doubt in doubts)
        seen = await scan(self._chats, trigger_type, since, until, dispatch_ids, pace=self._pace)
        missing = [doubt for doubt in doubts if doubt.claim.dispatch.id not in seen.stamped]
        proof = False
        if any(doubt.ended_ago >= self.policy.settle for doubt in missing):
            # Absence needs two scans that agree: one alone may have skipped a chat while the list changed.
            second = await scan(self._chats, trigger_type, since, until, dispatch_ids, pace=self._pace, before=seen)
            proof = is_complete(seen, second, begun)
            seen.extend(second)
        log.info("scan.ended", trigger_type=trigger_type, doubts=len(doubts), chats=len(seen.made), proof=proof)
        return [move for doubt in doubts for move in self._conclude_one(doubt, seen, proof=proof)]

    def _conclude_one(self, doubt: Doubt, seen: Scan, *, proof: bool) -> list[tuple[Claim, Move]]:
        """The moves for one dispatch. An error with this dispatch is logged and does not affect the others."""
        try:
            return self._conclude(doubt, seen, proof=proof)
        except Exception as error:
            log.exception("look.failed", dispatch_id=doubt.claim.dispatch.id)
            return [self._put_off(doubt, Unknown(f"the relay failed at this look: {type(error).__name__}: {error}"))]

    def _conclude(self, doubt: Doubt, seen: Scan, *, proof: bool) -> list[tuple[Claim, Move]]:
        claim = doubt.claim
        if matches := seen.stamped.get(claim.dispatch.id):
            now = self._clock()
            return [(claim, outcome.adopt(claim, chat, now=now, reconciled=True)) for chat in matches]
        if not proof or doubt.ended_ago < self.policy.settle:
            return [self._look_again(doubt)]
        lookalikes = _find_lookalikes(doubt, seen)
        if (lookalikes or not _carries_stamp(claim)) and not _is_decided(claim):
            return [self._undecidable(doubt, lookalikes)]
        absent = Failure("absent", "the outcome of the last attempt was unknown; Cargo has no such chat")
        move = outcome.wait_or_give_up(claim, absent, self.policy, now=self._clock(), verdict=None)
        return [(claim, move)]

    def _undecidable(self, doubt: Doubt, lookalikes: Sequence[str]) -> tuple[Claim, Move]:
        """Apply `on_unknown`: the chat may be one without a stamp, so its absence cannot be proved."""
        claim = doubt.claim
        failure = Failure(UNSTAMPED, _doubtful(claim, lookalikes))
        if claim.dispatch.on_unknown == "retry":
            return claim, outcome.wait_or_give_up(claim, failure, self.policy, now=self._clock(), verdict=None)
        return claim, outcome.park(claim, ParkReason.UNKNOWN, failure, now=self._clock())

    def _look_again(self, doubt: Doubt) -> tuple[Claim, Move]:
        if doubt.claim.waited >= self.policy.give_up_after:
            failure = Failure("unknown", "Relay could not find out in time whether Cargo created the chat")
            return doubt.claim, outcome.park(doubt.claim, ParkReason.UNKNOWN, failure, now=self._clock())
        due_in = self.policy.look_in(doubt.looks + 1, doubt.ended_ago)
        return doubt.claim, outcome.look_again(doubt.claim, due_in)

    def _put_off(self, doubt: Doubt, error: RelayError) -> tuple[Claim, Move]:
        if doubt.claim.waited >= self.policy.give_up_after:
            failure = Failure("unknown", f"Cargo's list could not be read in time: {error}")
            return doubt.claim, outcome.park(doubt.claim, ParkReason.UNKNOWN, failure, now=self._clock())
        return doubt.claim, outcome.look_again(doubt.claim, self.policy.wait(doubt.looks + 1))

    async def _pace(self) -> None:
        """Wait for the rate limit and renew the lease before a call. Raises `_Stopped` once the relay stops."""
        if wait := await self._work.pace(1):
            await self._stop.sleep(wait / 1_000)
        if self._stop.asked:
            raise _Stopped
        await self._take_turn()

    async def _record(self, claim: Claim, move: Move) -> None:
        record = await self._work.record(move)
        if record.move.results:
            self._signals.results.set()
        if record.move.to is not State.CHECKING:
            report(claim, record, self._metrics)
            self._signals.work.set()


class _Stopped(Exception):
    """The relay stops. The next start, or another replica, searches for what is left."""


def _trigger_type(doubt: Doubt) -> str:
    return doubt.claim.dispatch.trigger_type


def _carries_stamp(claim: Claim) -> bool:
    return claim.dispatch.trigger_type in STAMPABLE


def _is_decided(claim: Claim) -> bool:
    """Whether a person started this run knowing that the earlier outcome is unknown, and it has made no call yet."""
    return claim.doubt or (claim.attempts == 0 and not _carries_stamp(claim))


def _doubtful(claim: Claim, lookalikes: Sequence[str]) -> str:
    if lookalikes:
        return f"one of these chats may belong to this dispatch: {', '.join(lookalikes[:5])}"
    kind = claim.dispatch.trigger_type
    return f"a {kind} chat has no stamp: check in Cargo whether the chat exists, then retry or cancel"


def _find_lookalikes(doubt: Doubt, seen: Scan) -> list[str]:
    """The uuids of the chats without a stamp that may belong to this dispatch."""
    likeness, since = Likeness.of(doubt.claim.dispatch), doubt.first_attempt_at - SKEW
    return [chat.uuid for chat in seen.bare if chat.created_at >= since and likeness.fits(chat)]
