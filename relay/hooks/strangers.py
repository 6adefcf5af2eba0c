"""Limits refused requests per address: above the limit, requests are answered before they are read."""

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
"""Private networks. A peer in them is likely the operator's own proxy, which forwards all senders."""


class Strangers:
    """Counts refused requests by source and party. `rate` is the allowed rate, with bursts of ten times its count.

    Trouble at one source does not affect others. Each verified request makes up for a refused one, so that valid
    requests pass when a vendor's address is shared, or when one of its secrets is old. `monotonic` returns
    milliseconds. At most 4,096 pairs are remembered.
    """

    def __init__(self, rate: Rate | None, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._buckets: OrderedDict[tuple[str, str], Bucket] = OrderedDict()

    def wait(self, source: str, party: str) -> float:
        """The milliseconds until a request of this party is read again; 0 when it is read now."""
        bucket = self._buckets.get((source, party))
        return 0.0 if bucket is None else bucket.wait(self._monotonic())

    def refused(self, source: str, party: str) -> None:
        """Count a refused request."""
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
        """Count a verified request."""
        bucket = self._buckets.get((source, party))
        if bucket is not None:
            bucket.give()


@lru_cache(maxsize=1_024)
def _is_inside(party: str) -> bool:
    try:
        network = ipaddress.ip_network(party)
    except ValueError:
        return True  # not an address: a socket of this machine
    return any(network.version == inside.version and network.network_address in inside for inside in _INSIDE)
