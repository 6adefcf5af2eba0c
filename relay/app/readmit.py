"""Readmits refused requests: judges each stored one with the current secrets, as of the time at which it came."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from relay.errors import Refused, Rejected
from relay.model import EventStatus, Kept, Receipt, Rejection
from relay.ports import Archive
from relay.telemetry import get_log
from relay.units import iso

log = get_log()

_PAGE: Final = 20
"""How many requests, each with its body, are in memory at once."""


class Outcome(StrEnum):
    """What became of a refused request: accepted, a duplicate, or refused again."""

    READMITTED = "readmitted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome, with the ids of its events, or the reason and hint of the new refusal."""

    outcome: Outcome
    events: tuple[str, ...] = ()
    reason: str | None = None
    hint: str | None = None


Judge = Callable[[Kept, int], Awaitable[Judgement]]
"""Verifies a request as of the time at which it first came (milliseconds since the epoch) and accepts its events.

Judging a request twice must be harmless, because the process may die after the events are committed and before the
request is marked. Raises `Rejected` or `Refused` for a refusal; any other error ends the readmission.
"""


def admitted(receipts: Sequence[Receipt]) -> Judgement:
    """The verdict on an accepted request: a duplicate if all of its events are duplicates."""
    is_repeat = bool(receipts) and all(receipt.status is EventStatus.DUPLICATE for receipt in receipts)
    return Judgement(Outcome.DUPLICATE if is_repeat else Outcome.READMITTED, tuple(receipt.id for receipt in receipts))


async def readmit(archive: Archive, source: str, judge: Judge, *, now: int, dry_run: bool) -> dict[str, Any]:
    """Judge the stored requests of a source, oldest first, and mark the accepted ones; with `dry_run` mark none.

    Requests that came after `now` (milliseconds since the epoch) are left for the next call, so that a flood of
    refusals cannot keep this one running. Returns what became of each, ready for JSON (`relay.ops.wire.Readmission`).
    """
    rows = []
    async for rejection, request in _refused(archive, source, now):
        verdict = await _judge(judge, rejection, request)
        if verdict.outcome is not Outcome.REFUSED and not dry_run:
            # Marked after the commit: a crash in between only makes the next readmission find duplicates.
            await archive.readmitted(rejection.id, verdict.events)
            log.info("request.readmitted", source=source, rejection_id=rejection.id, event_ids=verdict.events)
        rows.append(_show(rejection, verdict))
    count = Counter(row["verdict"] for row in rows)
    return {"readmitted": count[Outcome.READMITTED], "refused": count[Outcome.REFUSED], "requests": rows}


async def _refused(archive: Archive, source: str, now: int) -> AsyncIterator[tuple[Rejection, Kept | None]]:
    after = None
    while page := await archive.refused(source, _PAGE, after):
        for rejection in page:
            if rejection.at <= now:
                yield rejection, rejection.kept
        after = page[-1].id
        if page[-1].at > now:
            return


async def _judge(judge: Judge, rejection: Rejection, request: Kept | None) -> Judgement:
    if request is None:  # it is encrypted with a key that this replica does not have
        return Judgement(Outcome.REFUSED, reason=rejection.reason, hint=rejection.hint)
    try:
        return await judge(request, rejection.at)
    except Rejected as error:
        return Judgement(Outcome.REFUSED, reason=error.reason, hint=error.hint)
    except Refused as error:
        return Judgement(Outcome.REFUSED, reason="refused", hint=str(error))


def _show(rejection: Rejection, verdict: Judgement) -> dict[str, Any]:
    return {
        "id": rejection.id,
        "at": iso(rejection.at),
        "verdict": verdict.outcome.value,
        "reason": verdict.reason,
        "hint": verdict.hint,
        "events": list(verdict.events),
    }
