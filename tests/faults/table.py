"""The table at the end."""

from collections.abc import Sequence

from tests.faults.tally import Tally

HEADS = ("row", "ledger", "relays", "events", "faults", "lost", "twice", "untold", "parked", "recovery", "took", "")


def draw(tallies: Sequence[Tally]) -> str:
    """One line per row and ledger; what is wrong stands below it."""
    lines = [HEADS, *map(_cells, tallies)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    text = []
    for line, tally in zip(lines, (None, *tallies), strict=True):
        words = [cell.ljust(width) for cell, width in zip(line[:2], widths[:2], strict=True)]
        figures = [cell.rjust(width) for cell, width in zip(line[2:-1], widths[2:-1], strict=True)]
        text.append("  ".join((*words, *figures, line[-1])).rstrip())
        text += [f"    {fault}" for fault in tally.wrong] if tally else []
    return "\n".join(text)


def _cells(tally: Tally) -> tuple[str, ...]:
    figures = (tally.replicas, tally.events, tally.faults, tally.lost, tally.twice, tally.untold, tally.parked)
    recovery = f"{tally.recovery:.1f} s" if tally.recovery else "-"
    notes = "; ".join([*([] if tally.holds else ["FAILED"]), *tally.notes])
    return tally.row, tally.ledger, *map(str, figures), recovery, f"{tally.seconds:.0f} s", notes
