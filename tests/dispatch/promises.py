"""What holds at every moment of the machine, whatever happened in whatever order."""

from dataclasses import dataclass, field

from relay.model import ParkReason, ResultType, State
from tests.dispatch.cargo import Cargo

UNSTAMPABLE = {"draft", "bare"}
"""Kinds of a trigger that takes no stamp, or whose stamp Cargo does not carry back. Then only a person can tell whether
there is a chat, and says so by each retry."""


@dataclass
class Promises:
    """`kinds` of the dispatches by id; `given_up_on` are those that a person cancelled though there may be a chat."""

    cargo: Cargo
    kinds: dict = field(default_factory=dict)
    given_up_on: set = field(default_factory=set)

    def check(self, views, told):
        """`views` of all dispatches, `told` the results by id."""
        for view in views:
            mine = {name: result for name, result in told.items() if result.dispatch_id == view.id}
            self._check_chats(view)
            self._check_message(view, mine)
            self._check_told(view, mine)

    def _most(self, view):
        return view.run if self.kinds[view.id] in UNSTAMPABLE else 1

    def _check_chats(self, view):
        """No dispatch has two chats; what is done has its own, and what failed has none.

        One that was given up on may be noted with a chat that came late, until it is begun anew and has that chat.
        """
        made = self.cargo.made_for[view.id]
        assert made <= self._most(view)
        assert set(view.duplicates) <= self.cargo.chats.keys() - {view.chat_uuid}
        if view.id not in self.given_up_on and view.chat_uuid:
            assert len(view.duplicates) < self._most(view)
        if view.state in {State.DONE, State.MESSAGING}:
            assert view.chat_uuid in self.cargo.chats
        elif view.state in {State.FAILED, State.CANCELLED} and view.id not in self.given_up_on:
            assert made < self._most(view)

    def _check_message(self, view, mine):
        """No chat has two first messages, and what is told of one is true, unless Cargo could not be asked in time."""
        said = len(self.cargo.said_in.get(view.chat_uuid, ()))
        assert said <= 1
        told = mine.get(f"{view.id}.{view.run}.message")
        if told is not None and told.type is ResultType.SENT:
            assert said
        elif told is not None:
            assert not said or told.data["error"]["reason"] == ParkReason.GAVE_UP

    def _check_told(self, view, mine):
        """Each end is told once per run, and the chat with the run that it is in."""
        assert {name: result.type for name, result in mine.items()} == self._due(view, mine)
        if view.chat_uuid:
            assert mine[f"{view.id}.{view.run}"].chat_uuid == view.chat_uuid

    def _due(self, view, told):
        """The results that there must be, of this run and of those before."""
        before = {
            f"{view.id}.{run}{suffix}": kind
            for run in range(1, view.run)
            for suffix, kind in (("", ResultType.FAILED), (".parked", ResultType.PARKED))
            if f"{view.id}.{run}{suffix}" in told
        }
        assert {int(name.split(".")[1]) for name in before} == set(range(1, view.run)), "each run before has its end"
        mine = f"{view.id}.{view.run}"
        now = {
            State.DONE: {mine: ResultType.CREATED},
            State.MESSAGING: {mine: ResultType.CREATED},
            State.PARKED: {f"{mine}.parked": ResultType.PARKED},
            State.FAILED: {mine: ResultType.FAILED},
            State.CANCELLED: {mine: ResultType.FAILED},
        }.get(view.state, {})
        if view.state in {State.CANCELLED, State.DONE, State.MESSAGING} and f"{mine}.parked" in told:
            now |= {f"{mine}.parked": ResultType.PARKED}
        if view.state is State.DONE and self.kinds[view.id] == "message":
            now |= {f"{mine}.message": told[f"{mine}.message"].type}
        return before | now
