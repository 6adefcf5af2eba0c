"""Accepts events: matches the rules, renders the dispatches, commits. Once it returns, they are on disk."""

from relay.intake.accept import Intake, Suspect
from relay.intake.again import replay, retry

__all__ = ["Intake", "Suspect", "replay", "retry"]
