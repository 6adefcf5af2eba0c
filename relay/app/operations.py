"""Implements the operators' actions on the parts of a running relay."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import yaml

from relay.app.doctor import Patient
from relay.app.dry import one_rule, read_delivery
from relay.app.explain import explain_past
from relay.app.foretell import foretell
from relay.app.judge import Judges
from relay.app.pauses import RulePauses
from relay.app.readmit import readmit
from relay.app.reload import Reloader
from relay.app.samples import Samples
from relay.app.sources import Sources
from relay.broker import BrokerFault, Forbidden, Letter, Link, requeue
from relay.config import AmqpSource, describe, read_rule
from relay.config.fault import describe as describe_fault
from relay.config.fault import near
from relay.effort import Aside
from relay.errors import Conflict, Misconfigured, NotFound, Rejected
from relay.intake import Intake, log_act, replay, report_end, retry
from relay.life import Signals
from relay.model import (
    LOCAL,
    STRANGER,
    ActName,
    Deed,
    Dispatch,
    Erased,
    Erasure,
    Event,
    EventDetail,
    Ids,
    Job,
    JobPage,
    JobState,
    Problem,
    ReplayAim,
)
from relay.ops import BadRequest, FaultyInput
from relay.ports import Archive, Jobs
from relay.rules import RuleSet, RuleSpec
from relay.schemes.document import Unreadable
from relay.secret import Secret
from relay.telemetry import Metrics, get_log

log = get_log()


@dataclass(frozen=True, slots=True)
class Desk:
    """Implements `relay.ops.Operations`. `link` is the connection for publishing, None without a broker.

    What rules make of an event, and why, is found out in a thread: with hundreds of rules that may want it, it takes
    long, and senders' answers come from the same event loop.
    """

    archive: Archive
    kept_jobs: Jobs
    intake: Intake
    reloads: Reloader
    controls: Sources
    pauses: RulePauses
    judges: Judges
    ids: Ids
    clock: Callable[[], int]
    signals: Signals
    patient: Callable[[], Patient]
    samples: Samples
    metrics: Metrics
    link: Link | None = None
    _requeueing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _aside: Aside = field(default_factory=lambda: Aside("explain"))

    async def doctor(self) -> Sequence[Mapping[str, Any]]:
        return [asdict(line) for line in await self.patient().examine()]

    async def replay(self, event_id: str, *, again: bool, by: str = LOCAL) -> Sequence[tuple[str, str]]:
        added = await replay(
            self.archive,
            self.intake.rules,
            event_id,
            again=again,
            ids=self.ids,
            clock=self.clock,
            metrics=self.metrics,
            by=by,
        )
        self.signals.work.set()
        self.signals.results.set()
        return added

    async def retry(self, dispatch_id: str, *, render: bool, by: str = LOCAL) -> Dispatch:
        dispatch = await retry(self.archive, self.intake.rules, dispatch_id, render=render, by=by)
        self.signals.work.set()
        return dispatch

    async def cancel(self, dispatch_id: str, *, by: str = LOCAL) -> Dispatch:
        deed = Deed(by, ActName.DISPATCH_CANCELLED, dispatch_id)
        dispatch = await self.archive.cancel(dispatch_id, deed)
        log_act(deed)
        self.signals.results.set()
        return dispatch

    async def try_event(
        self, source: str, headers: Mapping[str, str], body: bytes, rule: str | None = None
    ) -> Mapping[str, Any]:
        events, rules = await self._aside.run_heavy(lambda: (self._read(source, headers, body), self._tried(rule)))
        return await foretell(events, rules, self.archive, self.ids, self._aside)

    async def try_kept(self, event_id: str, rule: str | None = None) -> Mapping[str, Any]:
        event = await self.archive.load(event_id)
        rules = await self._aside.run_heavy(lambda: self._tried(rule))
        return await foretell([event], rules, self.archive, self.ids, self._aside)

    def _read(self, source: str, headers: Mapping[str, str], body: bytes) -> Sequence[Event]:
        try:
            return read_delivery(self.reloads.force.settings, source, headers, body, self.ids, self.clock())
        except (Rejected, Unreadable) as error:
            raise BadRequest(f"key body: source {source} cannot read it ({error.reason}): {error}") from None

    def _tried(self, rule: str | None) -> RuleSet:
        """The rules in force, or the one that is given as text."""
        if rule is None:
            return self.intake.rules
        settings = self.reloads.force.settings
        try:
            return one_rule(read_rule(rule, settings), settings.vars)
        except Misconfigured as error:
            faults = [describe_fault(fault) | {"text": fault} for fault in error.faults]
            raise FaultyInput("the rule has faults; nothing was tried", faults) from None

    def hidden(self) -> Mapping[str, Sequence[str]]:
        sources = self.reloads.force.settings.sources
        return {name: source.hide for name, source in sources.items() if source.hide}

    async def explain(self, detail: EventDetail) -> Mapping[str, Any]:
        versions = await self.archive.rules_then(detail.event.id)
        rules = self.intake.rules
        return await self._aside.run_heavy(lambda: explain_past(detail, versions, rules))

    def sources(self) -> Sequence[Mapping[str, Any]]:
        base = self.reloads.force.settings.http.public_url
        return [
            {**source, "address": f"{base.rstrip('/')}{source['path']}"} if base and "path" in source else source
            for source in self.controls.describe()
        ]

    async def why_no_sample(self, name: str) -> str | None:
        try:
            await self._make_sample(name)
        except Conflict as error:
            return str(error)
        return None

    async def foretell_sample(self, name: str) -> Mapping[str, Any]:
        events = await self._make_sample(name)
        return await foretell(events, self.intake.rules, self.archive, self.ids, self._aside)

    async def send_sample(self, name: str, *, by: str = LOCAL) -> Sequence[str]:
        receipts = await self.intake.accept(await self._make_sample(name))
        event_ids = [receipt.id for receipt in receipts]
        log.info("sample.sent", source=name, actor=by, events=event_ids)
        return event_ids

    async def _make_sample(self, name: str) -> list[Event]:
        self.controls.require(name)
        return await self.samples.make(name)

    def rules(self) -> Sequence[Mapping[str, Any]]:
        rules, paused = self.intake.rules, self.pauses.paused
        shown = [_describe(rule, rules.version(rule.name), paused=rule.name in paused) for rule in rules.rules]
        gone = sorted(paused - {rule.name for rule in rules.rules})
        return [*shown, *({"name": name, "inForce": False, "paused": True} for name in gone)]

    def rule_text(self, name: str) -> str:
        for rule in self.reloads.force.settings.rules:
            if rule.name == name:
                return yaml.safe_dump(rule.written(), allow_unicode=True, sort_keys=False, width=100)
        raise NotFound(f"there is no rule {name!r} in force")

    async def pause_rule(self, name: str, *, by: str = LOCAL) -> None:
        await self.pauses.set_paused(name, paused=True, by=by)

    async def resume_rule(self, name: str, *, by: str = LOCAL) -> None:
        await self.pauses.set_paused(name, paused=False, by=by)

    async def pause_source(self, name: str, *, by: str = LOCAL) -> None:
        await self.controls.set_paused(name, paused=True, by=by)

    async def resume_source(self, name: str, *, by: str = LOCAL) -> None:
        await self.controls.set_paused(name, paused=False, by=by)

    async def readmit(self, name: str, *, dry_run: bool, by: str = LOCAL) -> Mapping[str, Any]:
        self.controls.require(name)
        done = await readmit(self.archive, name, self.judges(name, dry_run), now=self.clock(), dry_run=dry_run)
        if not dry_run:
            counts = f"{done['readmitted']} readmitted, {done['refused']} refused again"
            await self._note(Deed(by, ActName.REQUESTS_READMITTED, name, counts))
        return done

    async def acknowledge_problem(self, problem_id: str, *, by: str = LOCAL) -> Problem:
        problem = await self.archive.acknowledge_problem(problem_id, by)
        log_act(Deed(by, ActName.PROBLEM_ACKNOWLEDGED, problem_id))
        return problem

    async def resolve_problem(self, problem_id: str, *, by: str = LOCAL) -> Problem:
        problem = await self.archive.resolve_problem(problem_id, by)
        log_act(Deed(by, ActName.PROBLEM_RESOLVED, problem_id))
        return problem

    async def erase(self, asked: Erasure, *, by: str = LOCAL) -> Erased:
        erased = await self.archive.erase(asked, by)
        if erased.events:
            log_act(Deed(by, ActName.EVENTS_ERASED, asked.source or "all", f"{erased.events} events by {asked.by}"))
        self.signals.results.set()
        return erased

    async def forget(self, name: str, *, by: str = LOCAL) -> bool:
        return await self.controls.forget(name, by=by)

    async def _note(self, deed: Deed) -> None:
        """Keep an act that was done outside the ledger."""
        await self.archive.note_act(deed)
        log_act(deed)

    async def learned_secret(self, name: str, *, by: str = LOCAL) -> Secret:
        self.controls.require(name)
        secret = (await self.archive.learned()).get(name)
        if secret is None:
            raise NotFound(f"no handshake has brought a secret for source {name}; have the vendor send one")
        log.info("secret.shown", source=name)
        await self._note(Deed(by, ActName.SECRET_SHOWN, name))
        return secret

    async def requeue(
        self, letter_ids: Sequence[str] | None, *, source: str | None, by: str = LOCAL
    ) -> Mapping[str, Any]:
        if self.link is None:
            raise Conflict("this relay has no broker, so it has no dead letters: configure `broker`")
        sources = self.reloads.force.settings.sources.items()
        queues = {name: entry.queue for name, entry in sources if isinstance(entry, AmqpSource)}
        async with self._requeueing:  # a second pass at the same time would not see what the first one holds
            done = await requeue(self.link, letter_ids, source=source, queues=queues)
        # Also after a fault: what was sent back until then stays sent.
        deed = Deed(by, ActName.DEAD_REQUEUED, source or "all", f"{len(done.sent)} letters") if done.sent else None
        await self.archive.requeued([letter.id for letter in done.sent if letter.id], deed)
        if deed is not None:
            log_act(deed)
        log.info("dead.requeued", letters=len(done.sent), source=source)
        if done.fault is not None:
            raise _explain(done.fault, len(done.sent))
        handled = {letter.id for letter in (*done.sent, *(letter for letter, _ in done.kept))}
        return {
            "requeued": [_letter(letter) for letter in done.sent],
            "refused": [_letter(letter) | {"error": error} for letter, error in done.kept],
            "missing": [letter_id for letter_id in letter_ids or () if letter_id not in handled],
        }

    async def note_refused_sign_in(self, remote: str) -> None:
        await self._note(Deed(STRANGER, ActName.SIGNIN_REFUSED, remote))

    async def start_replay(self, aim: ReplayAim, *, by: str = LOCAL) -> Job:
        if aim.rule is not None and self.intake.rules.version(aim.rule) is None:
            known = near(aim.rule, [rule.name for rule in self.intake.rules.rules])
            raise NotFound(f'there is no rule "{aim.rule}" in force: {known}')
        sources = self.reloads.force.settings.sources
        if aim.source is not None and aim.source not in sources and not await self.archive.last_events([aim.source]):
            told = near(aim.source, sources)
            raise NotFound(f'there is no source "{aim.source}" in force, and no event of one of this name: {told}')
        job = await self.kept_jobs.start_job(self.ids(), "replay", aim, by)
        log.info("job.started", job_id=job.id, kind=job.kind, total=job.total, dry_run=aim.dry, actor=by)
        await self._note(Deed(by, ActName.JOB_STARTED, job.id, "dry run" if aim.dry else None))
        self.signals.jobs.set()
        return job

    async def jobs(self, cursor: str | None, limit: int) -> JobPage:
        return await self.kept_jobs.jobs(cursor, limit)

    async def job(self, job_id: str) -> Job:
        return await self.kept_jobs.job(job_id)

    async def cancel_job(self, job_id: str, *, by: str = LOCAL) -> Job:
        job = await self.kept_jobs.end_job(job_id, JobState.CANCELLED)
        report_end(job)
        await self._note(Deed(by, ActName.JOB_CANCELLED, job_id))
        self.signals.jobs.set()
        return job

    async def reload(self, *, by: str = LOCAL) -> Mapping[str, Any]:
        outcome = await self.reloads.reload()
        if outcome.status == "reloaded":
            await self._note(Deed(by, ActName.CONFIG_RELOADED, outcome.digest))
        return {
            "status": outcome.status,
            "hash": outcome.digest,
            "changes": [{"key": change.key, "change": change.change} for change in outcome.changes],
            "restart": list(outcome.restart),
            "faults": [describe_fault(fault) | {"text": fault} for fault in outcome.faults],
        }

    def configuration(self) -> Mapping[str, Any]:
        force = self.reloads.force
        return {"hash": force.digest, "restart": list(force.restart), **describe(force.settings)}


def _describe(rule: RuleSpec, version: str | None, *, paused: bool) -> dict[str, Any]:
    return {
        "name": rule.name,
        "sources": list(rule.sources),
        "types": list(rule.types),
        "when": rule.when,
        "stop": rule.stop,
        "message": rule.message is not None,
        "onUnknown": rule.on_unknown,
        "keys": sorted(rule.keys),
        "hash": version,
        "paused": paused,
    }


def _letter(letter: Letter) -> dict[str, Any]:
    return {"id": letter.id, "source": letter.source, "queue": letter.queue}


def _explain(fault: BrokerFault, sent: int) -> Exception:
    what = f"{fault}; {sent} letters were sent back before" if sent else str(fault)
    return Conflict(what) if isinstance(fault, Forbidden) else BrokerFault(what)
