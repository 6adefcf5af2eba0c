"""accept(): match, render, commit. What comes back from here is on disk."""

from relay.intake.accept import Intake, Suspect
from relay.intake.again import replay, retry

__all__ = ["Intake", "Suspect", "replay", "retry"]
