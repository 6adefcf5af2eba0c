"""Claim, call Cargo, record; look before any blind retry. Open `worker` first, then `reconcile`."""

from relay.dispatch.gate import Gate, Refusal
from relay.dispatch.policy import Policy
from relay.dispatch.reconcile import Reconciler
from relay.dispatch.worker import Worker

__all__ = ["Gate", "Policy", "Reconciler", "Refusal", "Worker"]
