"""Refused requests: counted, logged with the likeliest cause, and kept; their bodies too, where asked for."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

from relay.errors import Rejected
from relay.hooks.hook import Hook
from relay.hooks.kept import keep
from relay.hooks.unread import Unread
from relay.limits import Bucket
from relay.model import Ids, Kept, Rejection
from relay.schemes import Request, diagnose
from relay.schemes.spec import ALWAYS_SECRET
from relay.telemetry import Metrics, get_log

log = get_log()

UNKNOWN: Final = "_unknown"
"""The label of all sources that do not exist: a stranger must not make new ones."""

_NO_BODY: Final = hashlib.sha256(b"").hexdigest()
_MOST_AT_ONCE: Final = 32
_FAREWELL: Final = 2.0


class Refusals:
    """Tells of refusals. `keep` writes one to the ledger; beyond 32 under way they are only counted and logged."""

    def __init__(self, keep: Callable[[Rejection], Awaitable[None]], ids: Ids, metrics: Metrics) -> None:
        self._keep = keep
        self._ids = ids
        self._metrics = metrics
        self._patience = Bucket(20, 100)
        self._writing: set[asyncio.Task[None]] = set()

    def count(self, source: str, reason: str) -> None:
        """One more request turned away."""
        self._metrics.rejections.labels(source, reason).inc()

    def tell(self, error: Rejected, source: str, remote: str | None) -> None:
        """Count and log."""
        self.count(source, error.reason)
        log.warning(
            "request.rejected",
            source=source,
            status=error.status,
            reason=error.reason,
            what=str(error),
            hint=error.hint,
            remote=remote,
        )

    async def refuse(self, hook: Hook, request: Request, error: Rejected, remote: str | None) -> None:
        """Tell of a refused request and keep what may be kept of it.

        Metadata is written in the background. A body is written before the answer, since it is all that is left of
        what may be an event; it holds the answer up for one commit.
        """
        error = self._explain(hook, request, error)
        self.tell(error, hook.name, remote)
        kept = _kept(hook, request, error)
        rejection = Rejection(
            id=self._ids(),
            at=request.received_at,
            source=hook.name,
            status=error.status,
            reason=error.reason,
            hint=error.hint,
            remote=remote,
            headers=keep(request.headers, hook.scheme.secret_headers),
            size=len(request.body),
            digest=hashlib.sha256(request.body).hexdigest(),
            kept=kept,
        )
        if kept is None:
            self.write(rejection)
        else:
            await self._write(rejection)

    def _explain(self, hook: Hook, request: Request, error: Rejected) -> Rejected:
        """The same with the likeliest cause as its hint, unless too many came just now."""
        if error.status != 401 or not self._patience.take(request.received_at):
            return error
        hint = diagnose(hook.spec, request, error)
        return Rejected(str(error), status=error.status, reason=error.reason, hint=hint)

    def write(self, rejection: Rejection) -> None:
        """Keep it in the background."""
        if len(self._writing) < _MOST_AT_ONCE:
            task = asyncio.create_task(self._write(rejection))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    def write_unread(self, unread: Unread, source: str, remote: str, at: int) -> None:
        """Keep a request of which nothing was read, in the background."""
        rejection = Rejection(
            id=self._ids(),
            at=at,
            source=source,
            status=unread.status,
            reason="malformed",
            hint=unread.hint,
            remote=remote,
            headers={},
            size=0,
            digest=_NO_BODY,
        )
        self.write(rejection)

    async def close(self) -> None:
        """Wait for what is being written, two seconds at most."""
        if self._writing:
            _, late = await asyncio.wait(self._writing, timeout=_FAREWELL)
            for task in late:
                task.cancel()

    async def _write(self, rejection: Rejection) -> None:
        try:
            await self._keep(rejection)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the ledger, the answer has been given
            log.warning("rejection.lost", source=rejection.source, reason=rejection.reason, error=str(error))


def _kept(hook: Hook, request: Request, error: Rejected) -> Kept | None:
    """The request itself, where the source keeps those whose proof failed."""
    if hook.keep_rejected is None or error.status != 401 or not hook.scheme.keepable:
        return None
    headers = {name: value for name, value in request.headers.flat() if name not in ALWAYS_SECRET}
    return Kept(request.method, request.url, headers, request.body, request.received_at + hook.keep_rejected)
