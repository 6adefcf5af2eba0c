"""The widths of a table's columns. Words are not broken: columns are left out, or rows become cards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

GAP: Final = 2
"""The number of blanks between two columns."""
NARROW: Final = 100
"""On terminals below this width the spare columns are left out, before rows become cards."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column's minimum and natural width in cells. `spare` columns are left out on a narrow terminal."""

    least: int
    most: int
    spare: bool = False


def fit(columns: Sequence[Column], width: int) -> dict[int, int] | None:
    """The widths of the shown columns by their numbers, None when only cards fit into `width`."""
    shown = dict(enumerate(columns))
    spare = [number for number, column in shown.items() if column.spare] if width < NARROW else []
    while (room := width - GAP * (len(shown) - 1)) < sum(column.least for column in shown.values()):
        if not spare:
            return None
        del shown[spare.pop()]
    return _share(shown, room)


def _share(shown: dict[int, Column], room: int) -> dict[int, int]:
    """Give each column its minimum width, then the rest to the columns that lack the least first."""
    widths = {number: column.least for number, column in shown.items()}
    left = room - sum(widths.values())
    growing = sorted(shown, key=lambda number: shown[number].most - shown[number].least)
    for position, number in enumerate(growing):
        more = min(shown[number].most - widths[number], left // (len(growing) - position))
        widths[number] += more
        left -= more
    return widths
