"""What an operator is told when dead letters cannot be sent back."""

import asyncio
from types import SimpleNamespace
from unittest.mock import sentinel

import pytest

from relay.app.operations import Desk
from relay.broker import Address, BrokerFault, Link
from relay.config import Settings
from relay.errors import Conflict
from relay.secret import Secret


class Marked:
    """The part of an archive that is used."""

    def __init__(self):
        self.ids = []

    async def requeued(self, letter_ids, deed):
        assert deed is None, "nothing was done"
        self.ids += letter_ids


def desk(link):
    unused = [sentinel.unused] * 10
    settings = Settings.model_validate({"cargo": {"token": "t"}})
    intake, *others = unused
    reloads = SimpleNamespace(force=SimpleNamespace(settings=settings))
    return Desk(Marked(), sentinel.unused, intake, reloads, *others, link=link)


async def test_without_a_broker_the_operator_is_told_so():
    with pytest.raises(Conflict, match="this relay has no broker, so it has no dead letters"):
        await desk(None).requeue(None, source=None)


async def test_while_rabbitmq_is_away_it_is_a_fault_that_passes():
    link = Link(Address(Secret("amqp://127.0.0.1:1/")), "test", report=lambda *_: None)
    async with asyncio.timeout(10):
        with pytest.raises(BrokerFault, match="not connected to"):
            await desk(link).requeue(["l1"], source=None)
