"""How wide the columns of a table are: no word is ever broken; what does not fit is left out, or becomes cards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

GAP: Final = 2
"""Blanks between two columns."""
NARROW: Final = 100
"""Terminals below this width do without columns that are of less use, before they get cards."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column's least and natural width in cells. `spare`: a narrow terminal can do without it."""

    least: int
    most: int
    spare: bool = False


def fit(columns: Sequence[Column], width: int) -> dict[int, int] | None:
    """The widths of the columns that are shown, by their numbers; None when nothing but cards fits into `width`."""
    shown = dict(enumerate(columns))
    spare = [number for number, column in shown.items() if column.spare] if width < NARROW else []
    while (room := width - GAP * (len(shown) - 1)) < sum(column.least for column in shown.values()):
        if not spare:
            return None
        del shown[spare.pop()]
    return _share(shown, room)


def _share(shown: dict[int, Column], room: int) -> dict[int, int]:
    """Every column gets its least width; what is left goes to those first that want the least more."""
    widths = {number: column.least for number, column in shown.items()}
    left = room - sum(widths.values())
    hungry = sorted(shown, key=lambda number: shown[number].most - shown[number].least)
    for place, number in enumerate(hungry):
        more = min(shown[number].most - widths[number], left // (len(hungry) - place))
        widths[number] += more
        left -= more
    return widths
