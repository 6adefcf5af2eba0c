"""A row of the table: one kind of fault."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.tally import Lists
from tests.faults.world import World

BOTH = ("sqlite", "postgres")


@dataclass(frozen=True, slots=True)
class Row:
    """`act` makes the faults while events flow. `options` are those of the replicas (tests.e2e.harness.Relay)."""

    name: str
    what: str
    act: Callable[[World], Awaitable[None]]
    ledgers: tuple[str, ...] = BOTH
    options: Mapping[str, Any] = field(default_factory=dict)
    usual: str = ""
    """The ledger on which it is played when there are ten minutes; empty means all of `ledgers`."""
    disk: Callable[[Path], AbstractContextManager[None]] | None = None
    """What is mounted at the ledger's folder."""
    broker: Callable[[], AbstractContextManager[Any]] | None = None
    """The RabbitMQ of this row alone; its `vhost()` gives the addresses of its nodes, separated by spaces."""
    database: Callable[[], AbstractContextManager[Any]] | None = None
    """The PostgreSQL of this row alone."""
    check: Callable[[World, Lists], Awaitable[Iterable[str]]] | None = None
    """What else is wrong with the four lists at the end."""
    able: Callable[[], bool] = lambda: True
    """Whether this machine can play it."""
