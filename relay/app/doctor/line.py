"""One line of judgement, and how checks are run: side by side, each bounded in time."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from relay.errors import RelayError
from relay.telemetry import get_log

log = get_log()

PATIENCE: Final = 5.0
"""Seconds that a check may take."""


class Grade(StrEnum):
    """`look` is worth a look by a person, `act` needs a person."""

    OK = "ok"
    LOOK = "look"
    ACT = "act"


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a check found. `todo` says what to do, None where there is nothing."""

    check: str
    verdict: Grade
    what: str
    todo: str | None = None


Judgement = tuple[Grade, str, str | None]
"""Grade, what is, what to do."""

Found = Sequence[Judgement]

Check = Callable[[], Awaitable[Found]]


def ok(what: str) -> Judgement:
    return Grade.OK, what, None


def look(what: str, todo: str) -> Judgement:
    return Grade.LOOK, what, todo


def act(what: str, todo: str) -> Judgement:
    return Grade.ACT, what, todo


async def examine(
    checks: Mapping[str, Check], patience: float = PATIENCE, vital: Collection[str] = ()
) -> list[Diagnosis]:
    """Run all checks at the same time. One that cannot be made is a line that says why.

    It is `act` for the `vital` ones, whose servers Relay cannot work without: that they cannot be asked is the finding.
    It is `look` for the others.
    """
    found = await asyncio.gather(
        *(_run(name, check, patience, act if name in vital else look) for name, check in checks.items())
    )
    return [Diagnosis(name, *one) for name, lines in zip(checks, found, strict=True) for one in lines]


async def _run(name: str, check: Check, patience: float, judge: Callable[[str, str], Judgement]) -> Found:
    try:
        async with asyncio.timeout(patience):
            return await check()
    except TimeoutError:
        return [judge(f"it could not be told within {patience:g} s", "ask again; look at this part if it stays so")]
    except (RelayError, OSError) as error:
        return [judge(f"it could not be told: {error}", "mend that, then ask again")]
    except Exception as error:
        log.exception("doctor.failed", check=name)
        return [judge(f"it could not be told: {type(error).__name__}: {error}", "this is a fault of Relay: report it")]
