"""`once`: the dispatch that has the key.

A key is free again when its dispatch has ended without a chat. That is asked when the key is wanted, so that nothing
that ends a dispatch has to lock its key. Only who deletes such a dispatch deletes its row first (`release`): nobody
could tell afterwards, and the key would be taken by a dispatch that is not there.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, delete, select

from relay.ledger.queries.keys.memory import WITHOUT_CHAT, KeyRow, KnownKey, Memory, hash_of
from relay.ledger.queries.keys.step import Ruling
from relay.ledger.schema import dispatches, rule_keys
from relay.ledger.terms import Terms

IS_ONCE: Final = rule_keys.c.value.is_(None)
"""Whether a row is one of `once`: what other keys remember has a value."""
HAS_ENDED: Final = dispatches.c.state.in_(sorted(WITHOUT_CHAT)) & dispatches.c.chat_uuid.is_(None)
"""Whether a dispatch has ended without a chat."""


def step(ruling: Ruling, plan: Any, known: KnownKey | None, now: int, terms: Terms) -> KeyRow | None:
    """Suppress a dispatch whose key is taken. The time counts from the first event, so that it always ends."""
    if known is not None and known.dispatch_id is not None and not known.is_free:
        ruling.suppress(known.dispatch_id, f"the chat of its key (once) is that of dispatch {known.dispatch_id}")
        return None
    return KeyRow(ruling.rule, now + (plan["within"] or terms.remember), dispatch_id=ruling.id)


def release(conn: Connection, *of: ColumnElement[bool]) -> None:
    """Delete the rows of the keys that are free because their dispatches, which `of` chooses, ended without a chat.

    The dispatches are locked. A row that is locked is being taken by another dispatch, which leaves nothing to delete.
    """
    _delete(conn, rule_keys.c.dispatch_id.in_(select(dispatches.c.id).where(HAS_ENDED, *of)))


def of(rule: str, plan: Mapping[str, Any]) -> bytes | None:
    """The key of a dispatch with this stored plan; None when its rule has none."""
    return hash_of("once", rule, plan["once"]["key"]) if "once" in plan else None


def rejoin(
    conn: Connection, now: int, rule: str, plan: Mapping[str, Any], dispatch_id: str, *, looks: bool, terms: Terms
) -> None:
    """A dispatch that a person sends again has its key, unless another one has it: it goes all the same.

    It gives back a key that it had and that is another text now, unless it `looks` for the chat that it made of that.
    """
    if (place := of(rule, plan)) is None:
        return
    memory = Memory.load(conn, now, [place])
    known = memory.get(place)
    if known is None or (known.is_free and known.dispatch_id != dispatch_id):
        within = plan["once"]["within"] or terms.remember
        memory.put(place, KeyRow(rule, now + within, dispatch_id=dispatch_id))
        memory.write(conn)
    if not looks:
        _delete(conn, rule_keys.c.dispatch_id == dispatch_id, rule_keys.c.hash != place)


def _delete(conn: Connection, *chosen: ColumnElement[bool]) -> None:
    rows = select(rule_keys.c.hash).where(IS_ONCE, *chosen).with_for_update(skip_locked=True)
    conn.execute(delete(rule_keys).where(rule_keys.c.hash.in_(rows)))
