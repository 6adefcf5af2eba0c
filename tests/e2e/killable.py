"""A relay that kills itself with SIGKILL at the n-th time it comes to a named point: `killable.py POINT N serve ...`.

A point is `<method>.before` or `<method>.after`, or `commit.before` for the moment between a group commit's
statements and its COMMIT. `claims.*` and `results.*` are the moments before and after what was committed under this
process's lease is handed on; at `claim.*` and `due.*` nothing is handed on, so that all is looked for. `deadly.message`
is the reading of any message with the word deadly in its body.
"""

import functools
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import sqlalchemy
from sqlalchemy.engine import Engine

from relay.broker import ResultPublisher
from relay.cargo import Cargo
from relay.cli import main
from relay.consumer import settle
from relay.dispatch import Worker
from relay.ledger import SqlLedger, ledger
from relay.ledger.queries import outbox
from relay.outbox import Publisher

METHODS: dict[str, tuple[type, str]] = {
    "accept": (SqlLedger, "accept"),
    "claim": (SqlLedger, "claim"),
    "record": (SqlLedger, "record"),
    "due": (SqlLedger, "due"),
    "settle": (SqlLedger, "settle"),
    "create": (Cargo, "create"),
    "say": (Cargo, "say"),
    "close": (SqlLedger, "close_windows"),
    "publish": (ResultPublisher, "publish"),
}


_LEASE = 6_000
"""Milliseconds for which others leave alone what the killed process was publishing: a minute for an ordinary one."""
HANDED = {"claims": "_hand_on_claims", "results": "_hand_on_results"}


class Fuse:
    """Counts down and kills this process without a trace."""

    def __init__(self, count: int) -> None:
        self._left = count

    def burn(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str, count: int) -> None:
    """Make this process die at its `count`-th arrival at `point`."""
    outbox.LEASE = _LEASE  # type: ignore[misc] # what it was publishing is waited for, at each of these points
    fuse = Fuse(count)
    name, moment = point.split(".")
    if name == "commit":
        sqlalchemy.event.listen(Engine, "commit", lambda connection: fuse.burn())
        return
    if name == "deadly":
        settle.decode = functools.partial(_read, settle.decode, fuse)  # type: ignore[attr-defined] # as it imports it
        return
    if name in HANDED:
        _arm_handing(HANDED[name], moment, fuse)
        return
    if name in {"claim", "due"}:
        Worker.offer = Publisher.offer = lambda *_: None  # type: ignore[method-assign]
    owner, method = METHODS[name]
    call: Callable[..., Awaitable[Any]] = getattr(owner, method)

    @functools.wraps(call)
    async def armed(*arguments: Any, **keywords: Any) -> Any:
        if moment == "before":
            fuse.burn()
        result = await call(*arguments, **keywords)
        if moment == "after" and result != []:
            fuse.burn()
        return result

    setattr(owner, method, armed)


def _arm_handing(function: str, moment: str, fuse: Fuse) -> None:
    hand_on = getattr(ledger, function)

    def armed(item: Any, answer: Any) -> None:
        handed = answer[1] if isinstance(answer, tuple) else answer and answer.deliveries
        if handed and moment == "before":
            fuse.burn()
        hand_on(item, answer)
        if handed and moment == "after":
            fuse.burn()

    setattr(ledger, function, armed)


def _read(decode: Callable[..., Any], fuse: Fuse, delivery: Any, *arguments: Any, **keywords: Any) -> Any:
    if b"deadly" in delivery.body:
        fuse.burn()
    return decode(delivery, *arguments, **keywords)


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.argv[:3] = ["relay"]
    main()
