"""`debounce`: the events of a key are gathered in a window, which closes when the key was quiet.

A window is a row of `windows`; its dispatches are held in `work`, numbered in order of arrival. Which of them goes is
decided when it closes (`queries/windows.py`), but with `keep: first`, where later ones are superseded at once.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, bindparam, exists, select

from relay.ledger.engine.sql import Upsert, padded, run, upsert, write_many
from relay.ledger.queries.keys.memory import KeyRow, KnownKey
from relay.ledger.queries.keys.step import Ruling
from relay.ledger.schema import windows, work
from relay.ledger.terms import Terms
from relay.model import HeldBy

MOST: Final = 100
"""Events of a window, which closes with the last of them."""
LARGEST: Final = 1 << 20
"""Bytes of the bodies in a window whose chat sees all events."""

_OPEN: Final = select(windows, exists().where(work.c.window_id == windows.c.id).label("occupied")).where(
    windows.c.key.in_(bindparam("hashes", expanding=True)), windows.c.closes_at > bindparam("now")
)


_CLOSING: Final = select(windows.c.id, windows.c.closes_at).where(windows.c.id.in_(bindparam("ids", expanding=True)))


def closing(conn: Connection, ids: Collection[str]) -> dict[str, int]:
    """When these windows close."""
    rows = run(conn, _CLOSING, {"ids": padded(sorted(ids))}) if ids else ()
    return {row["id"]: row["closes_at"] for row in rows}


@cache
def _put(dialect: str) -> Upsert:
    """Made once, because the statement itself is what it is prepared under."""
    put = upsert(dialect, windows)
    changed = {name: put.excluded[name] for name in ("closes_at", "count", "size")}
    return put.on_conflict_do_update(index_elements=[windows.c.id], set_=changed)


@dataclass(frozen=True, slots=True)
class Window:
    """A row of `windows`. Times are milliseconds; `size` is bytes of bodies."""

    id: str
    key: bytes
    keep: str
    opened_at: int
    closes_at: int
    count: int
    size: int


class OpenWindows:
    """The windows of a batch's keys, which are locked."""

    def __init__(self, found: Mapping[bytes, Window]) -> None:
        self._open = dict(found)
        self._changed: dict[str, Window] = {}

    @classmethod
    def load(cls, conn: Connection, now: int, hashes: Sequence[bytes]) -> "OpenWindows":
        """Read the open windows of these keys. One whose dispatches were all cancelled is none."""
        rows = run(conn, _OPEN, {"hashes": padded(hashes), "now": now}) if hashes else ()
        names = Window.__dataclass_fields__
        return cls({row["key"]: Window(**{name: row[name] for name in names}) for row in rows if row["occupied"]})

    def get(self, key: bytes, now: int) -> Window | None:
        """The window of the key that takes another event."""
        window = self._open.get(key)
        return window if window is not None and window.closes_at > now else None

    def put(self, window: Window) -> None:
        self._open[window.key] = window
        self._changed[window.id] = window

    def write(self, conn: Connection) -> None:
        if not self._changed:
            return
        fields = Window.__dataclass_fields__
        rows = [{name: getattr(window, name) for name in fields} for window in self._changed.values()]
        write_many(conn, _put(conn.dialect.name), sorted(rows, key=lambda row: str(row["id"])))


def step(ruling: Ruling, plan: Any, known: KnownKey | None, now: int, terms: Terms) -> KeyRow | None:
    """Put the dispatch into the window of its key, or open one."""
    assert ruling.place is not None and ruling.windows is not None  # noqa: S101, PT018 - `decide` gives both
    window, size = ruling.windows.get(ruling.place, now), plan["size"]
    if window is not None and not _takes(window, plan):
        ruling.windows.put(replace(window, closes_at=now))
        window = None
    if window is None:
        window = Window(ruling.id, ruling.place, plan["keep"], now, now, 0, 0)
    count = window.count + 1
    closes_at = now if count >= MOST else min(now + plan["wait"], window.opened_at + plan["max"])
    ruling.windows.put(replace(window, count=count, size=window.size + size, closes_at=closes_at))
    if window.keep == "first" and count > 1:
        ruling.supersede(window.id, f"the chat of its key (debounce) is that of dispatch {window.id}, the first one")
    else:
        ruling.gather(window.id, count)
        ruling.hold(HeldBy.DEBOUNCE, closes_at)
    return None


def _takes(window: Window, plan: Any) -> bool:
    """Whether an open window takes another event. One that was decided by another `keep` closes as that says.

    What it has gathered may have no body of its own, or be superseded already.
    """
    return window.keep == plan["keep"] and (window.keep != "all" or window.size + plan["size"] <= LARGEST)
