"""What the keys of a rule ask for at the claim: the part of a dispatch's plan that decides then."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from relay.ledger.queries.keys.memory import hash_of

Plan = Mapping[str, Any]

STEPS: Final = ("loop", "limit", "budget")
"""The keys that decide at the claim, in their order."""


def is_asked(plan: Plan | None) -> bool:
    """Whether a key decides at the claim."""
    return plan is not None and any(name in plan for name in STEPS)


def places(rule: str, plan: Plan) -> Iterator[bytes]:
    """The hashes of the keys that decide at the claim."""
    for name in STEPS:
        for place, _ in items(rule, name, plan):
            yield place


def items(rule: str, name: str, plan: Plan) -> Iterator[tuple[bytes, Any]]:
    """What a key asks for, several times where it is a list, each with the hash of its rendered key.

    The items of a list have names (`as`), by which they stay the same ones when a person puts another one before them;
    those of a dispatch that an earlier release has kept have none.
    """
    value = plan.get(name)
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield hash_of(f"{name} {item.get('as', number)}", rule, item["key"] or ""), item
    elif value is not None:
        yield hash_of(name, rule, value["key"] or ""), value
