"""Takes what is due, one claim per free call slot, calls Cargo and records what came of it."""

import asyncio
from collections.abc import Awaitable, Callable
from logging import DEBUG

from relay.dispatch import outcome
from relay.dispatch.gate import Gate
from relay.dispatch.policy import Policy
from relay.dispatch.stamp import stamp_body
from relay.errors import Denied, Permanent, Retryable, Unavailable, Unknown
from relay.model import Claim, Move, Recorded, State, Verdict
from relay.ports import Chats, Work
from relay.telemetry import Metrics, get_log, trace_id

log = get_log()

_POLL = 1_000
_LEAST = 20
_AWAY = 1.0


class Worker:
    """Keeps at most `concurrency` calls to Cargo in flight.

    `clock` gives milliseconds since the epoch, `boottime` milliseconds on a clock that counts suspension.
    `told` is called after each commit that put a result into the outbox.
    """

    def __init__(
        self,
        work: Work,
        chats: Chats,
        gate: Gate,
        policy: Policy,
        *,
        concurrency: int,
        clock: Callable[[], int],
        boottime: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
        metrics: Metrics,
        told: Callable[[], None],
    ) -> None:
        self._work = work
        self._chats = chats
        self._gate = gate
        self._policy = policy
        self._concurrency = concurrency
        self._clock = clock
        self._boottime = boottime
        self._sleep = sleep
        self._metrics = metrics
        self._told = told
        self._calls: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._wake = asyncio.Event()
        self._draining = False

    def notify(self) -> None:
        """There may be something to claim."""
        self._wake.set()

    async def run(self) -> None:
        """Claim and call until drained. A ledger that is away is waited for."""
        while not self._draining:
            self._wake.clear()
            try:
                room = self._room()
                if room and await self._claim(room):
                    continue
                if not self._wake.is_set():
                    await self._rest(await self._work.wake() if room else None)
            except Unavailable as error:
                log.warning("ledger.unavailable", part="worker", error=str(error))
                await self._sleep(_AWAY)

    async def drain(self, grace: float) -> None:
        """Claim no more; let what is in flight end within `grace` seconds, leave the rest in `checking`."""
        self._draining = True
        self.notify()
        if self._calls:
            await asyncio.wait(self._calls, timeout=grace)
        late = list(self._calls)
        for call in late:
            call.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def _room(self) -> int:
        """How many may be claimed now; none during a pause, whose end notifies."""
        if self._gate.paused:
            return 0
        return max(0, self._gate.room(self._concurrency - self._in_flight, self._in_flight))

    async def _claim(self, room: int) -> int:
        asked = self._boottime()
        claims = await self._work.claim(room)
        for claim in claims:
            self._start(claim, asked)
        return len(claims)

    def _start(self, claim: Claim, asked: int) -> None:
        self._in_flight += 1
        self._metrics.in_flight.set(self._in_flight)
        call = asyncio.create_task(self._work_on(claim, asked))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _rest(self, due_in: int | None) -> None:
        """Until something may be claimed: a notification, the next due time, or a look at what others left."""
        limit = _POLL if due_in is None else min(max(due_in, _LEAST), _POLL)
        try:
            async with asyncio.timeout(limit / 1_000):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _work_on(self, claim: Claim, asked: int) -> None:
        try:
            move = await self._attempt(claim, asked)
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.set(self._in_flight)
            self.notify()
        await self._record(claim, move)

    async def _attempt(self, claim: Claim, asked: int) -> Move:
        if claim.locked:
            return outcome.keep_back(claim, self._policy, self._clock())
        if claim.start_in:
            await self._sleep(claim.start_in / 1_000)
        if not self._fits(claim, asked):
            log.warning("lease.short", dispatch_id=claim.dispatch.id, what="woke too late to call; it is claimed anew")
            return outcome.put_back(claim)
        began = self._boottime()
        try:
            result = await (self._say(claim, asked) if claim.state is State.MESSAGING else self._create(claim))
        except Denied as error:
            return await self._deny(claim, error)
        except asyncio.CancelledError:
            result = Unknown("the relay stopped while the call was in flight")
        if isinstance(result, Move):
            return result
        await self._watch(claim, result)
        return outcome.next_move(claim, result, self._policy, took=self._boottime() - began, now=self._clock())

    def _fits(self, claim: Claim, asked: int) -> bool:
        left = claim.lease - (self._boottime() - asked)
        return left > self._policy.timeout + self._policy.margin

    async def _create(self, claim: Claim) -> outcome.Outcome:
        if log.is_enabled_for(DEBUG):
            log.debug("chat.attempted", attempt=claim.attempts, **_about(claim))
        try:
            return await self._chats.create(stamp_body(claim.dispatch))
        except Denied:
            raise
        except (Retryable, Permanent, Unknown) as error:
            return error

    async def _say(self, claim: Claim, asked: int) -> outcome.Outcome | Move:
        chat, text = claim.chat_uuid or "", claim.dispatch.message or ""
        if claim.doubt and (settled := await self._look(claim, chat)):
            return settled
        if not self._fits(claim, asked):
            return outcome.put_back(claim)
        try:
            return await self._chats.say(chat, text, claim.agent_uuid)
        except Denied:
            raise
        except (Retryable, Permanent, Unknown) as error:
            return error

    async def _look(self, claim: Claim, chat_uuid: str) -> outcome.Outcome | Move | None:
        """What ends the doubt about a message said before; None when it is not there and may be said again."""
        try:
            messages = await self._chats.messages(chat_uuid)
        except Denied:
            raise
        except (Retryable, Permanent, Unknown) as error:
            return Retryable(f"the chat's messages could not be listed: {error}")
        if any(message.type == "user" for message in messages):
            return outcome.said(claim, self._clock(), verdict=Verdict.SENT)
        if claim.waited >= self._policy.give_up_after:
            absent = Retryable("its outcome was not known, and Cargo has no such message in the chat")
            return outcome.unsaid(claim, absent, self._clock(), verdict=None)
        return None

    async def _deny(self, claim: Claim, error: Denied) -> Move:
        if await self._gate.denied(error):
            return outcome.hold_back(claim, error, due_in=self._policy.wait(1))
        final = Permanent(str(error), status=error.status, code="denied")
        return outcome.next_move(claim, final, self._policy, took=0, now=self._clock())

    async def _watch(self, claim: Claim, result: outcome.Outcome) -> None:
        match result:
            case Retryable(status=429 | 425):
                return
            case Unknown() | Retryable():
                await self._gate.trouble(claim.dispatch.id, result)
            case _:
                self._gate.succeed()

    async def _record(self, claim: Claim, move: Move) -> None:
        """Keep what came of the call, however long the ledger is away: the outcome is known only here."""
        while True:
            try:
                recorded = await self._work.record(move)
                break
            except Unavailable as error:
                log.warning("ledger.unavailable", part="record", error=str(error), **_about(claim))
                await self._sleep(_AWAY)
        if move.results:
            self._told()
        self.notify()
        report(claim, move, recorded, self._metrics)


def report(claim: Claim, move: Move, recorded: Recorded, metrics: Metrics) -> None:
    """The line and the count of one move."""
    line = _about(claim) | {"attempt": claim.attempts, "took_ms": move.took}
    if move.failure:
        line |= {"code": move.failure.code, "status": move.failure.status, "error": move.failure.message}
    if recorded is Recorded.LATE:
        log.warning("chat.late", what="its lease had run out; only the attempt was kept", **line)
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
        (log.info if step == "message.sent" else log.warning)(step, chat_uuid=claim.chat_uuid, **line)
    elif move.to is State.FAILED:
        metrics.chat(rule, "failed")
        log.error("chat.failed", **line)
    elif move.to is State.PARKED:
        metrics.chat(rule, "parked")
        log.error("chat.parked", reason=move.park, **line)
    elif move.to is State.WAITING:
        log.warning("chat.waiting", due_in_ms=move.due_in, **line)
    elif claim.state is State.SENDING:
        log.warning("chat.unknown", what="it is looked for in Cargo's list", **line)


def _about(claim: Claim) -> dict[str, object]:
    return {
        "event_id": claim.about.event_id,
        "dispatch_id": claim.dispatch.id,
        "source": claim.about.source,
        "rule": claim.dispatch.rule,
        "run": claim.dispatch.run,
        "trace_id": trace_id(claim.about.traceparent),
    }
