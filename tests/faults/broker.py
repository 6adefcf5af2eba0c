"""RabbitMQ: killed, cut, full, and its entities deleted."""

import asyncio
import json
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

from tests.faults.row import Row
from tests.faults.stream import QUEUE
from tests.faults.world import World
from tests.services.rabbitmq import Node
from tests.services.rabbitmq_cluster import run_nodes

CUTS = 50


async def kill(world: World) -> None:
    """SIGKILL of the only node, and a new start with what it kept."""
    node = world.broker
    for _ in world.turns(2):
        await world.pass_time(1)
        world.faults += 1
        await asyncio.to_thread(node.kill)
        await world.pass_time(1)
        await asyncio.to_thread(node.start)
        await world.recover()
    await _check_connections(world)


async def cut(world: World) -> None:
    """All connections are closed, again and again; afterwards there are as many as before, and as many consumers."""
    times = world.times(CUTS)
    close = '[rabbit_networking:close_connection(P, "a fault") || P <- rabbit_networking:connections()]'
    command = f"[begin {close}, timer:sleep(250) end || _ <- lists:seq(1, {times})], ok."
    await asyncio.to_thread(world.broker.ctl, "eval", command)
    world.faults += times
    await world.recover()
    await _check_connections(world)


async def alarm(world: World) -> None:
    """The memory alarm: publishing connections are read no more."""
    for _ in world.turns(2):
        await asyncio.to_thread(world.broker.ctl, "set_vm_memory_high_watermark", "0.00001")
        world.faults += 1
        await world.pass_time(3)
        await asyncio.to_thread(world.broker.ctl, "set_vm_memory_high_watermark", "0.6")
        await world.recover()


async def kill_leader(world: World) -> None:
    """SIGKILL of the node that leads the result queue while results are published, and its return."""
    vhost, killed = _vhost(world), []
    for _ in world.turns(4):
        node = await _leader(world, vhost)
        before = len(world.results.ends)
        await world.until(partial(_has_more, world, before), "results are published")
        world.faults += 1
        killed.append(node.name)
        await asyncio.to_thread(node.kill)
        await world.recover()
        await asyncio.to_thread(node.start)
    world.notes.append(f"{len(set(killed))} of {len(world.broker.nodes)} nodes killed")
    await world.recover()


async def _leader(world: World, vhost: str) -> Node:
    """The node that leads the result queue, waited for until all nodes have it."""
    found: list[Node] = []

    async def look() -> bool:
        node = await asyncio.to_thread(world.broker.leader, vhost, "relay.results")
        found[:] = [node] if node is not None else []
        return bool(found)

    if not await world.until(look, "the result queue has a leader on all three nodes"):
        raise TimeoutError("the result queue has no leader on all three nodes")
    return found[0]


def _has_more(world: World, before: int) -> bool:
    return len(world.results.ends) > before


async def delete_exchange(world: World) -> None:
    """The result exchange is deleted under the publisher."""
    for _ in world.turns(3):
        await world.pass_time(1)
        world.faults += 1
        await asyncio.to_thread(_call, world, "DELETE", "exchanges", "/relay.results")
        await world.recover()


async def _check_connections(world: World) -> None:
    """Two connections and one consumer a replica."""
    wanted = len(world.replicas)

    def consumers() -> bool:
        return _consumers(world) == wanted

    def connections() -> bool:
        return _connections(world) == dict.fromkeys(("relay publish", "relay consume"), wanted)

    if not await world.until(lambda: asyncio.to_thread(consumers), "one consumer a replica"):
        world.notes.append(f"{await asyncio.to_thread(_consumers, world)} consumers")
    if not await world.until(lambda: asyncio.to_thread(connections), "two connections a replica"):
        world.notes.append(f"connections {await asyncio.to_thread(_connections, world)}")


def _consumers(world: World) -> int:
    return sum(each["queue"]["name"] == QUEUE for each in json.loads(_call(world, "GET", "consumers")))


def _connections(world: World) -> dict[str, int]:
    names = [
        each.get("client_properties", {}).get("connection_name", "")
        for each in json.loads(_call(world, "GET", "connections", by="vhosts"))
        if each.get("state") in {"running", "flow", "blocked"}
    ]
    return {name: names.count(name) for name in sorted(set(names)) if name.startswith("relay ")}


def _call(world: World, method: str, kind: str, rest: str = "", *, by: str = "") -> Any:
    vhost = quote(_vhost(world), safe="")
    path = f"/vhosts/{vhost}/{kind}" if by else f"/{kind}/{vhost}{rest}"
    return world.broker.call(method, path)


def _vhost(world: World) -> str:
    return urlsplit(world.amqp.split()[0]).path[1:]


ROWS = (
    Row("broker-kill", "RabbitMQ killed and started again", kill, usual="sqlite"),
    Row("broker-leader", "the leader of a cluster's queue killed", kill_leader, usual="sqlite", broker=run_nodes),
    Row("broker-cut", "all connections closed, 50 times", cut, usual="postgres"),
    Row("broker-alarm", "RabbitMQ's memory alarm", alarm, ledgers=("sqlite",)),
    Row("exchange-deleted", "the result exchange deleted", delete_exchange, ledgers=("sqlite",)),
)
