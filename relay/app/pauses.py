"""Pauses of rules: a person's act, which every replica follows."""

from collections.abc import Callable
from typing import Final

from relay.errors import NotFound, Unavailable
from relay.intake import log_act
from relay.life import Signals, Stop
from relay.model import LOCAL, ActName, Deed
from relay.ports import Archive
from relay.rules import RuleSet
from relay.telemetry import get_log

log = get_log()

_EVERY: Final = 2.0


class RulePauses:
    """Follows the ledger. It lets go what a resumed rule has held, also where another replica ended meanwhile."""

    def __init__(self, archive: Archive, rules: Callable[[], RuleSet], signals: Signals) -> None:
        self._archive = archive
        self._rules = rules
        self._signals = signals
        self.paused: frozenset[str] = frozenset()

    async def set_paused(self, name: str, *, paused: bool, by: str = LOCAL) -> None:
        """Pause or resume everywhere; what is paused and not configured any more can be resumed. Raises NotFound."""
        known = {rule.name for rule in self._rules().rules}
        if name not in known and (paused or name not in await self._archive.paused_rules()):
            raise NotFound(f"there is no rule {name!r}; there are: {', '.join(sorted(known)) or 'none'}")
        deed = Deed(by, ActName.RULE_PAUSED if paused else ActName.RULE_RESUMED, name)
        await self._archive.pause_rule(name, paused=paused, deed=deed)
        log.info("rule.paused" if paused else "rule.resumed", rule=name)
        log_act(deed)
        await self.refresh()

    async def refresh(self) -> None:
        """Read the pauses, and let go what is not held by one any more."""
        self.paused = await self._archive.paused_rules()
        let_go = 0
        while count := await self._archive.let_go():
            let_go += count
        if let_go:
            log.info("dispatches.released", count=let_go, what="their rule was resumed")
            self._signals.work.set()

    async def run(self, stop: Stop) -> None:
        """Refresh every 2 s until `stop`."""
        while not stop.asked:
            try:
                await self.refresh()
            except Unavailable as error:
                log.warning("ledger.unavailable", part="rules", error=str(error))
            await stop.sleep(_EVERY)
