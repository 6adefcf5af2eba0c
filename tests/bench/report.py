"""What was measured: lines for people, or the same as JSON."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Literal

Better = Literal["at least", "at most"]


@dataclass(frozen=True, slots=True)
class Aim:
    """What the ratio should be, or with a `unit` the measured value."""

    better: Better
    value: float
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.better} {self.value:g}{f' {self.unit}' if self.unit else ''}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value. `against` is what it is compared with in the same rounds, `ratio` the value over that."""

    part: str
    what: str
    value: float
    unit: str
    against: str = ""
    other: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    rounds: int = 1
    aim: str = ""


class Report:
    """Prints figures as they come, or with `as_json` all of them at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._part = ""
        self.figures: list[Figure] = []

    def begin(self, part: str, title: str) -> None:
        self._part = part
        self.say(f"\n{title}")

    def say(self, text: str) -> None:
        """A line that is not a figure."""
        if not self._as_json:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def value(self, what: str, value: float, unit: str, aim: Aim | None = None) -> None:
        figure = Figure(self._part, what, value, unit, aim=str(aim or ""))
        self._add(figure, f"{what}: {show(value, unit)}")

    def compare(
        self,
        what: str,
        values: Sequence[float],
        unit: str,
        against: str,
        others: Sequence[float],
        aim: Aim | None = None,
    ) -> None:
        """Both medians, and the median of the ratios of each round with their range."""
        ratios = sorted(value / max(other, 1e-9) for value, other in zip(values, others, strict=True))
        figure = Figure(
            part=self._part,
            what=what,
            value=median(values),
            unit=unit,
            against=against,
            other=median(others),
            ratio=median(ratios),
            low=ratios[0],
            high=ratios[-1],
            rounds=len(ratios),
            aim=str(aim or ""),
        )
        spread = f", {ratios[0]:.2f} to {ratios[-1]:.2f} in {len(ratios)} rounds" if len(ratios) > 1 else ""
        text = f"{what}: {show(figure.value, unit)}; {against} {show(median(others), unit)}; ratio {median(ratios):.2f}"
        self._add(figure, text + spread)

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Columns, the first to the left and the others to the right."""
        cells = [list(heads), *map(list, rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
        for row in cells:
            first, *rest = (text.rjust(width) for text, width in zip(row, widths, strict=True))
            self.say("  " + "  ".join([first.lstrip().ljust(widths[0]), *rest]))

    def record(self, what: str, value: float, unit: str) -> None:
        """Keep a figure for the JSON that a table shows."""
        self.figures.append(Figure(self._part, what, value, unit))

    def finish(self) -> None:
        if self._as_json:
            sys.stdout.write(json.dumps([asdict(figure) for figure in self.figures], indent=2) + "\n")

    def _add(self, figure: Figure, text: str) -> None:
        self.figures.append(figure)
        self.say(f"  {text}{f' (aim: {figure.aim})' if figure.aim else ''}")


def show(value: float, unit: str) -> str:
    """A value with its unit: three digits, or whole from 100 on."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}{'' if unit.startswith('/') else ' '}{unit}"
