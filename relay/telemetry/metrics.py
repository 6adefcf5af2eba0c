"""Prometheus metrics, in a registry of their own."""

from collections.abc import Callable
from typing import Final, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

T = TypeVar("T")

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_MOST_RULES: Final = 200


class _Series(dict[tuple[str, ...], T]):
    """The series of a metric by their labels: prometheus_client checks and locks at each look-up of its own."""

    def __init__(self, find: Callable[..., T]) -> None:
        super().__init__()
        self._find = find

    def __missing__(self, labels: tuple[str, ...]) -> T:
        series = self[labels] = self._find(*labels)
        return series


class Metrics:
    """Every metric of a relay; names and labels are DESIGN's."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each counter, which nobody asks for
        self.registry = registry = CollectorRegistry()
        events = Counter("relay_events", "Events that came in.", ["source", "outcome"], registry=registry)
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
            "relay_held_bytes", "Bytes that came in and are not answered yet.", ["listener"], registry=registry
        )
        self.ops_refusals = Counter(
            "relay_ops_refusals", "Requests to the ops listener refused.", ["reason"], registry=registry
        )
        chats = Counter("relay_chats", "Dispatches that ended or parked.", ["rule", "outcome"], registry=registry)
        self._chats = _Series(chats.labels)
        messages = Counter(
            "relay_messages", "First messages that were said, or not.", ["rule", "outcome"], registry=registry
        )
        self._messages = _Series(messages.labels)
        calls = Histogram(
            "relay_cargo_request_seconds", "Calls to Cargo.", ["outcome"], buckets=_SECONDS, registry=registry
        )
        self._calls = _Series(calls.labels)
        ways = Histogram(
            "relay_event_to_result_seconds",
            "From an event's arrival to its confirmed result.",
            ["source"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._ways = _Series(ways.labels)
        self.due = Gauge(
            "relay_due_dispatches",
            "Dispatches due now, over all replicas, without work that is paused or rate-limited.",
            registry=registry,
        )
        self.oldest_due = Gauge("relay_oldest_due_seconds", "Age of the oldest due dispatch.", registry=registry)
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
        self.paused = Gauge(
            "relay_cargo_paused",
            "1 while all sending is paused for this reason.",
            ["reason"],
            registry=registry,
        )
        last_event = Gauge(
            "relay_source_last_event_timestamp_seconds",
            "When a source's last event came in, Unix time.",
            ["source"],
            registry=registry,
        )
        self._last_event = _Series(last_event.labels)
        self.config_info = Gauge("relay_config_info", "The configuration's hash.", ["hash"], registry=registry)
        self.config_reload = Gauge(
            "relay_config_reload_success", "1 when the newest configuration is in force.", registry=registry
        )
        self.build_info = Gauge("relay_build_info", "The running version.", ["version"], registry=registry)
        self._rules: set[str] = set()

    def events(self, source: str, outcome: str, count: int, received_at: int) -> None:
        """Count events, the last of which came in at `received_at`, in milliseconds since the epoch."""
        self._events[source, outcome].inc(count)
        self._last_event[source,].set(received_at / 1_000)

    def called(self, outcome: str, seconds: float) -> None:
        """Count a call to Cargo and the time it took."""
        self._calls[outcome,].observe(seconds)

    def published(self, source: str, seconds: float) -> None:
        """Count a confirmed result and the time since its event came in."""
        self._ways[source,].observe(seconds)

    def chat(self, rule: str, outcome: str) -> None:
        """Count the outcome of a dispatch; past 200 rules the label is `_other`, so that series stay bounded."""
        self._chats[self._label(rule), outcome].inc()

    def message(self, rule: str, outcome: str) -> None:
        """Count the outcome of a first message: `sent`, `failed`, or `waiting` for its next try."""
        self._messages[self._label(rule), outcome].inc()

    def _label(self, rule: str) -> str:
        if rule not in self._rules:
            if len(self._rules) >= _MOST_RULES:
                return "_other"
            self._rules.add(rule)
        return rule
