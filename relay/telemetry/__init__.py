"""Log lines, metrics, the status of parts and trace context. The reference lists all log events and metrics."""

from relay.telemetry.logs import Log, configure, get_log
from relay.telemetry.metrics import Metrics
from relay.telemetry.minutes import BOUNDS, COUNTS, TOOK, MinuteCounts, MinuteTally, class_of
from relay.telemetry.problems import DETAIL, LASTS, Counted, ProblemCounts, Tally
from relay.telemetry.status import Part, PartState, Phase, Reporter, Status
from relay.telemetry.trace import adopt, child_of, new_traceparent, trace_id
from relay.telemetry.tracing import Span, SpanRole, Tracing, open_tracing, outgoing

__all__ = [
    "BOUNDS",
    "COUNTS",
    "DETAIL",
    "LASTS",
    "TOOK",
    "Counted",
    "Log",
    "Metrics",
    "MinuteCounts",
    "MinuteTally",
    "Part",
    "PartState",
    "Phase",
    "ProblemCounts",
    "Reporter",
    "Span",
    "SpanRole",
    "Status",
    "Tally",
    "Tracing",
    "adopt",
    "child_of",
    "class_of",
    "configure",
    "get_log",
    "new_traceparent",
    "open_tracing",
    "outgoing",
    "trace_id",
]
