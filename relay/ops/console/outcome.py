"""Did the customer get an answer? What became of an event and of each dispatch, in a sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from relay.model import EventStatus, HeldBy, State
from relay.ops.console.standing import Tone
from relay.ops.wire import Dispatch
from relay.units import parse_iso, show

_UNDER_WAY: Final = frozenset(
    {State.READY, State.HELD, State.SENDING, State.WAITING, State.CHECKING, State.CREATED, State.MESSAGING}
)
_MADE: Final = frozenset({State.DONE, State.CREATED, State.MESSAGING})
_PARKED: Final = {
    "unknown": "it is not known whether Cargo made the chat",
    "gave_up": "Cargo could not be reached for too long",
    "budget": "the budget of its rule is spent",
    "limit": "more than the limit of its rule came",
    "loop": "it looks like a loop",
}
_TOLD: Final[Mapping[State, tuple[Tone, str, str]]] = {
    State.READY: ("plain", "to be sent", "It is sent as soon as there is room."),
    State.SENDING: ("plain", "being sent", "Cargo is being called now."),
    State.WAITING: ("look", "tried again", "The last call failed, and it is tried again."),
    State.CHECKING: ("look", "being looked for", "Cargo's answer was lost: the relay looks whether the chat is there."),
    State.CREATED: ("ok", "chat made", "The chat is there; its first message is on its way."),
    State.MESSAGING: ("ok", "chat made", "The chat is there; its first message is on its way."),
    State.DONE: ("ok", "chat made", "There is a chat."),
    State.FAILED: ("bad", "failed", "There is no chat."),
    State.EXPIRED: ("bad", "expired", "There is no chat: it was too late for it."),
    State.SUPERSEDED: ("plain", "superseded", "There is no chat of its own: a later event took its place."),
    State.SUPPRESSED: ("plain", "suppressed", "There is no chat: its rule let no more through."),
    State.CANCELLED: ("plain", "cancelled", "There is no chat: it was cancelled."),
}
_FAULTY: Final = frozenset({State.WAITING, State.FAILED})


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of it. `tone` is the colour of `word`."""

    tone: Tone
    word: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Possible:
    """What may be done with a dispatch now."""

    retry: bool
    cancel: bool


def may_do(dispatch: Dispatch) -> Possible:
    """What the ledger lets a person do with a dispatch in its state."""
    ended = dispatch.state in {State.FAILED, State.EXPIRED, State.CANCELLED, State.SUPERSEDED, State.SUPPRESSED}
    parked = dispatch.state is State.PARKED
    held = dispatch.state is State.HELD and not (dispatch.held and dispatch.held.by == HeldBy.PAUSE)
    under_way = dispatch.state in _UNDER_WAY - _MADE and not dispatch.cancelling
    return Possible(retry=ended or parked or held, cancel=parked or under_way)


def tell_dispatch(dispatch: Dispatch) -> Ending:
    """What became of one dispatch."""
    if dispatch.cancelling:
        return Ending("look", "being cancelled", "It ends as soon as it is known to have no chat.")
    if dispatch.state is State.HELD:
        return Ending("plain", "held", _tell_hold(dispatch))
    if dispatch.state is State.PARKED:
        reason = _PARKED.get(str(dispatch.parked), "see its attempts")
        why = _why(dispatch)
        return Ending("look", "waits for a person", f"It is parked, because {reason}" + (f": {why}" if why else "."))
    if dispatch.state is State.DONE and dispatch.reconciled:
        return Ending("ok", "chat made", "There is a chat, which was found in Cargo after an answer that was lost.")
    tone, word, sentence = _TOLD[dispatch.state]
    if dispatch.state is State.FAILED and dispatch.chat_uuid is not None:
        sentence = "Its message could not be said in the chat of its thread."
    why = _why(dispatch) if dispatch.state in _FAULTY else ""
    return Ending(tone, word, f"{sentence[:-1]}: {why}" if why else sentence)


def tell_event(status: EventStatus, received_at: str, dispatches: Sequence[Dispatch]) -> Ending:
    """What became of an event: what is worst of its dispatches."""
    if status is EventStatus.UNREADABLE:
        return Ending("bad", "unreadable", "No chat: the event could not be read.")
    if not dispatches:
        why = "no rule matched it" if status is EventStatus.UNMATCHED else "each rule that matched it skipped it"
        return Ending("plain", "no chat", f"No chat: {why}.")
    told = [tell_dispatch(dispatch) for dispatch in dispatches]
    for tone in ("bad", "look", "plain"):
        if found := [each for each in told if each.tone == tone]:
            return found[0] if len(told) == 1 else _tell_many(found[0], dispatches)
    after = show(max(0, max(parse_iso(each.updated_at) for each in dispatches) - parse_iso(received_at)))
    count = "A chat was made" if len(told) == 1 else f"{len(told)} chats were made"
    return Ending("ok", told[0].word, f"{count}, {after} after the event came.")


def is_under_way(dispatches: Sequence[Dispatch]) -> bool:
    """Whether something of it goes on by itself."""
    return any(dispatch.state in _UNDER_WAY for dispatch in dispatches)


def _tell_many(worst: Ending, dispatches: Sequence[Dispatch]) -> Ending:
    made = sum(dispatch.state in _MADE for dispatch in dispatches)
    return Ending(worst.tone, worst.word, f"{made} of {len(dispatches)} chats are made. {worst.sentence}")


def _why(dispatch: Dispatch) -> str:
    failure = dispatch.failure
    if failure is None:
        return ""
    return f"{failure.message.rstrip('.')} ({failure.status or failure.code})."


def _tell_hold(dispatch: Dispatch) -> str:
    held = dispatch.held
    if held is None:
        return "It waits for its turn."
    key = f" of {held.key}" if held.key else ""
    until = f" until {held.until[:19].replace('T', ' ')}" if held.until else ""
    behind = f", behind dispatch {held.cause}" if held.cause else ""
    return f"It is held by {held.by}{key}{behind}{until}."
