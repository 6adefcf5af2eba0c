"""Closes the windows of rules that gather events (`debounce`), and renders the chats that see all of them."""

import math
from collections.abc import Callable
from dataclasses import replace

from relay.errors import NotFound, Unavailable
from relay.intake.entry import make_dispatch
from relay.intake.report import Line, report_ended, report_failed
from relay.life import Signals, Stop
from relay.model import Closed, Dispatch, Failure, Gathered, RuleVersion, State, WindowChat
from relay.ports import Windows
from relay.rules import RuleSet
from relay.telemetry import Metrics, get_log

log = get_log()

_POLL = 5_000
_LEAST = 20
_AWAY = 1.0


class Closer:
    """Every replica closes what is due, whoever took the events in.

    `rules` gives rules with that version among them, or those in force for None. `boottime` is milliseconds.
    """

    def __init__(
        self,
        windows: Windows,
        rules: Callable[[RuleVersion | None], RuleSet],
        signals: Signals,
        *,
        boottime: Callable[[], int],
        metrics: Metrics,
    ) -> None:
        self._windows = windows
        self._rules = rules
        self._signals = signals
        self._boottime = boottime
        self._metrics = metrics

    async def run(self, stop: Stop) -> None:
        """Close windows when their time has come, until `stop`."""
        stop.wakes(self._signals.windows)
        while not stop.asked:
            self._signals.windows.clear()  # before the turn, so that a window that opens during it wakes the next one
            try:
                wait = await self.turn()
            except Unavailable as error:
                log.warning("ledger.unavailable", part="windows", error=str(error))
                await stop.sleep(_AWAY)
                continue
            await self._signals.windows.wait(wait / 1_000)

    async def turn(self) -> float:
        """Close what is due. Returns the milliseconds until the next turn."""
        due_in = await self._windows.next_close()
        if due_in is None or due_in > 0:
            return min(math.inf if due_in is None else max(due_in, _LEAST), _POLL)
        rendered = {each.window: self._render(each) for each in await self._windows.gathered()}
        closed = await self._windows.close_windows(rendered)
        self._tell(closed)
        return _LEAST

    def _render(self, gathered: Gathered) -> WindowChat:
        """The chat of all events, by the rule that decided the last of them."""
        if not gathered.members:
            return WindowChat(gathered.count, None)
        dispatch, last = gathered.members[-1]
        events = [event for _, event in gathered.members]
        locked = next((event.unreadable for event in events if event.unreadable is not None), None)
        rules = self._rules(gathered.version)
        try:
            rendered = rules.render_all(dispatch.rule, events)
        except NotFound as error:
            return WindowChat(gathered.count, _failed(dispatch, f"{error}: put it back, then retry the dispatch"))
        if locked is not None:
            return WindowChat(gathered.count, _failed(dispatch, f"an event of its window cannot be read: {locked}"))
        version = rules.version(dispatch.rule)
        return WindowChat(gathered.count, make_dispatch(dispatch.id, last, rendered, run=dispatch.run, version=version))

    def _tell(self, closed: Closed) -> None:
        for dispatch in closed.going:
            log.debug("window.closed", **_line(dispatch))
        for dispatch in closed.superseded:
            report_ended(dispatch, State.SUPERSEDED, self._metrics, _line(dispatch))
        for dispatch in closed.failed:
            report_failed(dispatch, self._metrics, _line(dispatch))
        if closed.going:
            self._signals.work.set()
        if closed.superseded or closed.failed:
            self._signals.results.set()


def _failed(dispatch: Dispatch, message: str) -> Dispatch:
    return replace(dispatch, failure=Failure("render", message))


def _line(dispatch: Dispatch) -> Line:
    return {
        "event_id": dispatch.event_id,
        "dispatch_id": dispatch.id,
        "source": dispatch.source,
        "rule": dispatch.rule,
    }
