"""The settings of a ledger."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Terms:
    """The settings that the operator and the deployment give. Durations are in milliseconds.

    - `owner` names this replica.
    - `lease` is how long a claim is held.
    - `settle` is how long after the end of a call Cargo may still carry it out.
    - `publish` says that there is a broker; without one the commit of a result completes its delivery.
    - `high_water` is the number of live dispatches above which intake stops.
    - `remember` is how long an external id is remembered.
    - `retain` is how long finished events are kept, `retain_of` the same for sources that have their own duration.
    - `retain_unmatched` is how long events that matched no rule are kept (if that is shorter), `max_unmatched` how many
      of them.
    - `spacing` is the time between two starts under `cargo.rate`; None without a rate.
    - `receivers` are the fingerprints of the URLs that are told of problems.
    - `paused_rules` are the rules that this replica knows to be paused by a person, for `queries.rule_pauses`.
    - `timeout` is how long PostgreSQL may take for an operation with a waiting caller.
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
    receivers: tuple[str, ...] = ()
    paused_rules: frozenset[str] = frozenset()
    timeout: int = 3_000
