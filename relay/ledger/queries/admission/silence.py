"""A follow-up of a `thread` that says nothing: its `follow`, or the `message` where there is none, is blank."""

from typing import Final

from relay.ledger.queries.admission.step import Stay
from relay.model import Dispatch, Failure, State

NOTHING_TO_SAY: Final = Stay(
    State.SUPPRESSED,
    Failure(State.SUPPRESSED.value, "it has nothing to say in the chat of its thread: `follow` is blank for its event"),
)


def is_silent(dispatch: Dispatch) -> bool:
    """Whether a dispatch that goes on in the chat of its thread says nothing there."""
    return not (dispatch.message if dispatch.follow is None else dispatch.follow)
