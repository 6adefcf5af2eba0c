"""Log lines and metrics: every name that Relay prints or counts is made here or listed in the reference."""

from relay.telemetry.logs import Log, configure, get_log
from relay.telemetry.metrics import Metrics
from relay.telemetry.status import Part, PartState, Phase, Status
from relay.telemetry.trace import child_of, new_traceparent, trace_id

__all__ = [
    "Log",
    "Metrics",
    "Part",
    "PartState",
    "Phase",
    "Status",
    "child_of",
    "configure",
    "get_log",
    "new_traceparent",
    "trace_id",
]
