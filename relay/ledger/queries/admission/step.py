"""The port of a key that decides at the claim: whether a dispatch goes to Cargo, and what becomes of it if not."""

from typing import Any, Protocol

from relay.model import Failure, ParkReason, State, frozen


@frozen
class Moment:
    """A dispatch at a claim. `run` is above 1 where a person sends it again.

    `now` is the ledger's time, `at` the latest time at which its call starts, both in milliseconds. `is_fresh` says
    that its run was not claimed before. `follows` says that it goes on in the chat of its thread and makes none,
    `renews` that it found that chat gone: the one that it makes now counts, but it has begun, and goes.
    """

    now: int
    at: int
    run: int
    is_fresh: bool
    follows: bool = False
    renews: bool = False


@frozen
class Stay:
    """What becomes of a dispatch that does not go: it is `parked`, `suppressed`, `expired`, or `held` until a time.

    `begins` says that it is the first one of a loop: its problem is opened by the same commit.
    """

    to: State
    failure: Failure
    park: ParkReason | None = None
    until: int | None = None
    begins: bool = False


@frozen
class ClaimRuling:
    """What a key says. `value` is remembered under its hash until `expires_at`; None leaves what is there."""

    stay: Stay | None = None
    value: Any = None
    expires_at: int = 0


class ClaimStep(Protocol):
    """One key's step at the claim, a pure function."""

    def __call__(self, plan: Any, known: Any, moment: Moment, /) -> ClaimRuling:
        """`plan` is what the key asks for, `known` the value that is remembered under its hash, None for none."""
        ...
