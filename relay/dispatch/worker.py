"""Claims due dispatches, one per free call slot, calls Cargo and records the outcomes."""

import asyncio
from collections.abc import Callable
from logging import DEBUG
from typing import Final, cast

from relay.dispatch import outcome
from relay.dispatch.gate import Gate, Refusal
from relay.dispatch.policy import Policy
from relay.dispatch.stamp import stamp_body
from relay.errors import Denied, Permanent, Retryable, Unavailable, Unknown
from relay.life import Signals, Stop
from relay.model import Claim, Failure, Move, Recorded, State, Verdict
from relay.ports import Chats, Work
from relay.telemetry import Metrics, get_log, trace_id

log = get_log()

_POLL: Final = 1_000
_LEAST: Final = 20
_AWAY: Final = 1.0
_RECORDING: Final = 1.0
"""Seconds at the end of the grace period that are reserved for recording the calls that were cut."""


class Worker:
    """Keeps at most `concurrency` calls to Cargo in flight.

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
        concurrency: int,
        clock: Callable[[], int],
        boottime: Callable[[], int],
        metrics: Metrics,
    ) -> None:
        self._work = work
        self._chats = chats
        self._gate = gate
        self._policy = policy
        self._signals = signals
        self._concurrency = concurrency
        self._clock = clock
        self._boottime = boottime
        self._metrics = metrics
        self._calls: dict[asyncio.Task[None], Claim] = {}
        self._attempting: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._stop = Stop()
        self._cutting = False
        self._unsure = False
        """Whether the ledger may hold claims of this replica whose response was lost."""

    async def run(self, stop: Stop) -> None:
        """Claim and call until `stop`, then let the calls in flight finish within the grace period.

        Claims without a call are returned. A call that outlasts the grace period is cancelled, and its dispatch moves
        to `checking`. While the ledger is unavailable, the worker waits.
        """
        self._stop = stop
        stop.wakes(self._signals.work)
        while not stop.asked:
            self._signals.work.clear()  # before the turn, so that work that arrives during it wakes the next one
            try:
                await self._turn()
            except Unavailable as error:
                log.warning("ledger.unavailable", part="worker", error=str(error))
                await stop.sleep(_AWAY)
        await self._finish()

    async def _turn(self) -> None:
        if self._unsure:
            await self._give_back()
        room = self._room()
        if room and await self._claim(room):
            return
        if not self._signals.work.is_set:
            await self._idle(await self._work.wake() if room else None)

    def _room(self) -> int:
        """How many dispatches to claim now; 0 during a pause, whose end sets the `work` signal."""
        return max(0, self._gate.room(self._concurrency - self._in_flight, self._in_flight))

    async def _claim(self, room: int) -> int:
        # Read before the claim: a lease starts at the ledger during the call, so this errs towards a shorter lease.
        claimed_at = self._boottime()
        self._unsure = True  # until the response is here, a failure leaves open whether the claims were committed
        claims = await self._work.claim(room)
        if self._stop.asked:
            return 0  # still unsure, so `_finish` returns the claims in one call
        self._unsure = False
        for claim in claims:
            self._start(claim, claimed_at)
        return len(claims)

    async def _give_back(self) -> None:
        """Return the claims of this replica that it does not work on. Otherwise they wait until their leases expire."""
        returned = await self._work.give_back({claim.dispatch.id for claim in self._calls.values()})
        self._unsure = False
        if returned:
            log.info("claims.returned", count=returned, what="claimed but not started: any replica may claim them now")

    def _start(self, claim: Claim, claimed_at: int) -> None:
        self._in_flight += 1
        self._metrics.in_flight.set(self._in_flight)
        call = asyncio.create_task(self._work_on(claim, claimed_at))
        self._calls[call] = claim
        self._attempting.add(call)
        call.add_done_callback(self._ended)

    def _ended(self, call: asyncio.Task[None]) -> None:
        claim = self._calls.pop(call)
        self._attempting.discard(call)
        if not call.cancelled() and (error := call.exception()) is not None:
            # Nothing is recorded: the lease expires, and the reconciler searches for the chat.
            log.error("call.failed", exc_info=error, **_about(claim))

    async def _finish(self) -> None:
        """Return unused claims, wait for the calls, then cut and record those that are left: all within the grace."""
        # Returning claims comes first: it is quick, and other replicas can take them while our calls finish.
        if self._unsure:
            try:
                async with asyncio.timeout(self._stop.left()):
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

    async def _idle(self, due_in: int | None) -> None:
        """Wait until something may be due: a signal, the next due time (`due_in` ms), or the poll interval."""
        limit = _POLL if due_in is None else min(max(due_in, _LEAST), _POLL)
        await self._signals.work.wait(limit / 1_000)

    async def _work_on(self, claim: Claim, claimed_at: int) -> None:
        try:
            move = await self._attempt(claim, claimed_at)
        finally:
            # The slot is free as soon as the call ends: a ledger that is slow to record does not reduce concurrency.
            self._attempting.discard(cast(asyncio.Task[None], asyncio.current_task()))
            self._in_flight -= 1
            self._metrics.in_flight.set(self._in_flight)
            self._signals.work.set()
        await self._record(claim, move)

    async def _attempt(self, claim: Claim, claimed_at: int) -> Move:
        """Make one attempt and return its move. An unexpected error counts as an unknown outcome."""
        try:
            if claim.locked:
                return outcome.keep_back(claim, self._policy, self._clock())
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
            result = await (self._say(claim, claimed_at) if claim.state is State.MESSAGING else self._create(claim))
            if isinstance(result, Move):
                return result
            return await self._decide(claim, result, took=self._boottime() - began)
        except asyncio.CancelledError:
            if not self._is_cut():
                raise
            return outcome.cut(claim, "the relay stopped while the call was in flight", self._policy)
        except Exception as error:
            log.exception("attempt.failed", **_about(claim))
            why = f"the relay failed at this attempt: {type(error).__name__}: {error}"
            return outcome.cut(claim, why, self._policy)

    def _is_cut(self) -> bool:
        """Whether this cancellation comes from `_finish`. Takes it back, so that the task can record the outcome."""
        task = asyncio.current_task()
        return self._cutting and task is not None and task.uncancel() == 0

    async def _decide(self, claim: Claim, result: outcome.Outcome | Denied, *, took: int) -> Move:
        if isinstance(result, Denied):
            refusal = await self._gate.judge(result)
            if refusal is Refusal.GLOBAL:
                return outcome.hold_back(claim, result, due_in=self._policy.wait(1))
            if refusal is Refusal.OWN:
                result = Permanent(str(result), status=result.status, code="denied")
        self._watch(claim, result)
        return outcome.next_move(claim, result, self._policy, took=took, now=self._clock())

    def _fits(self, claim: Claim, claimed_at: int) -> bool:
        """Whether the lease outlasts a call that starts now, so that no other replica takes the dispatch meanwhile."""
        lease_left = claim.lease - (self._boottime() - claimed_at)
        return lease_left > self._policy.timeout + self._policy.margin

    async def _create(self, claim: Claim) -> outcome.Outcome:
        if log.is_enabled_for(DEBUG):
            log.debug("chat.attempted", attempt=claim.attempts, **_about(claim))
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
        except (Retryable, Permanent, Unknown) as error:
            return Retryable(f"the chat's messages could not be listed: {error}")
        if any(message.type == "user" for message in messages):
            return outcome.said(claim, self._clock(), verdict=Verdict.SENT)
        if claim.waited >= self._policy.give_up_after:
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
                recorded = await self._work.record(move)
                break
            except Unavailable as error:
                log.warning("ledger.unavailable", part="record", error=str(error), **_about(claim))
                if self._stop.asked and not self._stop.left():
                    log.warning(
                        "chat.unrecorded",
                        what="the outcome was not recorded; Relay searches for the chat when the lease expires",
                        **_about(claim),
                    )
                    return
                await asyncio.sleep(min(_AWAY, self._stop.left()))
        if move.results:
            self._signals.results.set()
        self._signals.work.set()
        report(claim, move, recorded, self._metrics)


def report(claim: Claim, move: Move, recorded: Recorded, metrics: Metrics) -> None:
    """Log one move and count it in the metrics."""
    line = _about(claim) | {"attempt": claim.attempts, "took_ms": move.took}
    if move.failure:
        line |= {"code": move.failure.code, "status": move.failure.status, "error": move.failure.message}
    if recorded is Recorded.LATE:
        log.warning("chat.late", what="the lease had expired; only the attempt was recorded", **line)
    elif recorded is Recorded.DUPLICATED:
        metrics.chat(claim.dispatch.rule, "duplicated")
        log.error("chat.duplicated", chat_uuid=move.chat and move.chat.uuid, **line)
    else:
        _report_step(claim, move, metrics, line)


def _report_step(claim: Claim, move: Move, metrics: Metrics, line: dict[str, object]) -> None:
    rule = claim.dispatch.rule
    if move.chat is not None:
        metrics.chat(rule, "created")
        step = "chat.reconciled" if move.reconciled else "chat.created"
        log.info(step, chat_uuid=move.chat.uuid, **line)
    elif claim.state is State.MESSAGING:
        step = {State.DONE: "message.failed" if move.failure else "message.sent"}.get(move.to, "message.waiting")
        metrics.message(rule, step.removeprefix("message."))
        (log.debug if step == "message.sent" else log.warning)(step, chat_uuid=claim.chat_uuid, **line)
    elif move.to is State.FAILED:
        metrics.chat(rule, "failed")
        log.error("chat.failed", hint=_hint(move.failure), **line)
    elif move.to is State.PARKED:
        metrics.chat(rule, "parked")
        log.error("chat.parked", reason=move.park, **line)
    elif move.to is State.READY:
        log.info("chat.returned", what="claimed but not started: any replica may claim it now", **line)
    elif move.to is State.WAITING:
        log.warning("chat.waiting", due_in_ms=move.due_in, **line)
    elif claim.state is State.SENDING:
        log.warning("chat.unknown", what="the outcome is unknown; Relay searches for the chat in Cargo's list", **line)


def _hint(failure: Failure | None) -> str | None:
    """How to retry a request that Cargo rejected with a 4xx: the same body would be rejected again."""
    refused = failure is not None and failure.status is not None and 400 <= failure.status < 500
    return "mend the rule, restart, then `relay retry --render`; a plain retry sends the same body" if refused else None


def _about(claim: Claim) -> dict[str, object]:
    return {
        "event_id": claim.about.event_id,
        "dispatch_id": claim.dispatch.id,
        "source": claim.about.source,
        "rule": claim.dispatch.rule,
        "run": claim.dispatch.run,
        "trace_id": trace_id(claim.about.traceparent),
    }
