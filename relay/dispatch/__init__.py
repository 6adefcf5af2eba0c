"""Claims dispatches, calls Cargo, records the outcome. An unknown outcome is reconciled before any retry.

Start with `worker`, then read `reconcile`.
"""

from relay.dispatch.budgets import BudgetWatch, Plans
from relay.dispatch.credits import CreditWatch
from relay.dispatch.gate import Gate, Refusal
from relay.dispatch.policy import Policy
from relay.dispatch.reconcile import Reconciler
from relay.dispatch.worker import Worker

__all__ = ["BudgetWatch", "CreditWatch", "Gate", "Plans", "Policy", "Reconciler", "Refusal", "Worker"]
