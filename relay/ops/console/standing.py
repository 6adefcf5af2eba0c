"""How the relay stands, in one line: what the top of every page says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from relay.model import Gauges
from relay.telemetry import Part, PartState, Status

Tone = Literal["ok", "look", "bad", "plain"]
_PAUSES: Final = {
    "unauthorized": "Cargo refuses the token: check cargo.token",
    "circuit": "too many calls to Cargo failed in a row; the relay probes and goes on by itself",
}

_FAULTY: Final = frozenset({PartState.DOWN, PartState.DEGRADED})


@dataclass(frozen=True, slots=True)
class Health:
    """A judgement: its colour, some words, and each reason as a sentence."""

    tone: Tone
    word: str
    reasons: tuple[str, ...] = ()


def stand(status: Status, gauges: Gauges | None, parts: Sequence[Part]) -> Health:
    """The worst that is known. What does not send or take in is never told as well.

    `parts` are those of the status, as who looks may see them.
    """
    ready, reasons = status.ready()
    if not ready:
        return Health("bad", "Not ready", reasons)
    paused = () if gauges is None else tuple(gauges.paused)
    if paused:
        return Health("bad", "Sending is paused", tuple(_PAUSES.get(reason, reason) for reason in paused))
    if any(problem["kind"] == "cargo" for problem in status.problems):
        return Health("bad", "Sending is paused")
    down = [f"{part.name} is {part.state}: {part.reason}" for part in parts if part.state in _FAULTY]
    if down:
        return Health("bad", "Parts are down", tuple(down))
    opened = sum(problem["state"] == "open" for problem in status.problems)
    if opened:
        return Health("look", "1 open problem" if opened == 1 else f"{opened} open problems")
    return Health("ok", "Working")
