"""What became of a dispatch is logged and counted alike, whoever made it: intake, a window, a person."""

import pytest
from structlog.testing import capture_logs

from relay.intake import Closer, Intake, replay
from relay.life import Signals
from relay.model import new_id
from relay.rules import RuleSpec, compile_rules
from relay.rules.keys.debounce import DebounceBlock
from relay.rules.keys.once import OnceBlock
from relay.telemetry import Metrics
from tests.ledger.build import make_event

CHAT = {"trigger": {"type": "draft"}, "name": "{{ data.ticket }}"}
NOW = 1_700_000_000_000


class Bench:
    """An intake and the windows' closer on a ledger, and what they have logged and counted."""

    def __init__(self, ledger, **rule):
        self.ledger, self.metrics, self.signals = ledger, Metrics(), Signals()
        self.rules = compile_rules([RuleSpec("urgent", **{"chat": CHAT} | rule)], {})
        shared = {"signals": self.signals, "metrics": self.metrics, "boottime": lambda: 0}
        self.intake = Intake(ledger, compile_rules([], {}), high_water=100, ids=new_id, clock=lambda: NOW, **shared)
        self.closer = Closer(ledger, lambda _: self.rules, **shared)

    async def accept(self, **data):
        """An event; its report comes a turn of the loop after it."""
        [receipt] = await self.intake.accept([make_event(body=data)])
        await self.ledger.event(receipt.id)
        return receipt.id

    async def replay(self, event_id):
        rest = {"ids": new_id, "clock": lambda: NOW, "metrics": self.metrics}
        return await replay(self.ledger, self.rules, event_id, again=False, **rest)

    def count(self, outcome):
        labels = {"rule": "urgent", "outcome": outcome}
        return self.metrics.registry.get_sample_value("relay_chats_total", labels) or 0


def chats(lines):
    return [(line["event"], line["log_level"]) for line in lines if line["event"].startswith("chat.")]


def keyed(block, **rest):
    return {type(block).__name__.removesuffix("Block").lower(): block, **rest}


async def test_a_replay_that_cannot_be_rendered_is_a_failed_chat_and_a_problem(ledger):
    bench = Bench(ledger)
    event_id = await bench.accept(other=1)
    with capture_logs() as lines:
        [(dispatch_id, _)] = await bench.replay(event_id)
    assert chats(lines) == [("chat.failed", "error")]
    [(named, counted)] = bench.metrics.problems.take().seen.items()
    assert named == ("failures", None, "urgent", "render", "data.ticket")
    assert (counted.count, counted.event_id, counted.dispatch_id) == (1, event_id, dispatch_id)
    assert bench.count("failed") == 1


async def test_a_replay_whose_chat_another_dispatch_has_is_no_failure(ledger):
    bench = Bench(ledger, keys=keyed(OnceBlock(key="{{ data.ticket }}")))
    first, second = [await bench.accept(ticket="a") for _ in range(2)]
    with capture_logs() as lines:
        await bench.replay(first)
        await bench.replay(second)
    assert chats(lines) == [("chat.suppressed", "info")]
    assert (bench.count("suppressed"), bench.count("failed")) == (1, 0)
    assert not bench.metrics.problems.take().seen


@pytest.mark.parametrize("keep", ["first", "last", "all"])
async def test_events_of_a_window_that_make_no_chat_are_superseded_and_no_failure(ledger, keep):
    bench = Bench(ledger, keys=keyed(DebounceBlock(key="{{ data.ticket }}", wait="1ms", max="1h", keep=keep)))
    bench.intake.use(bench.rules, high_water=100)
    with capture_logs() as lines:
        await _gather(bench)
        while (await bench.ledger.next_close()) is not None:
            await bench.closer.turn()
    assert set(chats(lines)) - {("chat.held", "debug")} == {("chat.superseded", "info")}
    assert (bench.count("superseded"), bench.count("failed")) == (2, 0)
    assert not bench.metrics.problems.take().seen


async def _gather(bench):
    events = [make_event(body={"ticket": "a"}) for _ in range(3)]
    receipts = await bench.intake.accept(events)
    await bench.ledger.event(receipts[-1].id)


async def test_a_window_whose_chat_cannot_be_rendered_is_a_problem(ledger):
    keys = keyed(DebounceBlock(key="{{ data.ticket }}", wait="1ms", max="1h", keep="all"))
    bench = Bench(ledger, chat=CHAT | {"name": "{{ events[0].data.gone }}"}, keys=keys)
    bench.intake.use(bench.rules, high_water=100)
    with capture_logs() as lines:
        await _gather(bench)
        while (await bench.ledger.next_close()) is not None:
            await bench.closer.turn()
    assert ("chat.failed", "error") in chats(lines)
    assert [named[:4] for named in bench.metrics.problems.take().seen] == [("failures", None, "urgent", "render")]
    assert bench.count("failed") == 1
