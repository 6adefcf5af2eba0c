"""A private RabbitMQ and a private PostgreSQL, because rows kill them."""

from contextlib import ExitStack
from functools import cached_property
from typing import Self

from tests.services.postgres import Cluster, run_cluster
from tests.services.rabbitmq import Node, run_node


class Servers:
    """`stack` ends them. They end with the thread that has started them, too."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def start(self) -> Self:
        """Start both here and now, and not when a row first needs them, while other rows are played."""
        assert self.rabbit
        assert self.postgres
        return self

    @cached_property
    def rabbit(self) -> Node:
        return self._stack.enter_context(run_node())

    @cached_property
    def postgres(self) -> Cluster:
        return self._stack.enter_context(run_cluster())
