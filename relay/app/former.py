"""Former rules: what they hold is cancelled as they said (`delay` with `unless`), though they are not in force."""

import asyncio
from collections.abc import Callable
from typing import Final, Self

from relay.app.dry import rules_of
from relay.errors import Unavailable
from relay.life import Stop
from relay.model import RuleVersion
from relay.ports import Archive
from relay.rules import RuleSet
from relay.telemetry import get_log

log = get_log()

_EVERY: Final = 60.0


def hand_over(former: RuleSet, present: RuleSet) -> None:
    """Have the rules that leave force go on to cancel what they hold. `FormerRules` forgets them when that is over."""
    present.former = (*former.former, former) if former.cancels_any else former.former


class FormerRules:
    """Follows the ledger: which versions of rules still hold what events may cancel, also those of other replicas."""

    def __init__(self, archive: Archive, rules: Callable[[], RuleSet]) -> None:
        self._archive = archive
        self._rules = rules
        self._known: dict[str, RuleSet | None] = {}

    @classmethod
    async def read(cls, archive: Archive, rules: Callable[[], RuleSet]) -> Self:
        """What rules have held before the start. Raises Unavailable."""
        made = cls(archive, rules)
        await made.refresh()
        return made

    async def refresh(self) -> None:
        """Read the versions. Raises Unavailable."""
        rules = self._rules()
        before = rules.former
        held = [each for each in await self._archive.holding_versions() if rules.version(each.rule) != each.hash]
        self._known = {each.hash: self._known.get(each.hash) or await self._compile(each) for each in held}
        if self._rules() is rules and rules.former is before:  # else a reload has added some meanwhile
            rules.former = tuple(each for each in self._known.values() if each is not None and each.cancels_any)

    async def _compile(self, version: RuleVersion) -> RuleSet | None:
        try:
            return await asyncio.to_thread(rules_of, version)
        except ValueError as error:
            log.warning("rule.former_unreadable", rule=version.rule, version=version.hash, error=str(error))
            return None

    async def run(self, stop: Stop) -> None:
        """Refresh every minute until `stop`."""
        while not stop.asked:
            await stop.sleep(_EVERY)
            try:
                await self.refresh()
            except Unavailable as error:
                log.warning("ledger.unavailable", part="former", error=str(error))
