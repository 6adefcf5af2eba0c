"""All rows, by family."""

from types import ModuleType

from tests.faults import backlog, broker, cargo, keys, postgres, process, senders, sqlite
from tests.faults.row import Row

FAMILIES: dict[str, ModuleType] = {
    "process": process,
    "broker": broker,
    "postgres": postgres,
    "sqlite": sqlite,
    "cargo": cargo,
    "senders": senders,
    "keys": keys,
    "backlog": backlog,
}
ROWS: dict[str, Row] = {row.name: row for family in FAMILIES.values() for row in family.ROWS}


def choose(names: list[str]) -> list[Row]:
    """The rows with these names, or of these families; all when none is named. Raises ValueError."""
    chosen: dict[str, Row] = {}
    for name in names or FAMILIES:
        if name in FAMILIES:
            chosen |= {row.name: row for row in FAMILIES[name].ROWS}
        elif name in ROWS:
            chosen[name] = ROWS[name]
        else:
            raise ValueError(f"there is no row {name!r}; choose from {', '.join((*FAMILIES, *ROWS))}")
    return list(chosen.values())
