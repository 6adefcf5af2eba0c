"""Time zones by name (IANA's)."""

from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones


@lru_cache(maxsize=1)
def zones() -> frozenset[str]:
    """The names of all of them."""
    return frozenset(available_timezones())


def require_zone(name: str) -> ZoneInfo:
    """The zone. Raises ValueError with what would be right."""
    if name not in zones():
        raise ValueError(f"there is no time zone {name!r}: write one of IANA's, as Europe/Paris or UTC")
    return ZoneInfo(name)
