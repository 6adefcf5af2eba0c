"""Calls Cargo for claimed dispatches, one per call slot, and records the outcomes.

Most claims come with the commit that stores the event, or with the record of the call before: the worker offers free
slots to those writes. It looks for work itself only where some may be left: after a signal, at the next due time, and
once a second for what other replicas leave.
"""

import asyncio
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from logging import DEBUG
from typing import Final, cast

from relay.dispatch import outcome
from relay.dispatch.gate import Gate, Refusal
from relay.dispatch.heard import find_message
from relay.dispatch.policy import Policy
from relay.dispatch.report import about, report, report_withheld
from relay.dispatch.stamp import stamp_body
from relay.dispatch.traced import traced
from relay.errors import Denied, Permanent, Retryable, Unavailable, Unknown
from relay.life import Signals, Stop
from relay.model import Claim, Due, Move, State, Verdict
from relay.ports import Chats, Work
from relay.slots import Offer, Offers, Slots, no_offer
from relay.telemetry import Metrics, Tracing, get_log

log = get_log()

_POLL: Final = 1_000
_LEAST: Final = 20
_AWAY: Final = 1.0
_RECORDING: Final = 2.0
"""Seconds at the end of the grace period that are reserved for recording the calls that were cut."""


class Worker:
    """Keeps at most `concurrency` calls to Cargo in flight.

    `publishing` gives the publisher's offers for results. `clock` returns milliseconds since the epoch, `boottime`
    milliseconds on a clock that keeps counting while the machine is suspended.
    """

    def __init__(
        self,
        work: Work,
        chats: Chats,
        gate: Gate,
        policy: Policy,
        signals: Signals,
        *,
        concurrency: int,
        clock: Callable[[], int],
        boottime: Callable[[], int],
        metrics: Metrics,
        publishing: Offers[Due] = no_offer,
        tracing: Tracing | None = None,
    ) -> None:
        self._work = work
        self._chats = chats
        self._gate = gate
        self.policy = policy
        self._signals = signals
        self._concurrency = concurrency
        self._clock = clock
        self._boottime = boottime
        self._metrics = metrics
        self._publishing = publishing
        self._tracing = tracing
        self._calls: dict[asyncio.Task[None], Claim] = {}
        self._attempting: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._slots = Slots(signals.work)
        self._stop = Stop()
        self._cutting = False
        self._claiming = 0
        self._behind = True
        """Whether more may be due than there were slots for."""
        self._next_due: float = 0
        """When something in the ledger may be claimable, in `boottime`: 0 is now, infinite is not before a signal."""

    def offer(self, wanted: int) -> Offer[Claim] | None:
        """Offer up to `wanted` free slots to a write that creates dispatches. None when there are none to offer.

        While older work waits in the ledger, the slots are for that.
        """
        if self._slots.closed or self._slots.unsure or self._behind:
            return None
        slots = min(wanted, self._room())
        if slots <= 0:
            return None
        # A lease starts at the ledger during the write, so the time before it errs towards a shorter lease.
        offered_at = self._boottime()
        return self._slots.offer(slots, lambda claims: self._start(claims, offered_at))

    async def run(self, stop: Stop) -> None:
        """Claim and call until `stop`, then let the calls in flight finish within the grace period.

        Claims without a call are returned. A call that outlasts the grace period is cancelled, and its dispatch moves
        to `checking`. While the ledger is unavailable, the worker waits.
        """
        self._stop = stop
        self._slots.closed = False
        stop.wakes(self._signals.work)
        while not stop.asked:
            if self._signals.work.is_set:
                self._next_due = 0
            self._signals.work.clear()  # before the turn, so that work that arrives during it wakes the next one
            try:
                await self._turn()
            except Unavailable as error:
                log.warning("ledger.unavailable", part="worker", error=str(error))
                await stop.sleep(_AWAY)
        self._slots.closed = True
        await self._finish()

    async def _turn(self) -> None:
        if self._slots.unsure and not self._slots.promised:
            await self._give_back()
        room = 0 if self._slots.unsure else self._room()
        if room and self._next_due <= self._boottime():
            # Half of the slots stay free for offers. If all were taken, what came in meanwhile would have to be claimed
            # in its turn, and so on for as long as something comes in during every claim.
            wanted = (room + 1) // 2
            self._behind = await self._claim(wanted) == wanted
            if self._behind:
                return
            self._next_due = math.inf  # first, so that a signal or a call that ends meanwhile is not overwritten
            self._next_due = min(self._next_due, await self._look_ahead())
        if not self._signals.work.is_set:
            await self._idle(full=not room)

    def _room(self) -> int:
        """How many slots are free; 0 during a pause, whose end sets the `work` signal."""
        taken = self._in_flight + self._slots.promised + self._claiming
        return max(0, self._gate.room(self._concurrency - taken, taken))

    async def _look_ahead(self) -> float:
        """When the next dispatch is due, in `boottime`."""
        asked_at = self._boottime()
        due_in = await self._work.wake()
        return math.inf if due_in is None else asked_at + max(due_in, _LEAST)

    async def _claim(self, wanted: int) -> int:
        # Read before the claim: a lease starts at the ledger during the call, so this errs towards a shorter lease.
        claimed_at = self._boottime()
        self._claiming = wanted
        try:
            claims = await self._work.claim(wanted)
        except BaseException:
            self._slots.doubt()  # without a response it is open whether claims were committed
            raise
        finally:
            self._claiming = 0
        if self._stop.asked:
            self._slots.unsure = True  # `_finish` returns the claims in one call
            claims = []
        self._start(claims, claimed_at)
        await self._report_withheld()  # last: claims that are not started are lost until their leases end
        return len(claims)

    async def _report_withheld(self) -> None:
        for withheld in await self._work.withheld():
            report_withheld(withheld, self._metrics)
            if withheld.to is not State.HELD:
                self._signals.results.set()

    async def _give_back(self) -> None:
        """Return the claims of this replica that it does not work on. Otherwise they wait until their leases expire."""
        returned = await self._work.give_back({(claim.dispatch.id, claim.fence) for claim in self._calls.values()})
        self._slots.unsure = False
        if returned:
            log.info("claims.returned", count=returned, what="claimed but not started: any replica may claim them now")

    def _start(self, claims: Sequence[Claim], claimed_at: int) -> None:
        self._in_flight += len(claims)
        self._metrics.in_flight.set(self._in_flight)
        for claim in claims:
            call = asyncio.create_task(self._work_on(claim, claimed_at))
            self._calls[call] = claim
            self._attempting.add(call)
            call.add_done_callback(self._ended)

    def _ended(self, call: asyncio.Task[None]) -> None:
        claim = self._calls.pop(call)
        self._attempting.discard(call)
        if not call.cancelled() and (error := call.exception()) is not None:
            # Nothing is recorded: the lease expires, and the reconciler searches for the chat.
            log.error("call.failed", exc_info=error, **about(claim))

    async def _finish(self) -> None:
        """Return unused claims, wait for the calls, then cut and record those that are left: all within the grace."""
        # Returning claims comes first: it is quick, and other replicas can take them while our calls finish.
        if self._slots.unsure or self._slots.promised:
            try:
                async with asyncio.timeout(self._stop.left()):
                    await self._slots.end_offers()
                    await self._give_back()
            except (Unavailable, TimeoutError) as error:
                log.warning(
                    "ledger.unavailable",
                    part="worker",
                    error=str(error),
                    what="claims were not returned; their leases expire",
                )
        if self._calls:
            await asyncio.wait(self._calls, timeout=max(0.0, self._stop.left() - _RECORDING))
        # Only calls that are still talking to Cargo are cut. A call past that point is recording its outcome, which is
        # known nowhere else, and gets the rest of the grace period.
        self._cutting = True
        for call in self._attempting:
            call.cancel()
        if self._calls:
            await asyncio.wait(self._calls, timeout=self._stop.left())
        unrecorded = list(self._calls)
        for call in unrecorded:
            call.cancel()
        await asyncio.gather(*unrecorded, return_exceptions=True)

    async def _idle(self, *, full: bool) -> None:
        """Wait until something may be due: a signal, the next due time, or the poll interval.

        When the worker is full it waits for a signal, which the next call that ends sets.
        """
        wait = _POLL if full else min(max(self._next_due - self._boottime(), _LEAST), _POLL)
        await self._signals.work.wait(wait / 1_000)
        if wait == _POLL:
            self._next_due = 0  # other replicas may have left something

    async def _work_on(self, claim: Claim, claimed_at: int) -> None:
        try:
            move = await self._attempt(claim, claimed_at)
        finally:
            # The slot is free as soon as the call ends: a ledger that is slow to record does not reduce concurrency.
            self._attempting.discard(cast(asyncio.Task[None], asyncio.current_task()))
            self._in_flight -= 1
            self._metrics.in_flight.set(self._in_flight)
            if self._next_due <= self._boottime():
                self._signals.work.set()  # something waits for a slot
        await self._record(claim, move)

    async def _attempt(self, claim: Claim, claimed_at: int) -> Move:
        """Make one attempt and return its move. An unexpected error counts as an unknown outcome."""
        try:
            if claim.locked:
                return outcome.keep_back(claim, self.policy, self._clock())
            if claim.start_in:
                await self._stop.sleep(claim.start_in / 1_000)
                if self._stop.asked:
                    return outcome.put_back(claim)
            if not self._fits(claim, claimed_at):
                log.warning(
                    "lease.short",
                    dispatch_id=claim.dispatch.id,
                    what="too little of the lease was left to call Cargo; it is claimed again",
                )
                return outcome.put_back(claim)
            began = self._boottime()
            call = self._say(claim, claimed_at) if claim.state is State.MESSAGING else self._create(claim)
            result = await traced(self._tracing, claim, call)
            if isinstance(result, Move):
                return result
            return await self._decide(claim, result, began)
        except asyncio.CancelledError:
            if not self._is_cut():
                raise
            return outcome.cut(claim, "the relay stopped while the call was in flight", self.policy)
        except Exception as error:
            log.exception("attempt.failed", **about(claim))
            why = f"the relay failed at this attempt: {type(error).__name__}: {error}"
            return outcome.cut(claim, why, self.policy)

    def _is_cut(self) -> bool:
        """Whether this cancellation comes from `_finish`. Takes it back, so that the task can record the outcome."""
        task = asyncio.current_task()
        return self._cutting and task is not None and task.uncancel() == 0

    async def _decide(self, claim: Claim, result: outcome.Outcome | Denied, began: int) -> Move:
        took = self._boottime() - began
        if isinstance(result, Denied):
            refusal = await self._gate.judge(result, since=began)
            if refusal is Refusal.GLOBAL:
                return outcome.hold_back(claim, result, due_in=self.policy.wait(1))
            if refusal is Refusal.OWN:
                result = Permanent(str(result), status=result.status, code="denied")
        self._watch(claim, result)
        return outcome.next_move(claim, result, self.policy, took=took, now=self._clock())

    def _fits(self, claim: Claim, claimed_at: int) -> bool:
        """Whether the lease outlasts a call that starts now, so that no other replica takes the dispatch meanwhile."""
        lease_left = claim.lease - (self._boottime() - claimed_at)
        return lease_left > self.policy.timeout + self.policy.margin

    async def _create(self, claim: Claim) -> outcome.Outcome:
        if log.is_enabled_for(DEBUG):
            log.debug("chat.attempted", attempt=claim.attempts, **about(claim))
        try:
            body = stamp_body(claim.dispatch)
        except ValueError as error:
            return Permanent(f"the body that is kept cannot be sent: {error}")
        try:
            return await self._chats.create(body)
        except (Retryable, Permanent, Unknown) as error:
            return error

    async def _say(self, claim: Claim, claimed_at: int) -> outcome.Outcome | Move:
        chat, text = claim.chat_uuid or "", claim.dispatch.message or ""
        if claim.doubt and (settled := await self._look(claim, chat)):
            return settled
        if not self._fits(claim, claimed_at):  # looking at the chat took part of the lease
            return outcome.put_back(claim)
        try:
            return await self._chats.say(chat, text, claim.agent_uuid)
        except (Retryable, Permanent, Unknown) as error:
            return error

    async def _look(self, claim: Claim, chat_uuid: str) -> outcome.Outcome | Move | None:
        """Settle whether an earlier message arrived. None means that it is not in the chat and may be sent again."""
        try:
            messages = await self._chats.messages(chat_uuid)
        except Denied as error:
            return error
        except Permanent as error:
            if claim.follows and error.code == "chatNotFound":
                return outcome.start_anew(claim, error)
            return Retryable(f"the chat's messages could not be listed: {error}")
        except (Retryable, Unknown) as error:
            return Retryable(f"the chat's messages could not be listed: {error}")
        if (message := find_message(claim, messages)) is not None:
            return outcome.said(claim, self._clock(), verdict=Verdict.SENT, message_uuid=message.uuid)
        if claim.waited >= self.policy.give_up_after:
            absent = Retryable("its outcome was unknown, and the chat does not contain the message")
            return outcome.unsaid(claim, absent, self._clock(), verdict=None)
        return None

    def _watch(self, claim: Claim, result: outcome.Outcome) -> None:
        match result:
            case Retryable(status=429 | 425):
                return
            case Unknown() | Retryable():
                self._gate.trouble(claim.dispatch.id, result)
            case _:
                self._gate.succeed()

    async def _record(self, claim: Claim, move: Move) -> None:
        """Record the outcome, retrying while the ledger is unavailable, because only this task knows it.

        After a stop it retries only within the grace period. Then the lease expires, and the reconciler searches for
        the chat.
        """
        while True:
            try:
                publishing, next_call = self._offer_publishing(move), self._offer_next_call(claim, move)
                record = await self._work.record(move, publishing, next_call)
                break
            except Unavailable as error:
                log.warning("ledger.unavailable", part="record", error=str(error), **about(claim))
                if self._stop.asked and not self._stop.left():
                    log.warning(
                        "chat.unrecorded",
                        what="the outcome was not recorded; Relay searches for the chat when the lease expires",
                        **about(claim),
                    )
                    return
                await asyncio.sleep(min(_AWAY, self._stop.left()))
        if (move := record.move).results and publishing is None:
            self._signals.results.set()
        if move.due_in is not None and move.to is not State.CHECKING and next_call is None:
            self._expect(move.due_in)
        report(claim, record, self._metrics)
        if self._publishing is no_offer:  # no broker: with its commit a result is told
            for result in move.results:
                self._metrics.published(result.source, max(0, result.time - claim.about.received_at) / 1_000)

    def _offer_publishing(self, move: Move) -> Offer[Due] | None:
        deliveries = sum((result.routing_key is not None) + (result.reply_to is not None) for result in move.results)
        return self._publishing(deliveries) if deliveries else None

    def _offer_next_call(self, claim: Claim, move: Move) -> Offer[int] | None:
        """Offer a slot for the message that follows the creation of a chat."""
        chat = move.chat
        if chat is None or move.to is not State.MESSAGING or claim.state is not State.SENDING:
            return None
        if self._slots.closed or self._slots.unsure or not self._room():
            return None
        agent_uuid = chat.agent_uuid or claim.agent_uuid
        following = replace(
            claim, state=State.MESSAGING, attempt=1, waited=0, chat_uuid=chat.uuid, agent_uuid=agent_uuid, start_in=0
        )
        offered_at = self._boottime()
        return self._slots.offer(
            1, lambda fences: self._start([replace(following, fence=fence) for fence in fences], offered_at)
        )

    def _expect(self, due_in: int) -> None:
        """Note that a dispatch is due in `due_in` milliseconds."""
        self._next_due = min(self._next_due, self._boottime() + due_in)
        if due_in < _POLL:
            self._signals.work.set()  # else the next poll is early enough to see the new time
