"""`order` and `thread`: the dispatches of one key go one after another, in order of arrival.

The row of the key names the dispatch that has its turn (`dispatch_id`). Its `value` is the `QueueState`: the last
number that was given and, of a thread, its chat. The others wait in `work` with their numbers. Whatever ends a dispatch
calls `leave` in the same commit, which lets the next one go: under the lock of the key, so that an accept either sees
that the key is free or is seen.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, Self

from sqlalchemy import Connection, bindparam, case, delete, select, update
from sqlalchemy.exc import DBAPIError

from relay.ledger.engine.faults import Overtaken, is_locked
from relay.ledger.engine.sql import Found, padded, run
from relay.ledger.queries.keys.memory import FOREVER, KeyRow, KnownKey, Memory, compact, hash_of, lock
from relay.ledger.queries.keys.step import Ruling
from relay.ledger.schema import dispatches, rule_keys, work
from relay.ledger.terms import Terms
from relay.model import HeldBy, Hold, State, frozen, remade

Member = tuple[bytes, str]
"""The hash of a queue's key, and the id of a dispatch in it."""

_REMEMBERED: Final = 50
"""Messages of a thread whose uuids are remembered: the last ones."""

_TURNS: Final = select(rule_keys.c.hash, rule_keys.c.dispatch_id, rule_keys.c.value).where(
    rule_keys.c.hash.in_(bindparam("hashes", expanding=True))
)
_NEXT: Final = (
    select(work.c.dispatch_id, work.c.not_before)
    .where(work.c.queue == bindparam("of"), work.c.dispatch_id.not_in(bindparam("leaving", expanding=True)))
    .order_by(work.c.queue_number)
    .limit(1)
    .with_for_update(nowait=True)
)
_IS_DELAYED: Final = work.c.not_before > bindparam("now")
_RELEASE: Final = (
    update(work)
    .where(work.c.dispatch_id == bindparam("of"), work.c.state == State.HELD.value)
    .values(
        state=case((_IS_DELAYED, State.HELD.value), else_=bindparam("to")),
        held_by=case((_IS_DELAYED, HeldBy.DELAY.value)),
        due_at=case((_IS_DELAYED, work.c.not_before), else_=bindparam("now")),
        follows=bindparam("goes_on"),
    )
)
_FOLLOW: Final = (
    update(dispatches)
    .where(dispatches.c.id == bindparam("of"))
    .values(chat_uuid=bindparam("chat"), chat_agent=bindparam("agent"))
)
_CHAT: Final = select(dispatches.c.state, dispatches.c.chat_uuid, dispatches.c.chat_agent).where(
    dispatches.c.id == bindparam("of")
)
_STORE: Final = (
    update(rule_keys)
    .where(rule_keys.c.hash == bindparam("of"))
    .values(dispatch_id=bindparam("to"), value=bindparam("to_value"), expires_at=bindparam("until"))
)
_FREE: Final = delete(rule_keys).where(rule_keys.c.hash == bindparam("of"))


@frozen
class QueueState:
    """What is kept of a key: the last `number`, and whether a parked dispatch keeps its turn.

    Of a thread also how long (ms) its chat may be `idle`, the chat, when something was said in it last, and the uuids
    of the last messages that dispatches of the thread have said (`said`).
    """

    number: int = 0
    skips_parked: bool = False
    idle: int | None = None
    chat: str | None = None
    agent: str | None = None
    said_at: int = 0
    said: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str | None) -> Self:
        if text is None:
            return cls()
        found = json.loads(text)
        return cls(**{**found, "said": tuple(found.get("said", ()))})

    def text(self) -> str:
        return compact(self)

    def has_chat(self, now: int) -> bool:
        """Whether the next dispatch goes on in the chat."""
        return self.chat is not None and self.idle is not None and now - self.said_at <= self.idle

    def after(self, plan: Any) -> "QueueState":
        """With the next number, and what the newest dispatch says about the queue."""
        skips = plan.get("skip") == "parked"
        return remade(self, number=self.number + 1, skips_parked=skips, idle=plan.get("idle"))


def step(ruling: Ruling, plan: Any, known: KnownKey | None, now: int, terms: Terms) -> KeyRow | None:
    """Put the dispatch at the end of the queue; it goes at once when nobody is before it."""
    queue = QueueState.read(None if known is None else known.value).after(plan)
    ruling.queue_up(queue.number)
    turn = ruling.id if known is None or known.dispatch_id is None else known.dispatch_id
    if turn != ruling.id:
        ruling.hold(HeldBy.ORDER if queue.idle is None else HeldBy.THREAD, until=None)
    elif queue.chat is not None and queue.has_chat(now):
        ruling.follow(queue.chat, queue.agent)
    return KeyRow(ruling.rule, FOREVER, queue.text(), turn)


def pass_over(conn: Connection, now: int, memory: Memory, skipping: Collection[bytes]) -> bool:
    """Pass on the turns of parked dispatches in these queues, whose rule skips them. Returns whether there were any.

    `leave` does so when a dispatch is parked, but then its rule may not have skipped it: it was reloaded since. The
    keys are locked.
    """
    stuck = [(key, known) for key in sorted(skipping) if (known := memory.get(key)) is not None and known.is_parked]
    for key, known in stuck:
        if known.dispatch_id is not None:
            _pass_on(conn, now, key, remade(QueueState.read(known.value), skips_parked=True), [known.dispatch_id])
    return bool(stuck)


def of(rule: str, plan: Mapping[str, Any]) -> bytes | None:
    """The queue of a dispatch with this stored plan; None when its rule has none."""
    return next((hash_of(name, rule, plan[name]["key"]) for name in ("thread", "order") if name in plan), None)


def skips_parked(plan: Mapping[str, Any]) -> bool:
    """Whether a plan says that parked dispatches hold nobody up (`order`)."""
    return "order" in plan and plan["order"].get("skip") == State.PARKED.value


def turns(conn: Connection, queues: Collection[bytes]) -> dict[bytes, str]:
    """The dispatches that have the turn in these queues."""
    return {key: row["dispatch_id"] for key, row in _read(conn, queues).items() if row["dispatch_id"] is not None}


def messages(conn: Connection, queues: Collection[bytes]) -> dict[bytes, tuple[str, ...]]:
    """The uuids of messages that dispatches of these threads have said."""
    return {key: QueueState.read(row["value"]).said for key, row in _read(conn, queues).items()}


def _read(conn: Connection, queues: Collection[bytes]) -> dict[bytes, Found]:
    rows = run(conn, _TURNS, {"hashes": padded(sorted(queues))}) if queues else ()
    return {row["hash"]: row for row in rows}


def rejoin(
    conn: Connection, now: int, rule: str, plan: Mapping[str, Any], dispatch_id: str, *, waits: bool
) -> Hold | None:
    """The place of a dispatch that a person retries: its old one where it has the turn, else at the end of the queue.

    With `waits` false it does not go behind others, because its chat may exist already.
    """
    if (key := of(rule, plan)) is None:
        return None
    memory = Memory.load(conn, now, [key])
    known = memory.get(key)
    has_turn = known is not None and known.dispatch_id == dispatch_id
    if skips_parked(plan) and not has_turn and pass_over(conn, now, memory, [key]):
        memory = Memory.read(conn, now, [key])
        known = memory.get(key)
    queue = QueueState.read(None if known is None else known.value)
    turn = None if known is None else known.dispatch_id
    if turn != dispatch_id and not waits:
        return None
    if turn != dispatch_id:
        queue = queue.after(plan.get("thread") or plan["order"])
        row = KeyRow(rule, FOREVER, queue.text(), turn or dispatch_id)
        memory.put(key, row)
        memory.write(conn)
    if turn is not None and turn != dispatch_id:
        by = HeldBy.ORDER if queue.idle is None else HeldBy.THREAD
        return Hold(by=by, queue=key, queue_number=queue.number)
    if waits and queue.has_chat(now):
        return Hold(queue=key, queue_number=queue.number, chat_uuid=queue.chat, chat_agent=queue.agent)
    return Hold(queue=key, queue_number=queue.number)


def leave(
    conn: Connection, now: int, gone: Sequence[Member], parked: Sequence[Member], said: Mapping[str, str]
) -> None:
    """Take dispatches out of their queues and let the next ones go. A parked one goes out only where it is skipped.

    `said` has the uuids of messages that were said, by dispatch.
    """
    if not gone and not parked:
        return
    keys = sorted({key for key, _ in (*gone, *parked)})
    lock(conn, keys)
    rows = _read(conn, keys)
    for key in keys:
        row = rows.get(key)
        if row is None:
            continue
        queue = QueueState.read(row["value"])
        leaving = [each for of_, each in gone if of_ == key]
        leaving += [each for of_, each in parked if of_ == key and queue.skips_parked]
        turn = row["dispatch_id"]
        if turn in leaving:
            _pass_on(conn, now, key, _after_turn(conn, now, queue, turn, said.get(turn)), leaving)


def _after_turn(
    conn: Connection, now: int, queue: QueueState, dispatch_id: str, message_uuid: str | None
) -> QueueState:
    """The queue after the turn of a dispatch: a thread has its chat."""
    if queue.idle is None:
        return queue
    rows = run(conn, _CHAT, {"of": dispatch_id})
    if not rows or rows[0]["chat_uuid"] is None:
        return remade(queue, chat=None)  # the chat was gone, or idle for too long, and no other was made
    if rows[0]["state"] != State.DONE.value:
        return queue
    said = (*queue.said, message_uuid)[-_REMEMBERED:] if message_uuid else queue.said
    return remade(queue, chat=rows[0]["chat_uuid"], agent=rows[0]["chat_agent"], said_at=now, said=said)


def _pass_on(conn: Connection, now: int, key: bytes, queue: QueueState, leaving: Sequence[str]) -> None:
    """Let the next one go. An order that nobody waits in is forgotten, a thread when it has been idle."""
    try:
        following = run(conn, _NEXT, {"of": key, "leaving": padded(sorted(leaving))})
    except DBAPIError as error:
        if not is_locked(error):
            raise
        # It is being ended at this moment, which may be undone: it must not be passed over. Whoever ends it may wait
        # for this key, so nobody waits here.
        raise Overtaken("the next dispatch of a queue is being ended") from error
    goes_on = queue.has_chat(now)
    if following:
        [row] = following
        run(conn, _STORE, {"of": key, "to": row["dispatch_id"], "to_value": queue.text(), "until": FOREVER})
        to = State.MESSAGING if goes_on else State.READY
        run(conn, _RELEASE, {"of": row["dispatch_id"], "now": now, "to": to.value, "goes_on": goes_on})
        if goes_on:
            run(conn, _FOLLOW, {"of": row["dispatch_id"], "chat": queue.chat, "agent": queue.agent})
    elif goes_on and queue.idle is not None:
        run(conn, _STORE, {"of": key, "to": None, "to_value": queue.text(), "until": queue.said_at + queue.idle + 1})
    else:
        run(conn, _FREE, {"of": key})
