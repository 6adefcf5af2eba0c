"""What a command prints: a table for people, JSON for programs; nothing of a stranger's moves the terminal."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

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


def print_json(document: Any, indent: int | None = None) -> None:
    """One JSON document, indented on a terminal or as asked."""
    indent = 2 if sys.stdout.isatty() else indent
    _write(visible_json(json.dumps(document, ensure_ascii=not _unicode(), indent=indent)))


def print_json_line(document: Any) -> None:
    """One JSON document on one line, in ASCII, as it goes to RabbitMQ."""
    _write(visible_json(json.dumps(document)))


def print_line(text: str) -> None:
    """One line to stdout, at once, so that a pipe sees it when it happens."""
    _write(visible(text))


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, whole: Sequence[str] = ("id",)) -> None:
    """A table; the columns in `whole` are never broken, so that what is in them can be copied.

    A cell is one line, or as many as a list has: a line break in a text would look like another row.
    """
    console = _console()
    table = Table(box=SIMPLE_HEAD if console.is_terminal else None, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=column in whole, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def print_pairs(pairs: Iterable[tuple[str, Any]]) -> None:
    """Names and values, one pair a line; those without a value are left out."""
    console = _console()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in pairs:
        if value not in (None, "", [], {}):
            table.add_row(name, _cell(str(value).split("\n")))
    console.print(table)


def print_title(text: str) -> None:
    """A heading with a blank line before it."""
    _console().print("\n" + visible(text), style="bold", markup=False, highlight=False)


def short(moment: str | None) -> str:
    """An ISO time of the API, to the second, without the year; `Z` says that it is UTC."""
    return f"{moment[5:10]} {moment[11:19]}Z" if moment else ""


def _cell(value: Any) -> Text:
    lines = [*map(str, value)] if isinstance(value, list | tuple) else ["" if value is None else str(value)]
    text = "\n".join(visible(line, keep="") for line in lines)
    return Text(text, style=_COLOURS.get(text.partition(" ")[0], ""))


def _unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _console() -> Console:
    """Made anew each time: stdout may have been replaced since."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
