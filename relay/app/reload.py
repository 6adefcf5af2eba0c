"""Puts a changed configuration into force, all or nothing."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from relay.app.force import Force, make_force
from relay.config import Change, find_changes, load_files
from relay.config.fault import describe as describe_fault
from relay.errors import Conflict, Misconfigured, Unavailable
from relay.life import Signal, Stop
from relay.model import RuleVersion
from relay.telemetry import Metrics, PartState, Status, get_log

log = get_log()

PART: Final = "config"
_EVERY: Final = 0.25
_QUIET: Final = 0.5
"""Seconds for which the files have not changed before they are read: several of them may be written one by one, and
half of a file may be without a fault."""
_FINAL: Final = 1.0
"""Seconds after which a file that has faults is not half written any more."""
_RESTLESS: Final = 20.0
"""Seconds for which a person waits for files that do not stop changing."""
_SEEN: Final = 3_600.0
_RECENT: Final = 60.0
"""Seconds for which what came into force by itself is news to a person who asks for a reload: it is often faster."""

KeepVersions = Callable[[Sequence[RuleVersion]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """What became of a reload. `refused` says why in `faults`, lines as of Misconfigured; the former one goes on.

    `restart` are the keys that stay as they were at the start, until the service is restarted.
    """

    status: Literal["reloaded", "unchanged", "refused"]
    digest: str
    changes: tuple[Change, ...] = ()
    restart: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


class Reloader:
    """Follows the files of the configuration, and puts it into force when they change.

    `put` swaps what is in force, given the former and the present. It runs in the event loop without waiting, so that
    nothing sees one half of it. `keep` stores the versions of the rules, before any dispatch names them: while the
    ledger is away nothing is accepted, and the change comes into force when the ledger is back.
    """

    def __init__(
        self, force: Force, put: Callable[[Force, Force], None], keep: KeepVersions, metrics: Metrics, status: Status
    ) -> None:
        self.force = force
        self._files = force.loaded.origin
        self._state = self._files.known
        self._started = force.settings
        self._put = put
        self._keep = keep
        self._metrics = metrics
        self._status = status
        self._asked = Signal()
        self._turns = asyncio.Lock()
        self._changed_at = 0.0
        self._settled = True
        self._hung_up = False
        self._refused = False
        self._untold: tuple[float, Force] | None = None
        """When something came into force of which no person who asked was told, and what was in force before."""

    def hang_up(self) -> None:
        """Reload now, for SIGHUP. The outcome is in the log."""
        self._hung_up = True
        self._asked.set()

    async def run(self, stop: Stop) -> None:
        """Follow the files until `stop`."""
        stop.wakes(self._asked)
        versions_at = asyncio.get_running_loop().time()
        while not stop.asked:
            self._asked.clear()
            hung_up, self._hung_up = self._hung_up, False
            try:
                await (self._reload() if hung_up else self._follow())
            except Conflict as error:
                log.warning("config.unsettled", error=str(error))
            except Unavailable as error:
                self._status.set(PART, PartState.DEGRADED, f"a change waits for the ledger: {error}")
                log.warning("ledger.unavailable", part=PART, error=str(error))
                await stop.sleep(_FINAL)
            else:
                if asyncio.get_running_loop().time() - versions_at > _SEEN and await self._keep_versions():
                    versions_at = asyncio.get_running_loop().time()
            await self._asked.wait(_EVERY)

    async def _keep_versions(self) -> bool:
        """Note that the rules are still in force. Returns False while the ledger is away: no change waits for that."""
        try:
            await self._keep(self.force.rules.versions)
        except Unavailable as error:
            log.warning("ledger.unavailable", part=PART, error=str(error))
            return False
        return True

    async def reload(self) -> ReloadOutcome:
        """Reload now. Raises `Unavailable` while the ledger is away, `Conflict` when the files do not stop changing.

        A change that came into force by itself within the last minute is told, too.
        """
        outcome = await self._reload()
        if outcome.status == "refused" or self._untold is None:
            return outcome
        (at, before), self._untold = self._untold, None
        changes = find_changes(before.settings, self.force.settings)
        if not changes or asyncio.get_running_loop().time() - at > _RECENT:
            return outcome
        return replace(outcome, status="reloaded", changes=changes)

    async def _reload(self) -> ReloadOutcome:
        async with self._turns:
            end = asyncio.get_running_loop().time() + _RESTLESS
            while True:
                await self._look()
                if (outcome := await self._attempt()) is not None:
                    return outcome
                if asyncio.get_running_loop().time() > end:
                    raise Conflict("the files of the configuration do not stop changing: try again when they are whole")
                await asyncio.sleep(_EVERY)

    async def _follow(self) -> None:
        async with self._turns:
            await self._look()
            if not self._settled and self._quiet() >= _QUIET:
                await self._attempt()

    async def _look(self) -> None:
        """Note whether the files have changed."""
        state = await asyncio.to_thread(self._files.state)
        if state != self._state:
            self._state, self._settled = state, False
            self._changed_at = asyncio.get_running_loop().time()

    def _quiet(self) -> float:
        return asyncio.get_running_loop().time() - self._changed_at

    async def _attempt(self) -> ReloadOutcome | None:
        """Read the files and put them into force. Returns None when they are to be read again."""
        read = await asyncio.to_thread(self._read)
        # It may have looked at other files than the reading before it, so its own state is compared with now.
        self._state = self._files.known
        await self._look()
        is_half = isinstance(read, Misconfigured) and self._quiet() < _FINAL
        if self._state != self._files.known or is_half:
            self._settled = False
            return None
        if isinstance(read, Misconfigured):
            self._settled = True
            return self._refuse(read.faults)
        return await self._accept(*read)

    def _read(self) -> tuple[Force, tuple[Change, ...]] | Misconfigured:
        """What the files say, and what it changes; or their faults."""
        old = self.force
        try:
            force = make_force(load_files(self._files), old.terms.owner, self._started)
        except Misconfigured as error:
            return error
        return force, find_changes(old.settings, force.settings)

    async def _accept(self, force: Force, changes: tuple[Change, ...]) -> ReloadOutcome:
        old = self.force
        unchanged = force.digest == old.digest and not changes
        if not unchanged:
            await self._keep(force.rules.versions)
            self._put(old, force)
            self.force = force
            self._note_untold(old)
        self._settled = True
        self._metrics.config_reload.set(1)
        self._metrics.problems.reloaded()
        reason = f"a restart is needed for {', '.join(force.restart)}" if force.restart else ""
        self._status.set(PART, PartState.UP, reason)
        if unchanged and force.restart == old.restart:
            if self._refused:
                log.info("config.recovered", config=old.digest)
            self._refused = False
            return ReloadOutcome("unchanged", old.digest, restart=force.restart)
        self._refused = False
        self.force = force
        self._log(force, changes)
        return ReloadOutcome("unchanged" if unchanged else "reloaded", force.digest, changes, force.restart)

    def _note_untold(self, old: Force) -> None:
        now = asyncio.get_running_loop().time()
        if self._untold is None or now - self._untold[0] > _RECENT:
            self._untold = now, old

    def _log(self, force: Force, changes: Sequence[Change]) -> None:
        for warning in force.loaded.warnings:
            log.warning("config.warning", what=warning)
        told = [f"{change.change} {change.key}" for change in changes]
        log.info("config.reloaded", config=force.digest, changes=told, restart=list(force.restart))
        if force.restart:
            log.warning("config.held", keys=list(force.restart), hint="they come into force with a restart")

    def _refuse(self, faults: tuple[str, ...]) -> ReloadOutcome:
        for fault in faults:
            log.error("config.fault", **place(fault))
        self._refused = True
        self._metrics.config_reload.set(0)
        self._metrics.problems.reload_refused(faults[0])
        count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
        reason = f"the changed configuration has {count}, so the former one is in force; the first: {faults[0]}"
        self._status.set(PART, PartState.DEGRADED, reason)
        return ReloadOutcome("refused", self.force.digest, restart=self.force.restart, faults=faults)


def place(fault: str) -> Mapping[str, Any]:
    """A fault for the log: `at` is `file:line:column`."""
    parts = describe_fault(fault)
    at = ":".join(str(parts[name]) for name in ("file", "line", "column") if parts[name] is not None)
    return {"at": at or None, "key": parts["key"], "message": parts["message"], "hint": parts["hint"]}
