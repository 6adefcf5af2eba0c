"""Implements the port Jobs."""

from collections.abc import Sequence
from functools import partial

from relay.ledger.archive import Database
from relay.ledger.queries import jobs
from relay.model import Dispatch, Entry, Job, JobPage, JobState, ReplayAim


class SqlJobs:
    """The port Jobs, which documents each method."""

    async def start_job(self: Database, job_id: str, kind: str, aim: ReplayAim, actor: str) -> Job:
        total = await self.browse(partial(jobs.count, aim=aim))
        return await self.write(partial(jobs.start, job_id=job_id, kind=kind, aim=aim, actor=actor, total=total))

    async def jobs(self: Database, cursor: str | None, limit: int) -> JobPage:
        return await self.browse(partial(jobs.page, cursor=cursor, limit=limit))

    async def job(self: Database, job_id: str) -> Job:
        return await self.browse(partial(jobs.one, job_id=job_id))

    async def end_job(self: Database, job_id: str, state: JobState, fault: str | None = None) -> Job:
        return await self.write(partial(jobs.end, job_id=job_id, state=state, fault=fault))

    async def running_jobs(self: Database) -> list[Job]:
        return await self.read(jobs.running)

    async def is_busy(self: Database) -> bool:
        return await self.read(partial(jobs.busy, terms=self.terms))

    async def next_event(self: Database, job: Job) -> str | None:
        return await self.read(partial(jobs.following, job=job), slow=True)

    async def advance(
        self: Database, job: Job, event_id: str, entry: Entry | None, fault: str | None = None
    ) -> Sequence[Dispatch] | None:
        step = partial(jobs.advance, job=job, event_id=event_id, entry=entry, fault=fault, terms=self.terms)
        return await self.write(step)
