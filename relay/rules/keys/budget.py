"""`budget`: what a rule may use of an hour, a day or a month."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator

from relay.model import Event
from relay.rules.check import Known
from relay.rules.keys.key import Key
from relay.rules.scope import Scope
from relay.rules.spec import Fault, RuleSpec
from relay.rules.zones import require_zone
from relay.written.block import Block, default
from relay.written.kinds import QuotaText, ShareText, Text


def _known_zone(name: str) -> str:
    require_zone(name)
    return name


class BudgetBlock(Block):
    """`budget` of a rule."""

    credits: QuotaText | None = default(None)
    """What its chats may use of Cargo's credits in an hour, day or month of the calendar."""
    chats: QuotaText | None = default(None)
    """How many chats it may make in that time."""
    warn: ShareText = default("80%")
    """From which share on it is told in the log, and credits are asked every 30 s."""
    then: Literal["hold", "park"] = default("hold")
    """What becomes of dispatches past it: they wait until the window turns, or for a person."""
    zone: Annotated[Text, AfterValidator(_known_zone)] = default("UTC")
    """Whose calendar counts, for example Europe/Paris."""


def plan_of(block: BudgetBlock) -> dict[str, Any]:
    """What the ledger is asked for at the claim, as a JSON value."""
    return {
        "key": None,
        "chats": block.chats and [block.chats.count, block.chats.unit],
        "credits": block.credits and [block.credits.count, block.credits.unit],
        "warn": block.warn.part,
        "then": block.then,
        "zone": block.zone,
    }


class Budget(Key):
    """Chats count when their dispatch goes to Cargo, credits as Cargo tells them of the chats of the window."""

    name = "budget"
    kind: ClassVar[Any] = BudgetBlock
    about = "What the rule may use of an hour, day or month: {credits, chats, warn, then, zone}; then: hold or park."

    def __init__(self, value: BudgetBlock, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._plan = plan_of(value)
        self._shown = {
            "credits": value.credits and str(value.credits),
            "chats": value.chats and str(value.chats),
            "then": value.then,
            "zone": value.zone,
        }

    @classmethod
    def check(cls, value: BudgetBlock, spec: RuleSpec, known: Known) -> Iterator[Fault]:
        if value.credits is None and value.chats is None:
            yield Fault((cls.name,), 1, "bounds nothing: write credits or chats, for example chats: 200/d")

    def plan(self, event: Event, scope: Scope) -> Any:
        return self._plan

    def show(self, event: Event, scope: Scope) -> Any:
        return self._shown
