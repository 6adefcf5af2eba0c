"""Refused requests: counted, logged with the likeliest cause, and kept; their bodies too, where asked for."""

import asyncio
import difflib
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from aiohttp import web

from relay.errors import Rejected
from relay.hooks.hook import Hook
from relay.hooks.kept import clean, keep
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
PREFIX: Final = "/hooks/"
"""What the path of every source begins with."""

_COMPARE: Final = "compare the address set at the sender"
_HARMLESS: Final = ("user-agent", "content-type")
_MOST_SHOWN: Final = 200
_MOST_AT_ONCE: Final = 32
_FAREWELL: Final = 2.0


class Refusals:
    """Tells of refusals. `keep` writes one to the ledger; beyond 32 under way they are only counted and logged."""

    def __init__(self, keep: Callable[[Rejection], Awaitable[None]], ids: Ids, metrics: Metrics) -> None:
        self._keep = keep
        self._ids = ids
        self._metrics = metrics
        self._patience = Bucket(20, 100)
        self._guesses = Bucket(20, 1_000)
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

    def miss(self, http: web.BaseRequest, known: Iterable[str], at: int, remote: str | None) -> Rejected:
        """Tell of a request for a source that does not exist, and keep it where it was meant for one; gives the error.

        A misspelt address at a vendor's looks so, and so does every scan for holes: only what begins with `/hooks/` is
        kept, as often as `_guesses` lets it, with two headers, because nobody knows which hold credentials.
        """
        path, meant = http.path, http.path.startswith(PREFIX)
        patient = meant and self._guesses.take(at)
        hint = f"no webhook source answers at {path[:200]!r}: {_guess(path, known) if patient else _COMPARE}"
        told = "there is nothing here; events are posted to /hooks/{source}"
        error = Rejected(told, status=404, reason="unknown_source", hint=clean(hint))
        self.tell(error, UNKNOWN, remote)
        if patient:
            kept = {name: clean(http.headers[name])[:_MOST_SHOWN] for name in _HARMLESS if name in http.headers}
            size, digest = http.content_length or 0, _NO_BODY
            self.write(
                Rejection(self._ids(), at, UNKNOWN, error.status, error.reason, error.hint, remote, kept, size, digest)
            )
        return error

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


def _guess(path: str, known: Iterable[str]) -> str:
    name = path.removeprefix(PREFIX)[:_MOST_SHOWN]
    close = difflib.get_close_matches(name.lower(), known, 1, cutoff=0.7)
    return f"did you mean {PREFIX}{close[0]}? Compare the address set at the sender" if close else _COMPARE


def _kept(hook: Hook, request: Request, error: Rejected) -> Kept | None:
    """The request itself, where the source keeps those whose proof failed."""
    if hook.keep_rejected is None or error.status != 401 or not hook.scheme.keepable:
        return None
    headers = {name: value for name, value in request.headers.flat() if name not in ALWAYS_SECRET}
    return Kept(request.method, request.url, headers, request.body, request.received_at + hook.keep_rejected)
