"""Asks Cargo what the chats of a day have cost, for the usage of all rules.

A chat goes on costing while its agent works, so the whole day is read again at each turn. It is the day of two hours
ago: so what was made before midnight is read once more after it. A chat's stamp names its dispatch, and that its rule;
chats of triggers that carry no stamp are not counted.
"""

from collections import defaultdict
from collections.abc import Callable, Collection
from typing import Final

from relay.dispatch.gate import Gate
from relay.errors import Permanent, Retryable, Unavailable, Unknown
from relay.life import Stop
from relay.model import Chat
from relay.ports import Chats, Rates, Work
from relay.telemetry import get_log

log = get_log()

_TURN: Final = 60.0
_EVERY: Final = 900_000
"""Milliseconds from one question to the next."""
_LATE: Final = 7_200_000
_DAY: Final = 86_400_000
_LEASE: Final = 120_000
_LEASE_NAME: Final = "usage"
_MOST_PAGES: Final = 200
"""Pages that are read in one turn. Days with more chats have the credits of those that were read."""


class CreditWatch:
    """One replica asks at a time, every 15 minutes, and not while sending is paused.

    `trigger_types` gives those of the rules in force. `clock` returns milliseconds since the epoch, `boottime`
    milliseconds on a clock that keeps counting while the machine is suspended.
    """

    def __init__(
        self,
        ledger: Rates,
        work: Work,
        chats: Chats,
        gate: Gate,
        trigger_types: Callable[[], Collection[str]],
        *,
        clock: Callable[[], int],
        boottime: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._work = work
        self._chats = chats
        self._gate = gate
        self._trigger_types = trigger_types
        self._clock = clock
        self._boottime = boottime
        self._tried: int | None = None
        self._failing = False
        self._stop = Stop()

    async def run(self, stop: Stop) -> None:
        """Take a turn every minute until `stop`."""
        self._stop = stop
        while not stop.asked:
            try:
                await self.turn()
            except Unavailable as error:
                log.warning("ledger.unavailable", part="usage", error=str(error))
            await stop.sleep(_TURN)

    async def turn(self) -> None:
        """Ask, if nobody has for a while."""
        if self._gate.paused or (self._tried is not None and self._boottime() - self._tried < _EVERY):
            return
        asked_ago = await self._ledger.credits_asked_ago()
        if asked_ago is not None and asked_ago < _EVERY:
            return
        day = (self._clock() - _LATE) // _DAY * _DAY
        if not any(used.chats for used in await self._ledger.used(day, day + 1)):
            return  # no rule was at work
        if not await self._work.lease(_LEASE_NAME, _LEASE):
            return
        self._tried = self._boottime()
        try:
            found = await self._read(day, day + _DAY)
        except (Retryable, Unknown, Permanent) as error:
            if not self._failing:
                what = "the credits of chats could not be asked; usage shows the last ones"
                log.warning("usage.unasked", error=str(error), what=what)
            self._failing = True
            return
        self._failing = False
        if found:
            await self._ledger.keep_credits(day, found)

    async def _read(self, since: int, until: int) -> dict[str, float]:
        """Credits by rule of the chats that were made in this span."""
        found: defaultdict[str, float] = defaultdict(float)
        pages = 0
        for trigger_type in sorted(self._trigger_types()):
            offset, read = 0, set[str]()
            while pages < _MOST_PAGES:
                if wait := await self._work.pace(1):
                    await self._stop.sleep(wait / 1_000)
                if self._stop.asked or not await self._work.lease(_LEASE_NAME, _LEASE):
                    return {}
                page = await self._chats.chats(trigger_type, since, until, offset)
                new = [chat for chat in page.chats if chat.uuid not in read and since <= chat.created_at < until]
                if not page.rows:
                    break
                await self._add(found, new)
                read |= {chat.uuid for chat in page.chats}
                offset, pages = offset + page.rows, pages + 1
        return dict(found)

    async def _add(self, found: defaultdict[str, float], chats: Collection[Chat]) -> None:
        stamped = {chat.uuid: chat.stamp[0] for chat in chats if chat.stamp is not None}
        rules = await self._ledger.rules_of(sorted(set(stamped.values())))
        for chat in chats:
            rule = rules.get(stamped.get(chat.uuid, ""))
            if rule is not None:
                found[rule] += chat.credits_used or 0.0
