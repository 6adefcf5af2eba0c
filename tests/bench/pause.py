"""What a pause costs by itself: the same work, done again and again at once, or every 5 ms as events come at 200/s.

Between events other processes and other tenants of the machine use its caches, so that the code and the objects of any
program have to be fetched anew. The ratio says how much of a dearer event is the machine's.
"""

import time

from relay.rules import RuleSpec, compile_rules
from tests.bench.rules import CHAT
from tests.ledger.build import make_event

ROUNDS = 400
PAUSE = 0.005
"""Seconds."""


def pause_costs() -> tuple[float, float]:
    """Microseconds of processor time for a match with a rule: after a pause, and without one."""
    rules = compile_rules([RuleSpec("deal", chat=CHAT, when='data.ticket == 1 or data.note | upper == "X"')], {})
    events = [make_event() for _ in range(ROUNDS)]

    def measure(pause: float) -> float:
        taken = 0
        for event in events:
            time.sleep(pause)  # which is what is measured
            began = time.thread_time_ns()
            rules.match(event)
            taken += time.thread_time_ns() - began
        return taken / ROUNDS / 1_000

    measure(0)
    return measure(PAUSE), measure(0)
