"""Tables: no word is broken, narrow terminals get fewer columns, then cards; a state has its colour wherever it is."""

import io
import sys

import pytest
from rich.cells import cell_len

from relay.cli import output
from relay.cli.layout import Column, fit

UUID = "01a20b26-fffc-76fa-834c-22518cbcf66f"
ROW = (UUID, "helpdesk", "zen:event-type:ticket.created", ["urgent: failed", "vip: done"], "words that may be wrapped")
COLUMNS = ["id", "source", "type", "dispatches", "hint"]


class Screen(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


@pytest.fixture
def screen(monkeypatch):
    """Prints the table on a terminal that is so wide; gives what it shows."""

    def show(width, *, colours=False):
        monkeypatch.setattr(sys, "stdout", Screen())
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("LINES", "24")  # without it Rich takes a dumb terminal for one of 80 columns
        monkeypatch.setenv("TERM", "xterm-256color" if colours else "dumb")
        monkeypatch.delenv("NO_COLOR", raising=False)
        output.print_table(COLUMNS, [ROW, ROW], spare=("source", "type"))
        return sys.stdout.getvalue()

    return show


def test_every_column_has_its_natural_width_where_there_is_room():
    assert fit([Column(3, 9), Column(4, 4)], 15) == {0: 9, 1: 4}
    assert fit([Column(3, 9), Column(4, 8)], 13) == {0: 5, 1: 6}


def test_a_narrow_terminal_does_without_what_is_spare_from_the_last_on():
    columns = [Column(30, 30), Column(20, 20, spare=True), Column(20, 20, spare=True), Column(20, 20)]
    assert set(fit(columns, 96)) == {0, 1, 2, 3}
    assert set(fit(columns, 80)) == {0, 1, 3}
    assert set(fit(columns, 60)) == {0, 3}
    assert fit(columns, 50) is None
    assert fit([*columns, Column(90, 90)], 120) is None, "a wide one has cards rather than fewer columns"


@pytest.mark.parametrize("width", range(60, 160, 7))
def test_no_word_is_broken_and_no_line_is_too_long(screen, width):
    shown = screen(width)
    words = {word for cell in ROW for word in (" ".join(cell) if isinstance(cell, list) else cell).split()}
    missing = words - set(shown.split())
    assert missing <= ({"helpdesk", "zen:event-type:ticket.created"} if width < 100 else set())
    assert max(map(cell_len, shown.splitlines())) <= width


def test_what_fits_nowhere_is_cards(screen):
    lines = screen(50).splitlines()
    assert lines[0].split() == ["id", UUID]
    assert [line.split()[0] for line in lines if line] == COLUMNS * 2


def test_a_failed_dispatch_is_red_behind_its_rule(screen):
    shown = screen(200, colours=True)
    assert "urgent: \x1b[31mfailed\x1b[0m" in shown
    assert "vip: \x1b[32mdone\x1b[0m" in shown
