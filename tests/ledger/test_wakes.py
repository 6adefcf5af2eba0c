"""What the intake wakes the worker for: dispatches that can be claimed, and none that a key of their rule holds."""

import pytest

from relay.config.rule import Rule
from relay.intake import Intake
from relay.life import Signals
from relay.model import new_id
from relay.rules import compile_rules
from relay.telemetry import Metrics
from tests.ledger.build import make_event, offered

CHAT = {"trigger": {"type": "draft"}}


def intake_of(ledger, signals, offers, **keys):
    rules = compile_rules([Rule.model_validate({"name": "urgent", "chat": CHAT} | keys).spec], {})
    quiet = {"metrics": Metrics(), "clock": lambda: 0, "boottime": lambda: 0}
    return Intake(ledger, rules, high_water=1_000, ids=new_id, signals=signals, offers=offers, **quiet)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("keys", "offers", "wakes"),
    [
        ({}, lambda _: None, True),
        ({}, offered, False),
        ({"delay": "1h"}, lambda _: None, False),
    ],
    ids=["ready", "born claimed", "held"],
)
async def test_the_worker_is_woken_for_what_can_be_claimed(ledger, keys, offers, wakes):
    signals = Signals()
    await intake_of(ledger, signals, offers, **keys).accept([make_event()])
    assert signals.work.is_set is wakes
