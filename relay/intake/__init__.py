"""Accepts events: matches the rules, renders the dispatches, commits. Once it returns, they are on disk."""

from relay.intake.accept import Intake, Suspect
from relay.intake.again import log_act, replay, retry
from relay.intake.jobs import JobRunner, report_end
from relay.intake.windows import Closer

__all__ = ["Closer", "Intake", "JobRunner", "Suspect", "log_act", "replay", "report_end", "retry"]
