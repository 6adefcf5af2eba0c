"""The limits of single sources: requests per second, and bytes in flight."""

from collections.abc import Callable

from relay.hooks.connection import Connection
from relay.hooks.hook import Bounds, Hook
from relay.hooks.pool import Pool
from relay.limits import Bucket


class _Quota:
    """The counters of a source with these bounds."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.bucket = None if bounds.rate is None else Bucket(bounds.burst or bounds.rate.count, bounds.rate.spacing)
        self.pool: Pool[Connection] | None = None if bounds.in_flight is None else Pool(bounds.in_flight)


class Quotas:
    """The counters of all sources. `monotonic` returns milliseconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._quotas: dict[str, _Quota] = {}

    def enter(self, hook: Hook, connection: Connection) -> None:
        """Count the bytes of this connection for the source too. Raises `Crowded`."""
        pool = None if hook.bounds.in_flight is None else self._of(hook).pool
        if pool is not None:
            connection.join(pool)

    def wait(self, hook: Hook) -> float:
        """Count a request. Returns 0 when the limit allows it, otherwise the milliseconds until it does."""
        bucket = None if hook.bounds.rate is None else self._of(hook).bucket
        if bucket is None or bucket.take(self._monotonic()):
            return 0.0
        return bucket.wait(self._monotonic())

    def _of(self, hook: Hook) -> _Quota:
        """The counters of a source, which are kept when it is rebuilt with the same bounds."""
        quota = self._quotas.get(hook.name)
        if quota is None or quota.bounds != hook.bounds:
            quota = self._quotas[hook.name] = _Quota(hook.bounds)
        return quota
