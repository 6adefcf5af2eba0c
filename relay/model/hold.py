"""What holds a dispatch back: a window, the one before it, a time, a bound, or a person."""

from collections.abc import Mapping
from typing import Any

from relay.model.frozen import frozen
from relay.model.word import Word


class HeldBy(Word):
    """The key of its rule that holds a dispatch back; `pause` is a person."""

    DEBOUNCE = "debounce"
    ORDER = "order"
    THREAD = "thread"
    DELAY = "delay"
    SCHEDULE = "schedule"
    LIMIT = "limit"
    BUDGET = "budget"
    PAUSE = "pause"


@frozen
class Hold:
    """Where a new dispatch stands among those of its keys. Times are milliseconds by the ledger's clock.

    - `by` is what holds it back, None for nothing; `until` is when that ends by itself, None for never.
    - `queue` is the hash of its key in `order` or `thread`, `queue_number` its number there.
    - `window_id` is the window in which its event is gathered (`debounce`), `queue_number` then its number there.
    - `chat_uuid` is the chat of its `thread`, in which it goes on, `chat_agent` the agent of that.
    - `not_before` is the end of its `delay`, `cancel_key` the hash of the key under which events cancel it.
    """

    by: HeldBy | None = None
    until: int | None = None
    queue: bytes | None = None
    queue_number: int | None = None
    window_id: str | None = None
    not_before: int | None = None
    cancel_key: bytes | None = None
    chat_uuid: str | None = None
    chat_agent: str | None = None


@frozen
class Held:
    """Why a dispatch is held, for display. `cause` is the id of the dispatch that it waits for, if it waits for one."""

    by: HeldBy
    key: str | None
    until: int | None
    cause: str | None


def held_key(plan: Mapping[str, Any], by: HeldBy) -> str | None:
    """The rendered key by which a dispatch is held. Of several limits it is told only where a single one has a key."""
    given = plan.get(by.value)
    items = given if isinstance(given, list) else [given]
    keys = [each["key"] for each in items if isinstance(each, Mapping) and each.get("key")]
    return keys[0] if len(keys) == 1 else None
