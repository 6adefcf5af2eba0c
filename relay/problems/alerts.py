"""Sends alerts about problems to the URLs of `alerts.url`."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from random import random
from typing import Final

from relay.errors import Retryable, Unavailable
from relay.life import Signals, Stop
from relay.model import DueAlert
from relay.ports import Problems, Receivers
from relay.problems.sign import sign
from relay.retry import backoff
from relay.secret import Secret
from relay.telemetry import get_log

log = get_log()

LONGEST: Final = 3_600_000
"""Milliseconds for which an alert is tried again."""
_AT_ONCE: Final = 16
_FIRST: Final = 2_000
_CAP: Final = 300_000
_LEAST: Final = 1_000
_POLL: Final = 5.0


def fingerprint(url: Secret) -> str:
    """What stands for a receiver's URL in the ledger. The URL itself may be a credential."""
    return hashlib.sha256(url.reveal().encode()).hexdigest()[:16]


class Alerts:
    """Sends each alert until its receiver takes it, for an hour, always under the same `webhook-id`.

    `key` signs; without one nothing is signed. `clock` returns milliseconds since the epoch.
    """

    def __init__(
        self,
        ledger: Problems,
        receivers: Receivers,
        urls: Mapping[str, Secret],
        key: bytes | None,
        signals: Signals,
        *,
        clock: Callable[[], int],
        random: Callable[[], float] = random,
    ) -> None:
        self._ledger = ledger
        self._receivers = receivers
        self._urls = urls
        self._key = key
        self._signal = signals.alerts
        self._clock = clock
        self._random = random

    async def run(self, stop: Stop) -> None:
        """Send what is due until `stop`. What is not taken by then stays due."""
        stop.wakes(self._signal)
        while not stop.asked:
            self._signal.clear()
            full = False
            try:
                due = await self._ledger.due_alerts(_AT_ONCE)
                full = len(due) == _AT_ONCE
                answers = await asyncio.gather(*map(self._send, due), return_exceptions=True)
                for error in (answer for answer in answers if isinstance(answer, BaseException)):
                    raise error
            except Unavailable as error:
                log.warning("ledger.unavailable", part="alerts", error=str(error))
            if not full:
                await self._signal.wait(_POLL)

    async def _send(self, alert: DueAlert) -> None:
        line = {"alert_id": alert.id, "receiver": alert.receiver, "tries": alert.tries + 1}
        url = self._urls.get(alert.receiver)
        if url is None:
            log.info("alert.dropped", what="its receiver is not in `alerts.url` any more", **line)
            return await self._ledger.settle_alert(alert, None)
        try:
            await self._receivers.post(url, alert.body.encode(), self._headers(alert))
        except Retryable as error:
            return await self._put_off(alert, error, line)
        log.info("alert.sent", **line)
        return await self._ledger.settle_alert(alert, None)

    async def _put_off(self, alert: DueAlert, error: Retryable, line: dict[str, object]) -> None:
        wait = max(_LEAST, backoff(alert.tries, first=_FIRST, cap=_CAP, random=self._random))
        if alert.age + wait < LONGEST:
            log.warning("alert.retried", error=str(error), due_in_ms=wait, **line)
            return await self._ledger.settle_alert(alert, wait)
        what = "it was tried for an hour: check `alerts.url`; `relay problems` shows the problem"
        log.error("alert.undeliverable", error=str(error), what=what, **line)
        return await self._ledger.settle_alert(alert, None)

    def _headers(self, alert: DueAlert) -> dict[str, str]:
        seconds = self._clock() // 1_000
        plain = {"webhook-id": alert.id, "webhook-timestamp": str(seconds)}
        return plain if self._key is None else sign(self._key, alert.id, seconds, alert.body.encode())
