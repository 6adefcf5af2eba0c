"""Implements the port Rates: what is counted, and what is used."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol, TypeVar

from relay.ledger.engine.commit import Work
from relay.ledger.queries import rates
from relay.ledger.terms import Terms
from relay.model import Loads, Measured, RateQuery, Usage
from relay.telemetry import MinuteTally

T = TypeVar("T")


class RatesBase(Protocol):
    """What SqlRates needs of the class that inherits from it."""

    terms: Terms

    async def write(self, operation: Work[T], *, slow: bool = False) -> T: ...

    async def read(self, operation: Work[T], *, slow: bool = False) -> T: ...

    async def browse(self, operation: Work[T]) -> T: ...


class SqlRates:
    """The port Rates, which documents each method."""

    async def count(self: RatesBase, tally: MinuteTally) -> None:
        await self.write(partial(rates.count, tally=tally, terms=self.terms))

    async def rates(self: RatesBase, query: RateQuery) -> Sequence[Measured]:
        return await self.browse(partial(rates.rates, query=query))

    async def totals(self: RatesBase, kind: str, since: int) -> Mapping[str, Measured]:
        return await self.browse(partial(rates.totals, kind=kind, since=since))

    async def loads(self: RatesBase) -> Loads:
        return await self.browse(rates.loads)

    async def used(self: RatesBase, since: int, until: int) -> Sequence[Usage]:
        return await self.browse(partial(rates.used, since=since, until=until))

    async def credits_asked_ago(self: RatesBase) -> int | None:
        return await self.read(rates.asked_ago)

    async def rules_of(self: RatesBase, dispatch_ids: Sequence[str]) -> Mapping[str, str]:
        return await self.read(partial(rates.rules_of, dispatch_ids=dispatch_ids))

    async def keep_credits(self: RatesBase, day: int, credits_by_rule: Mapping[str, float]) -> None:
        await self.write(partial(rates.keep_credits, day=day, credits_by_rule=credits_by_rule))
