"""The relay's processes: killed, stopped, frozen."""

import asyncio
import signal
from functools import partial

from tests.e2e.harness import Relay
from tests.faults.row import Row
from tests.faults.world import World


async def kill(world: World) -> None:
    """SIGKILL at random moments; each is started again at once."""
    for _ in world.turns(6):
        await world.pass_time(world.chance.uniform(0.1, 1.5))
        relay = world.chance.choice(world.replicas)
        world.kill(relay)
        await world.start(relay)
    await world.recover()


async def roll(world: World) -> None:
    """SIGTERM, one replica after the other, as in a rollout."""
    for _ in world.turns(2):
        for relay in world.replicas:
            await world.pass_time(0.5)
            world.faults += 1
            await asyncio.to_thread(relay.stop)
            await world.start(relay)
    await world.recover()
    steps = ("chat.parked", "cargo.paused", "part.failed", "chat.duplicated")
    for step in steps:
        if count := sum(relay.logged(step) for relay in world.replicas):
            world.wrong.append(f"{step} was logged {count} times in an orderly restart")


async def roll_slowly(world: World) -> None:
    """The same, while each call to Cargo takes longer than the grace."""
    world.stream.rate = 3  # what Cargo takes then
    await world.simulator.set_faults(_slow(2.5))
    await roll(world)
    await world.simulator.set_faults(_slow(0.02))


async def stop_twice(world: World) -> None:
    """A second SIGTERM ends a process in the middle of its drain."""
    for _ in world.turns(3):
        await world.pass_time(0.7)
        relay = world.chance.choice(world.replicas)
        world.faults += 1
        world.send(relay, signal.SIGTERM)
        await world.pass_time(0.2)
        if relay.alive():
            world.send(relay, signal.SIGTERM)
        await world.until(partial(_is_over, relay), "a second SIGTERM ends the process")
        relay.kill()
        await world.start(relay)
    await world.recover()


def _is_over(relay: Relay) -> bool:
    return not relay.alive()


async def freeze(world: World) -> None:
    """SIGSTOP for longer than the leases of what the process was sending, then SIGCONT."""
    for _ in world.turns(2):
        await world.pass_time(1)
        relay = world.chance.choice(world.replicas)
        world.faults += 1
        world.send(relay, signal.SIGSTOP)
        await world.pass_time(5)
        world.send(relay, signal.SIGCONT)
    await world.recover()


def _slow(seconds: float):
    from relay.sandbox import Faults

    return Faults(latency=seconds)


ROWS = (
    Row("kill", "SIGKILL at random, started again at once", kill),
    Row("roll", "rolling restarts by SIGTERM", roll, usual="postgres"),
    Row(
        "roll-slow",
        "rolling restarts while calls outlast the grace",
        roll_slowly,
        usual="postgres",
        options={"timeout": "10s", "grace": "1500ms"},
    ),
    Row("stop-twice", "a second SIGTERM during the drain", stop_twice, usual="sqlite"),
    Row("freeze", "SIGSTOP past the lease, then SIGCONT", freeze, usual="postgres", options={"settle": "8s"}),
)
