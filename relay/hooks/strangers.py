"""Addresses whose requests are refused too often: their next ones are answered before they are read."""

import ipaddress
from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from relay.limits import Bucket
from relay.units import Rate

_REMEMBERED: Final = 4_096
_BURSTS: Final = 10
_INSIDE: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
            "fc00::/7", "fe80::/10", "::1/128",
        ),
    )
)  # fmt: skip
"""Networks that no stranger of the internet calls from: such a peer is a proxy of the operator's own, for everybody."""


class Strangers:
    """Counts what was refused, by source and party. `rate` is how much of it is borne, ten times as much at once.

    What is wrong with one source so stops no other, and each request that proves itself makes up for one that was
    refused: where a vendor's address is a stranger's too, or one of its secrets is old, the right ones still pass.
    `monotonic` gives milliseconds. It remembers 4,096 of them.
    """

    def __init__(self, rate: Rate | None, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()

    def wait(self, source: str, party: str) -> float:
        """Milliseconds for which it is not heard, 0 when it is."""
        bucket = self._buckets.get((source, party))
        return 0.0 if bucket is None else bucket.wait(self._monotonic())

    def refused(self, source: str, party: str) -> None:
        """One request was refused."""
        if self._rate is None or _is_inside(party):
            return
        key = (source, party)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(_BURSTS * self._rate.count, self._rate.spacing)
            if len(self._buckets) > _REMEMBERED:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        bucket.take(self._monotonic())

    def proved(self, source: str, party: str) -> None:
        """One request proved itself."""
        bucket = self._buckets.get((source, party))
        if bucket is not None:
            bucket.give()


@lru_cache(maxsize=1_024)
def _is_inside(party: str) -> bool:
    try:
        network = ipaddress.ip_network(party)
    except ValueError:
        return True  # no address at all: a socket of this machine
    return any(network.version == inside.version and network.network_address in inside for inside in _INSIDE)
