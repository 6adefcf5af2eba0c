"""Prints tables for people and JSON for programs. Control characters in untrusted text are escaped."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from relay.cli.layout import GAP, Column, fit
from relay.visible import visible, visible_json

_PIPE_WIDTH: Final = 1_000
_COLOURS: Final = {
    "done": "green",
    "created": "green",
    "accepted": "green",
    "readmitted": "green",
    "yes": "green",
    "failed": "red",
    "refused": "red",
    "parked": "yellow",
    "checking": "yellow",
    "unreadable": "red",
}

_STATE: Final = re.compile(rf"(?m)(?:^|: )({'|'.join(_COLOURS)})(?= |,|$)")
"""A state: alone, at the start of a line, or after the name of its rule."""


def print_json(document: Any, indent: int | None = None) -> None:
    """Print a JSON document, indented by two on a terminal, otherwise by `indent`."""
    indent = 2 if sys.stdout.isatty() else indent
    _write(visible_json(json.dumps(document, ensure_ascii=not _unicode(), indent=indent)))


def print_json_line(document: Any) -> None:
    """Print a JSON document on one line, in ASCII, as it is sent to RabbitMQ."""
    _write(visible_json(json.dumps(document)))


def print_line(text: str) -> None:
    """Print a line to stdout and flush it, so that a pipe gets it at once."""
    _write(visible(text))


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    whole: Sequence[str] = ("id",),
    spare: Sequence[str] = (),
) -> None:
    """Print a table. The columns in `whole` are not wrapped, so that their values can be copied.

    Words are not broken. A narrow terminal leaves out the columns in `spare`, the last first; if that is not enough,
    each row becomes a card with one value per line. A text is one line, because a line break would look like another
    row; a list has one line per item.
    """
    console = _console()
    cells = [[_cell(value) for value in row] for row in rows]
    widths = fit(
        [_measure(name, column, name in whole, name in spare) for name, column in _by_column(columns, cells)],
        console.width,
    )
    if widths is None:
        return _print_cards(console, columns, cells)
    box = SIMPLE_HEAD if console.is_terminal else None
    padding = GAP - 1 if box else GAP  # the box adds a blank between two columns
    table = Table(box=box, padding=(0, padding, 0, 0), pad_edge=False, show_edge=False)
    for number, width in widths.items():
        table.add_column(columns[number], no_wrap=columns[number] in whole, width=width, overflow="fold")
    for row in cells:
        table.add_row(*(row[number] for number in widths))
    return console.print(table)


def _by_column(columns: Sequence[str], cells: Sequence[Sequence[Text]]) -> Iterable[tuple[str, list[Text]]]:
    return ((name, [row[number] for row in cells]) for number, name in enumerate(columns))


def _measure(name: str, cells: Sequence[Text], whole: bool, spare: bool) -> Column:
    most = max([cell_len(name), *(cell_len(line) for cell in cells for line in cell.plain.split("\n"))])
    least = most if whole else max([cell_len(name), *(cell_len(word) for cell in cells for word in cell.plain.split())])
    return Column(least, most, spare)


def _print_cards(console: Console, columns: Sequence[str], cells: Sequence[Sequence[Text]]) -> None:
    names = max(map(cell_len, columns))
    for row in cells:
        for name, cell in zip(columns, row, strict=True):
            if cell.plain:
                indented = Text(f"{name:<{names}}  ", style="bold") + Text(" ").join(cell.split("\n"))
                console.print(indented, soft_wrap=True)
        console.print()


def print_pairs(pairs: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one pair per line, without those that have no value."""
    console = _console()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value not in (None, "", [], {}):
            table.add_row(name, _cell(value if isinstance(value, list) else str(value).split("\n")))
    console.print(table)


def print_title(text: str) -> None:
    """Print a heading with a blank line before it."""
    _console().print("\n" + visible(text), style="bold", markup=False, highlight=False)


def short(moment: str | None) -> str:
    """An ISO time of the API, to the second, without the year. `Z` means UTC."""
    return f"{moment[5:10]} {moment[11:19]}Z" if moment else ""


def precise(moment: str, day: str) -> str:
    """An ISO time of the API, to the millisecond, with its date unless that is `day` (as 2026-11-23)."""
    return f"{moment[11:23]}Z" if moment.startswith(day) else f"{moment[:10]} {moment[11:23]}Z"


def _cell(value: Any) -> Text:
    lines = [*map(str, value)] if isinstance(value, list | tuple) else ["" if value is None else str(value)]
    text = Text("\n".join(visible(line, keep="") for line in lines))
    for state in _STATE.finditer(text.plain):
        text.stylize(_COLOURS[state[1]], *state.span(1))
    return text


def _unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _console() -> Console:
    """A new console for each call, because stdout may have been replaced."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
