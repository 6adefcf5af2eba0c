"""A private RabbitMQ and a private PostgreSQL, started when a row first needs them, because rows kill them."""

from contextlib import ExitStack
from functools import cached_property

from tests.services.postgres import Cluster, run_cluster
from tests.services.rabbitmq import Node, run_node


class Servers:
    """`stack` ends them."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    @cached_property
    def rabbit(self) -> Node:
        return self._stack.enter_context(run_node())

    @cached_property
    def postgres(self) -> Cluster:
        return self._stack.enter_context(run_cluster())
