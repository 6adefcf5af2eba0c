"""From webhook to result: Relay on its ledgers, the floor and the peers take turns, in a burst and at a steady rate."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.load import Burst, Pace, burst, forward, pace, warm
from tests.bench.processes import Service, peer, relay
from tests.bench.servers import Servers
from tests.bench.sizes import Sizes

SQLITE, POSTGRES, PAIR = "SQLite", "PostgreSQL", "PostgreSQL, two replicas"
DURABLE, MEMORY = "FastStream", "FastAPI in memory"
LOOP = "bare loop"


@dataclass(frozen=True, slots=True)
class Measured:
    """What each contestant, by name, did in each round."""

    bursts: dict[str, list[Burst]] = field(default_factory=dict)
    paces: dict[str, list[Pace]] = field(default_factory=dict)


@contextmanager
def contestants(folder: Path, cargo: str, servers: Servers, *, pair: bool, peers: bool) -> Iterator[list[Service]]:
    """All of them at once: one that is not in its turn uses next to nothing. Each has a virtual host of its own."""
    with ExitStack() as stack:

        def room(name: str) -> Path:
            place = folder / name
            place.mkdir()
            return place

        def vhost() -> str:
            return stack.enter_context(servers.rabbit.vhost())

        def url() -> str:
            return stack.enter_context(servers.database.database())

        chosen = [relay(SQLITE, room("sqlite"), cargo=cargo, amqp=vhost())]
        chosen += [relay(POSTGRES, room("postgres"), cargo=cargo, amqp=vhost(), ledger=url())]
        if pair:
            chosen += [relay(PAIR, room("pair"), cargo=cargo, amqp=vhost(), ledger=url(), replicas=2)]
        if peers:
            chosen += [peer(DURABLE, room("durable"), "durable", cargo=cargo, amqp=vhost())]
            chosen += [peer(MEMORY, room("memory"), "memory", cargo=cargo, amqp=vhost())]
        yield [stack.enter_context(each) for each in chosen]


def run_bursts(services: list[Service], sizes: Sizes, measured: Measured, floor: tuple[Path, str, str] | None) -> None:
    """`floor` is the folder, broker and Cargo of the bare loop."""
    for service in services:
        warm(service, 300)
    for _ in range(sizes.rounds):
        if floor is not None:
            measured.bursts.setdefault(LOOP, []).append(forward(*floor, sizes.events))
        for service in services:
            measured.bursts.setdefault(service.name, []).append(burst(service, sizes.events))


def run_paces(services: list[Service], sizes: Sizes, measured: Measured) -> None:
    """Two replicas are left out: an everyday rate needs one."""
    for _ in range(sizes.turns):
        for service in services:
            if service.name != PAIR:
                measured.paces.setdefault(service.name, []).append(pace(service, sizes.rate, sizes.seconds))
