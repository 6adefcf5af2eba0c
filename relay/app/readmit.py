"""Refused requests once more: each that is kept is judged by today's secrets, as of the moment at which it came."""

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
"""Requests in memory at once, each with its body."""


class Outcome(StrEnum):
    """What became of a refused request: taken in, known already, or refused again."""

    READMITTED = "readmitted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The outcome, with the ids of the events that it has become, or the reason and hint of the new refusal."""

    outcome: Outcome
    events: tuple[str, ...] = ()
    reason: str | None = None
    hint: str | None = None


Judge = Callable[[Kept, int], Awaitable[Judgement]]
"""Verifies a request as of when it first came (milliseconds since the epoch) and takes in what it brings.

Judging the same request twice must be harmless: a crash may come between what it took in and the mark for it. May
raise `Rejected` and `Refused` for a refusal; any other error ends the readmission.
"""


def admitted(receipts: Sequence[Receipt]) -> Judgement:
    """The verdict on a request that was taken in: a duplicate when all of it was known."""
    known = bool(receipts) and all(one.status is EventStatus.DUPLICATE for one in receipts)
    return Judgement(Outcome.DUPLICATE if known else Outcome.READMITTED, tuple(one.id for one in receipts))


async def readmit(archive: Archive, source: str, judge: Judge, *, now: int, dry_run: bool) -> dict[str, Any]:
    """Judge what is kept of a source, oldest first, and mark what was taken in; with `dry_run` mark nothing.

    Requests that came after `now` are left for the next time, so that a flood of refusals cannot keep it going. Gives
    what became of each, ready for JSON (`relay.ops.wire.Readmission`).
    """
    told = []
    async for one, request in _refused(archive, source, now):
        verdict = await _judge(judge, one, request)
        if verdict.outcome is not Outcome.REFUSED and not dry_run:
            await archive.readmitted(one.id, verdict.events)
            log.info("request.readmitted", source=source, rejection_id=one.id, event_ids=verdict.events)
        told.append(_show(one, verdict))
    count = Counter(row["verdict"] for row in told)
    return {"readmitted": count[Outcome.READMITTED], "refused": count[Outcome.REFUSED], "requests": told}


async def _refused(archive: Archive, source: str, now: int) -> AsyncIterator[tuple[Rejection, Kept | None]]:
    after = None
    while page := await archive.refused(source, _PAGE, after):
        for one in page:
            if one.at <= now:
                yield one, one.kept
        after = page[-1].id
        if page[-1].at > now:
            return


async def _judge(judge: Judge, one: Rejection, request: Kept | None) -> Judgement:
    if request is None:  # it is locked
        return Judgement(Outcome.REFUSED, reason=one.reason, hint=one.hint)
    try:
        return await judge(request, one.at)
    except Rejected as error:
        return Judgement(Outcome.REFUSED, reason=error.reason, hint=error.hint)
    except Refused as error:
        return Judgement(Outcome.REFUSED, reason="refused", hint=str(error))


def _show(one: Rejection, verdict: Judgement) -> dict[str, Any]:
    return {
        "id": one.id,
        "at": iso(one.at),
        "verdict": verdict.outcome.value,
        "reason": verdict.reason,
        "hint": verdict.hint,
        "events": list(verdict.events),
    }
