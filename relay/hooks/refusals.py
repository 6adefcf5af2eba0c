"""Counts, logs and stores refused requests with their likely cause, and with bodies if configured."""

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
"""The label of all sources that do not exist, because clients must not create labels."""

_NO_BODY: Final = hashlib.sha256(b"").hexdigest()
PREFIX: Final = "/hooks/"
"""The prefix of every source's path."""

_COMPARE: Final = "compare the address set at the sender"
_HARMLESS: Final = ("user-agent", "content-type")
_MOST_SHOWN: Final = 200
_MOST_AT_ONCE: Final = 32
_FAREWELL: Final = 2.0


class Refusals:
    """Reports refusals. `keep` writes one to the ledger. While 32 are being written, others are only counted."""

    def __init__(self, keep: Callable[[Rejection], Awaitable[None]], ids: Ids, metrics: Metrics) -> None:
        self._keep = keep
        self._ids = ids
        self._metrics = metrics
        self._patience = Bucket(20, 100)
        self._guesses = Bucket(20, 1_000)
        self._writing: set[asyncio.Task[None]] = set()

    def count(self, source: str, reason: str) -> None:
        """Count a refused request."""
        self._metrics.rejected(source, reason)

    def report(self, error: Rejected, source: str, remote: str | None) -> None:
        """Count and log a refused request."""
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
        """Report a refused request and store what may be stored of it.

        Metadata is written in the background. A body is written before the response, which delays it by one commit,
        because the body may be the only copy of an event.
        """
        error = self._explain(hook, request, error)
        self.report(error, hook.name, remote)
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

    def miss(self, http: web.BaseRequest, sources: Iterable[str], at: int, remote: str | None) -> Rejected:
        """Report a request for a source that does not exist, and store it if it may be misaddressed.

        Returns the error. Both a misspelt URL at a vendor and a scan for vulnerabilities look like this. A request is
        only stored when its path begins with `/hooks/`, as often as `_guesses` allows, and with two headers, because
        it is unknown which headers contain credentials.
        """
        path = http.path
        is_stored = path.startswith(PREFIX) and self._guesses.take(at)
        hint = f"no webhook source has the path {path[:200]!r}: {_guess(path, sources) if is_stored else _COMPARE}"
        message = "there is nothing here; events are posted to /hooks/{source}"
        error = Rejected(message, status=404, reason="unknown_source", hint=clean(hint))
        self.report(error, UNKNOWN, remote)
        if is_stored:
            self._metrics.problems.saw("rejections", source=UNKNOWN, code=error.reason)
            kept = {name: clean(http.headers[name])[:_MOST_SHOWN] for name in _HARMLESS if name in http.headers}
            size, digest = http.content_length or 0, _NO_BODY
            self.write(
                Rejection(self._ids(), at, UNKNOWN, error.status, error.reason, error.hint, remote, kept, size, digest)
            )
        return error

    def _explain(self, hook: Hook, request: Request, error: Rejected) -> Rejected:
        """The error with its likely cause as hint. Diagnoses are limited in number."""
        if error.status != 401 or not self._patience.take(request.received_at):
            return error
        hint = diagnose(hook.spec, request, error)
        return Rejected(str(error), status=error.status, reason=error.reason, hint=hint)

    def write(self, rejection: Rejection) -> None:
        """Store a refused request in the background."""
        if len(self._writing) < _MOST_AT_ONCE:
            task = asyncio.create_task(self._write(rejection))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    def write_unread(self, unread: Unread, source: str, remote: str, at: int) -> None:
        """Store a request that could not be read, in the background."""
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
        """Wait for running writes, at most two seconds."""
        if self._writing:
            _, late = await asyncio.wait(self._writing, timeout=_FAREWELL)
            for task in late:
                task.cancel()

    async def _write(self, rejection: Rejection) -> None:
        try:
            await self._keep(rejection)
        except Exception as error:  # noqa: BLE001 - an error of the ledger must not change the response
            log.warning("rejection.lost", source=rejection.source, reason=rejection.reason, error=str(error))


def _guess(path: str, sources: Iterable[str]) -> str:
    name = path.removeprefix(PREFIX)[:_MOST_SHOWN]
    close = difflib.get_close_matches(name.lower(), sources, 1, cutoff=0.7)
    return f"did you mean {PREFIX}{close[0]}? Compare the address set at the sender" if close else _COMPARE


def _kept(hook: Hook, request: Request, error: Rejected) -> Kept | None:
    """The request to keep, if the source keeps requests that failed verification."""
    if hook.keep_rejected is None or error.status != 401 or not hook.scheme.keepable:
        return None
    headers = {name: value for name, value in request.headers.flat() if name not in ALWAYS_SECRET}
    return Kept(request.method, request.url, headers, request.body, request.received_at + hook.keep_rejected)
