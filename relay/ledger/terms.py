"""What the operator and the deployment decide about a ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Terms:
    """Durations in milliseconds.

    `owner` names this replica. `lease` is how long a claim is held, `settle` how long after the end of a call Cargo
    may still do what it was asked for. `publish` says that there is a broker; without one the commit of a result
    completes its delivery. `high_water` is the number of live dispatches past which intake stops, `remember` how long
    an external id is known, `retain` how long finished events stay, `retain_of` the same for sources with a time of
    their own; events that no rule wanted stay for `retain_unmatched` (if that is shorter), at most `max_unmatched` of
    them. `spacing` is the time between two starts under `cargo.rate`. `timeout` is how
    long PostgreSQL may take for what somebody waits for.
    """

    owner: str
    lease: int = 41_000
    settle: int = 60_000
    publish: bool = True
    high_water: int = 100_000
    remember: int = 90 * 86_400_000
    retain: int = 30 * 86_400_000
    retain_of: Mapping[str, int] = field(default_factory=dict)
    retain_unmatched: int = 7 * 86_400_000
    max_unmatched: int = 100_000
    spacing: float | None = None
    timeout: int = 3_000
