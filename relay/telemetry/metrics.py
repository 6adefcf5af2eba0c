"""Prometheus metrics in their own registry."""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from relay.telemetry.minutes import MinuteCounts
from relay.telemetry.problems import ProblemCounts, monotonic

T = TypeVar("T")

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_MOST_RULES: Final = 200
_NOT_THE_SENDERS: Final = frozenset({"paused", "unavailable"})
"""Reasons of refusals that a person has chosen, or that are a problem of the ledger."""


class _Series(dict[tuple[str, ...], T]):
    """Caches the series of a metric by labels, because prometheus_client checks and locks at each look-up."""

    def __init__(self, find: Callable[..., T]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, labels: tuple[str, ...]) -> T:
        series = self[labels] = self._find(*labels)
        return series


class Metrics:
    """All metrics of a relay. The reference lists their names and labels.

    `problems` counts what goes wrong, `minutes` what happens, until both are written to the ledger. `clock` is that of
    `problems`: milliseconds that go forward.
    """

    def __init__(self, clock: Callable[[], int] = monotonic) -> None:
        self.problems = ProblemCounts(clock)
        self.minutes = MinuteCounts()
        disable_created_metrics()  # type: ignore[no-untyped-call] # they would double the series of counters
        self.registry = registry = CollectorRegistry()
        events = Counter("relay_events", "Events received.", ["source", "outcome"], registry=registry)
        self._events = _Series(events.labels)
        self.rejections = Counter(
            "relay_rejections", "Requests and messages refused.", ["source", "reason"], registry=registry
        )
        self.turned_away = Counter(
            "relay_turned_away",
            "Requests and connections turned away by a cap of a listener.",
            ["listener", "cap"],
            registry=registry,
        )
        self.connections = Gauge("relay_connections", "Open connections.", ["listener"], registry=registry)
        self.held = Gauge(
            "relay_held_bytes", "Bytes of requests that are not answered yet.", ["listener"], registry=registry
        )
        self.ops_refusals = Counter(
            "relay_ops_refusals", "Requests to the ops listener refused.", ["reason"], registry=registry
        )
        chats = Counter("relay_chats", "Dispatches that ended or parked.", ["rule", "outcome"], registry=registry)
        self._chats = _Series(chats.labels)
        messages = Counter("relay_messages", "First messages, by outcome.", ["rule", "outcome"], registry=registry)
        self._messages = _Series(messages.labels)
        skips = Counter(
            "relay_skips", "Rules that matched an event and made no dispatch of it.", ["rule", "why"], registry=registry
        )
        self._skips = _Series(skips.labels)
        calls = Histogram(
            "relay_cargo_request_seconds", "Calls to Cargo.", ["outcome"], buckets=_SECONDS, registry=registry
        )
        self._calls = _Series(calls.labels)
        durations = Histogram(
            "relay_event_to_result_seconds",
            "From an event's arrival to its confirmed result.",
            ["source"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._durations = _Series(durations.labels)
        self.due = Gauge(
            "relay_due_dispatches",
            "Dispatches due now, over all replicas, without work that is paused or rate-limited.",
            registry=registry,
        )
        self.oldest_due = Gauge("relay_oldest_due_seconds", "Age of the oldest due dispatch.", registry=registry)
        self.held_back = Gauge(
            "relay_paused_dispatches",
            "Dispatches that would be due now, over all replicas, were sending not paused.",
            registry=registry,
        )
        self.unfinished = Gauge(
            "relay_unfinished_dispatches", "Dispatches that have not ended, over all replicas.", registry=registry
        )
        self.high_water = Gauge(
            "relay_high_water_ratio",
            "Unfinished dispatches as a fraction of ledger.high_water; from 1 on intake answers 503.",
            registry=registry,
        )
        self.budget = Gauge(
            "relay_budget_used_ratio",
            "The used part of the present window of a rule's budget; 1 is all.",
            ["rule", "of"],
            registry=registry,
        )
        self.in_flight = Gauge("relay_in_flight", "Calls to Cargo under way in this replica.", registry=registry)
        self.parked = Gauge("relay_parked", "Dispatches that wait for a person.", ["reason"], registry=registry)
        self.unpublished = Gauge(
            "relay_unpublished_results", "Results not confirmed yet, over all replicas.", registry=registry
        )
        self.unroutable = Gauge(
            "relay_unroutable_results",
            "Results that the broker returned because no queue is bound.",
            registry=registry,
        )
        self.oldest_transaction = Gauge(
            "relay_ledger_oldest_transaction_seconds",
            "Age of the oldest open transaction in the ledger's database (PostgreSQL).",
            registry=registry,
        )
        self.problems_unresolved = Gauge(
            "relay_problems", "Problems that are not resolved, over all replicas.", ["kind", "state"], registry=registry
        )
        self.paused = Gauge(
            "relay_cargo_paused",
            "1 while all sending is paused for this reason.",
            ["reason"],
            registry=registry,
        )
        last_event = Gauge(
            "relay_source_last_event_timestamp_seconds",
            "Unix time of a source's last event.",
            ["source"],
            registry=registry,
        )
        self._last_event = _Series(last_event.labels)
        self.config_info = Gauge("relay_config_info", "The configuration's hash.", ["hash"], registry=registry)
        self.config_reload = Gauge(
            "relay_config_reload_success", "1 when the latest configuration is in effect.", registry=registry
        )
        self.build_info = Gauge("relay_build_info", "The running version.", ["version"], registry=registry)
        self._rules: set[str] = set()

    def events(self, source: str, outcome: str, count: int, received_at: int) -> None:
        """Count events. `received_at` is when the last one was received, in milliseconds since the epoch."""
        self._events[source, outcome].inc(count)
        self.minutes.event(source, outcome, count)
        self._last_event[source,].set(received_at / 1_000)
        if outcome != "unreadable":
            self.problems.accepted(source)

    def rejected(self, source: str, reason: str) -> None:
        """Count a request or message that was refused, and the problem, unless the reason is none of the sender's."""
        self.rejections.labels(source, reason).inc()
        self.minutes.event(source, "refused", 1)
        if reason not in _NOT_THE_SENDERS and not source.startswith("_"):
            self.problems.saw("rejections", source=source, code=reason)

    def called(self, outcome: str, seconds: float) -> None:
        """Count a call to Cargo and the time it took."""
        self._calls[outcome,].observe(seconds)

    def published(self, source: str, seconds: float) -> None:
        """Count a confirmed result and the seconds since its event was received."""
        self._durations[source,].observe(seconds)
        self.minutes.told(source, seconds)

    def chat(self, rule: str, outcome: str) -> None:
        """Count the outcome of a dispatch. Above 200 rules the label is `_other`, to limit the number of series."""
        self._chats[self._label(rule), outcome].inc()
        self.minutes.chat(rule, outcome)
        if outcome == "created":
            self.problems.made(rule)

    def expect(self, rules: Iterable[str]) -> None:
        """Begin the series of failures of `rules` at 0: an increase is not seen in a series that begins with 1."""
        for rule in rules:
            _ = self._chats[self._label(rule), "failed"]

    def message(self, rule: str, outcome: str) -> None:
        """Count the outcome of a first message: `sent`, `failed`, or `waiting` for the next try."""
        self._messages[self._label(rule), outcome].inc()

    def skip(self, rule: str, why: str) -> None:
        """Count a rule that skipped an event."""
        self._skips[self._label(rule), why].inc()
        self.minutes.skip(rule, why)

    def _label(self, rule: str) -> str:
        if rule not in self._rules:
            if len(self._rules) >= _MOST_RULES:
                return "_other"
            self._rules.add(rule)
        return rule
