"""Implements the operators' actions on the parts of a running relay."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from relay.app.dry import dry_run, try_events
from relay.app.judge import Judges
from relay.app.readmit import readmit
from relay.app.sources import Sources
from relay.config import Settings
from relay.errors import NotFound
from relay.intake import Intake, replay, retry
from relay.life import Signals
from relay.model import Dispatch, Ids
from relay.ports import Archive
from relay.secret import Secret
from relay.telemetry import get_log

log = get_log()


@dataclass(frozen=True, slots=True)
class Desk:
    """Implements `relay.ops.Operations`."""

    archive: Archive
    intake: Intake
    settings: Settings
    controls: Sources
    judges: Judges
    ids: Ids
    clock: Callable[[], int]
    signals: Signals

    async def replay(self, event_id: str, *, again: bool) -> Sequence[tuple[str, str]]:
        added = await replay(self.archive, self.intake.rules, event_id, again=again, ids=self.ids, clock=self.clock)
        self.signals.work.set()
        return added

    async def retry(self, dispatch_id: str, *, render: bool) -> Dispatch:
        dispatch = await retry(self.archive, self.intake.rules, dispatch_id, render=render)
        self.signals.work.set()
        return dispatch

    async def cancel(self, dispatch_id: str) -> Dispatch:
        dispatch = await self.archive.cancel(dispatch_id)
        self.signals.results.set()
        return dispatch

    async def try_event(self, source: str, headers: Mapping[str, str], body: bytes) -> Mapping[str, Any]:
        return dry_run(self.settings, source, headers, body, ids=self.ids, now=self.clock())

    async def try_kept(self, event_id: str) -> Mapping[str, Any]:
        return try_events([await self.archive.load(event_id)], self.intake.rules)

    def sources(self) -> Sequence[Mapping[str, Any]]:
        return self.controls.describe()

    def rules(self) -> Sequence[Mapping[str, Any]]:
        return [
            {
                "name": rule.name,
                "sources": list(rule.sources),
                "types": list(rule.types),
                "when": rule.when,
                "stop": rule.stop,
                "message": rule.message is not None,
                "onUnknown": rule.on_unknown,
            }
            for rule in self.intake.rules.rules
        ]

    async def pause_source(self, name: str) -> None:
        await self.controls.set_paused(name, paused=True)

    async def resume_source(self, name: str) -> None:
        await self.controls.set_paused(name, paused=False)

    async def readmit(self, name: str, *, dry_run: bool) -> Mapping[str, Any]:
        self.controls.require(name)
        return await readmit(self.archive, name, self.judges(name, dry_run), now=self.clock(), dry_run=dry_run)

    async def forget(self, name: str) -> bool:
        return await self.controls.forget(name)

    async def learned_secret(self, name: str) -> Secret:
        self.controls.require(name)
        secret = (await self.archive.learned()).get(name)
        if secret is None:
            raise NotFound(f"no handshake has brought a secret for source {name}; have the vendor send one")
        log.info("secret.shown", source=name)
        return secret
