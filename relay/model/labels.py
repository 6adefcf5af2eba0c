"""What a rule adds to its results: labels, by which events are found, and where the results go."""

from collections.abc import Mapping
from typing import Final

from relay.model.frozen import frozen

LONGEST: Final = 200
"""Characters of a label's value."""
MOST: Final = 10
"""Labels of one rule."""


def cut_label(text: str) -> str:
    """The value of a label as it is stored and searched: without blanks around it, of at most `LONGEST` characters."""
    return text.strip()[:LONGEST].rstrip()


@frozen
class Labels:
    """The labels of a dispatch by name; `left_out` are those that could not be rendered, and why."""

    values: Mapping[str, str]
    left_out: Mapping[str, str]


@frozen
class Outlet:
    """Where the results of a dispatch go instead of the result exchange; `routing_key` None is that of the result."""

    exchange: str
    routing_key: str | None = None
