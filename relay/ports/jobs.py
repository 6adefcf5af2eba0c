"""The port of jobs: work that people start and that goes on in the relay."""

from collections.abc import Sequence
from typing import Protocol

from relay.model import Dispatch, Entry, Event, Job, JobPage, JobState, ReplayAim


class Jobs(Protocol):
    """Keeps jobs and does their steps. One replica at a time works on them, by the lease `jobs`.

    The lease only saves work: a step names the event before it, so two replicas at once do no event twice.
    """

    async def start_job(self, job_id: str, kind: str, aim: ReplayAim, actor: str) -> Job:
        """Store a job, with the number of its events. `Unavailable` says how to narrow it when counting takes 5 s."""
        ...

    async def jobs(self, cursor: str | None, limit: int) -> JobPage:
        """A page of jobs, newest first. `cursor` is that of the previous page."""
        ...

    async def job(self, job_id: str) -> Job:
        """A job. Raises `NotFound`."""
        ...

    async def end_job(self, job_id: str, state: JobState, fault: str | None = None) -> Job:
        """End a job that runs; what it has made stays. Raises `NotFound`, and `Conflict` when it has ended."""
        ...

    async def running_jobs(self) -> list[Job]:
        """The jobs that are to go on, oldest first."""
        ...

    async def is_busy(self) -> bool:
        """Whether jobs are to wait, because other work is due, sending is paused or room is short."""
        ...

    async def next_event(self, job: Job) -> str | None:
        """The id of the event that the job does next, oldest first; None when all are done."""
        ...

    async def advance(
        self, job: Job, event_id: str, entry: Entry | None, fault: str | None = None
    ) -> Sequence[Dispatch] | None:
        """Do one event of a job and note it, in one transaction. Returns the dispatches that were added.

        Returns None when the job is no longer as given: then nothing is done.

        `entry` is what the rules make of the event; rules that made a chat of it, or may make one, are left out. None
        counts the event as failed for the reason `fault`, and without a reason as skipped.
        """
        ...

    async def load(self, event_id: str) -> Event:
        """As `Archive.load`."""
        ...

    async def lease(self, name: str, ttl: int) -> bool:
        """As `Work.lease`."""
        ...

    async def release(self, name: str) -> None:
        """As `Work.release`."""
        ...
