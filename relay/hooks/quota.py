"""What one source may take of the listener: requests a second, and bytes in flight."""

from collections.abc import Callable

from relay.hooks.connection import Connection
from relay.hooks.hook import Bounds, Hook
from relay.hooks.pool import Pool
from relay.limits import Bucket


class _Quota:
    """The counts of one source, for as long as its bounds are these."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.bucket = None if bounds.rate is None else Bucket(bounds.burst or bounds.rate.count, bounds.rate.spacing)
        self.pool: Pool[Connection] | None = None if bounds.in_flight is None else Pool(bounds.in_flight)


class Quotas:
    """The counts of all sources. `monotonic` gives milliseconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._quotas: dict[str, _Quota] = {}

    def enter(self, hook: Hook, connection: Connection) -> None:
        """What this connection holds counts for the source as well. Raises `Crowded`."""
        pool = None if hook.bounds.in_flight is None else self._of(hook).pool
        if pool is not None:
            connection.join(pool)

    def wait(self, hook: Hook) -> float:
        """Milliseconds until the source may have one more request; 0 when it may have this one, which is counted."""
        bucket = None if hook.bounds.rate is None else self._of(hook).bucket
        if bucket is None or bucket.take(self._monotonic()):
            return 0.0
        return bucket.wait(self._monotonic())

    def _of(self, hook: Hook) -> _Quota:
        """A source that is made anew with the same bounds goes on counting."""
        quota = self._quotas.get(hook.name)
        if quota is None or quota.bounds != hook.bounds:
            quota = self._quotas[hook.name] = _Quota(hook.bounds)
        return quota
