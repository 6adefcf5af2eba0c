"""The keys of rules hold their promises while replicas are killed."""

from collections import Counter

from tests.faults.process import kill
from tests.faults.row import Row
from tests.faults.world import World

PAIRS = 7
"""The events of so many deals come again and again."""
ONCE = f"""  - name: first
    type: "deal.*"
    once: "{{{{ data.id % {PAIRS} }}}}"
    chat:
      name: "once {{{{ data.id % {PAIRS} }}}}"
      agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a
      trigger: {{type: connector, connectorUuid: 7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f}}
"""
ORDER = f"""  - name: turn
    type: "deal.*"
    order: "{{{{ data.id % {PAIRS} }}}}"
    chat:
      name: "order {{{{ data.id % {PAIRS} }}}} {{{{ data.id }}}}"
      agentUuid: 3c90c3cc-0d44-4b50-8888-8dd25736052a
      trigger: {{type: connector, connectorUuid: 7b0e0a34-6d1f-4f0e-9a55-0c2f7c1d2e3f}}
"""


async def keep_once(world: World) -> None:
    """One chat per key, over all replicas."""
    await kill(world)
    names = Counter(name for name in await _names(world) if name.startswith("once "))
    world.notes.append(f"{len(names)} keys of once")
    if names != Counter(f"once {number}" for number in range(PAIRS)):
        world.wrong.append(f"chats by key of once: {dict(names)}")


async def keep_order(world: World) -> None:
    """One after the other per key, and each once."""
    await kill(world)
    await world.until(lambda: _is_complete(world), "all chats in order are made", within=90)
    names = Counter(name for name in await _names(world) if name.startswith("order "))
    if twice := [name for name, count in names.items() if count > 1]:
        world.wrong.append(f"made twice: {', '.join(twice[:5])}")


async def _is_complete(world: World) -> bool:
    numbers = {int(name.split()[2]) for name in await _names(world) if name.startswith("order ")}
    return {number for number in world.stream.accepted if number < world.stream.started - 100} <= numbers


async def _names(world: World) -> list[str]:
    return [chat["name"] for chat in await world.simulator.chats() if chat["name"]]


ROWS = (
    Row("once", "kills at random, with `once`", keep_once, usual="postgres", options={"rules": ONCE}),
    Row("order", "kills at random, with `order`", keep_order, options={"rules": ORDER}, ledgers=("postgres",)),
)
