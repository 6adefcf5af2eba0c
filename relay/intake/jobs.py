"""Works on jobs: a replay of many events, one event after the other, while nothing else is to do."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from relay.errors import Conflict, NotFound, RelayError, Unavailable
from relay.intake.entry import make_entry
from relay.intake.report import line_of, report_new
from relay.life import Signals, Stop
from relay.model import Dispatch, Entry, Event, Ids, Job, JobState
from relay.ports import Jobs
from relay.rules import RuleSet
from relay.telemetry import Metrics, get_log

log = get_log()

LEASE: Final = 30_000
"""Milliseconds after which another replica goes on with the jobs of one that died."""
_IDLE: Final = 2.0
"""Seconds after which jobs are looked for that were started at another replica."""
_BUSY: Final = 0.05
_LAST: Final = 0
"""The priority of what a job makes: it has its turn after what comes in."""


class JobRunner:
    """Does the steps of all jobs in turn. A lease makes one replica at a time the one that does.

    `rules` are those in force. `clock` is milliseconds since the epoch, `boottime` milliseconds on a clock that keeps
    counting while the machine is suspended.
    """

    def __init__(
        self,
        jobs: Jobs,
        rules: Callable[[], RuleSet],
        signals: Signals,
        *,
        ids: Ids,
        clock: Callable[[], int],
        boottime: Callable[[], int],
        metrics: Metrics,
    ) -> None:
        self._jobs = jobs
        self._rules = rules
        self._signals = signals
        self._ids = ids
        self._clock = clock
        self._boottime = boottime
        self._metrics = metrics
        self._renew_at: int | None = None
        self._next: dict[str, float] = {}

    async def run(self, stop: Stop) -> None:
        """Take turns until `stop`. A job goes on where it was, here or at another replica."""
        stop.wakes(self._signals.jobs)
        while not stop.asked:
            self._signals.jobs.clear()
            try:
                seconds = await self.turn()
            except Unavailable as error:
                log.warning("ledger.unavailable", part="jobs", error=str(error))
                seconds = _IDLE
            if not stop.asked:
                await self._signals.jobs.wait(seconds)
        await self._leave()

    async def turn(self) -> float:
        """Do one event of each job that may go on. Returns the seconds until the next turn."""
        jobs = await self._jobs.running_jobs()
        if not jobs:
            await self._leave()
            return _IDLE
        if not await self._hold():
            return _IDLE
        self._next = {job.id: self._next[job.id] for job in jobs if job.id in self._next}
        if await self._jobs.is_busy():
            return _BUSY
        return min([await self._step(job) for job in jobs])

    async def _step(self, job: Job) -> float:
        now = self._boottime()
        due = self._next.get(job.id, now)
        if due > now:
            return (due - now) / 1_000
        if job.aim.rule is not None and self._rules().version(job.aim.rule) is None:
            return await self._end(job, JobState.FAILED, f'there is no rule "{job.aim.rule}" in the configuration now')
        event_id = await self._jobs.next_event(job)
        if event_id is None:
            return await self._end(job, JobState.DONE)
        await self._do(job, event_id)
        spacing = job.aim.spacing or 0.0
        self._next[job.id] = max(due, now - spacing) + spacing
        return max(0.0, self._next[job.id] - self._boottime()) / 1_000

    async def _do(self, job: Job, event_id: str) -> None:
        entry, fault = await self._match(job, event_id)
        try:
            made = await self._jobs.advance(job, event_id, entry, fault)
        except Unavailable:
            raise
        except RelayError as error:  # the database cannot store what was made of it: no other event suffers
            fault = str(error)
            made = await self._jobs.advance(job, event_id, None, fault)
        if made is None:
            return
        if fault is not None:
            log.warning("job.event_failed", job_id=job.id, event_id=event_id, error=fault)
        if entry is not None:
            line = line_of(entry.event, event_id)
            for dispatch in made:
                report_new(dispatch, self._metrics, line)
        if not job.aim.dry:
            self._signals.work.set()
            self._signals.results.set()

    async def _match(self, job: Job, event_id: str) -> tuple[Entry | None, str | None]:
        """What today's rules make of an event, else why that is not known."""
        try:
            event = await self._jobs.load(event_id)
            if event.unreadable is not None:
                return None, f"it could not be read ({event.unreadable})"
            return self._make(job, event), None
        except Unavailable:
            raise
        except NotFound:
            return None, None
        except RelayError as error:
            return None, str(error)
        except Exception as error:
            log.exception("job.event_broken", job_id=job.id, event_id=event_id)
            return None, f"the relay failed at this event: {type(error).__name__}: {error}"

    def _make(self, job: Job, event: Event) -> Entry:
        entry = make_entry(event, self._rules(), ids=self._ids, now=self._clock(), alone=True)
        wanted = [each for each in entry.dispatches if job.aim.rule in {None, each.rule}]
        skips = tuple([skip for skip in entry.skips if job.aim.rule in {None, skip.rule}])
        # A rule that makes nothing of the event leaves standing what all rules made of it then.
        rule_set = entry.rule_set if job.aim.rule is None or wanted else None
        return replace(entry, dispatches=tuple(_put_last(wanted)), skips=skips, rule_set=rule_set)

    async def _end(self, job: Job, state: JobState, fault: str | None = None) -> float:
        with suppress(Conflict, NotFound):  # a person has cancelled it
            report_end(await self._jobs.end_job(job.id, state, fault))
        return _IDLE

    async def _hold(self) -> bool:
        """Whether this replica works on the jobs. Its lease is renewed after a third of its time."""
        now = self._boottime()
        if self._renew_at is None or now >= self._renew_at:
            self._renew_at = now + LEASE // 3 if await self._jobs.lease("jobs", LEASE) else None
        return self._renew_at is not None

    async def _leave(self) -> None:
        if self._renew_at is not None:
            self._renew_at = None
            with suppress(Unavailable):  # the lease then expires
                await self._jobs.release("jobs")


def report_end(job: Job) -> None:
    """Log that a job has ended."""
    counts = {"done": job.done, "made": job.made, "skipped": job.skipped, "failed": job.failed}
    log.info("job.ended", job_id=job.id, kind=job.kind, state=job.state, total=job.total, **counts, error=job.fault)


def _put_last(dispatches: Sequence[Dispatch]) -> list[Dispatch]:
    return [replace(each, plan={**(each.plan or {}), "priority": _LAST}) for each in dispatches]
