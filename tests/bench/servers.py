"""RabbitMQ and PostgreSQL, started when a part first needs them."""

import os
from contextlib import ExitStack
from functools import cached_property

from tests.services.postgres import Database, run_cluster, run_postgres
from tests.services.rabbitmq import Broker, run_rabbitmq


class Servers:
    """`stack` ends them.

    RELAY_TEST_AMQP and RELAY_TEST_POSTGRES name ready servers, for example on another machine.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    @cached_property
    def rabbit(self) -> Broker:
        return self._stack.enter_context(run_rabbitmq())

    @cached_property
    def database(self) -> Database:
        """A private server forces its commits to disk, as in production, which that of the tests does not."""
        ready = os.environ.get("RELAY_TEST_POSTGRES")
        return self._stack.enter_context(run_postgres() if ready else run_cluster(fsync="on"))
