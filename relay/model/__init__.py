"""The domain model of Relay: frozen records (Event, Dispatch, Claim, Move, Result) and their states."""

from relay.model.chat import Chat, Message, Page
from relay.model.dispatch import LOCKED, UNSTAMPED, Claim, Dispatch, Doubt, Failure, Move, Recorded, Verdict
from relay.model.event import Entry, Event, Receipt
from relay.model.frozen import frozen
from relay.model.ids import Ids, new_id
from relay.model.result import UNROUTABLE, About, Due, Result, ResultType, Settled
from relay.model.state import ENDED, LEGAL, LIVE, EventStatus, ParkReason, State
from relay.model.view import (
    AttemptView,
    DispatchView,
    EventDetail,
    EventPage,
    EventQuery,
    EventView,
    Gauges,
    Kept,
    Rejection,
    RejectionView,
    ResultView,
)

__all__ = [
    "ENDED",
    "LEGAL",
    "LIVE",
    "LOCKED",
    "UNROUTABLE",
    "UNSTAMPED",
    "About",
    "AttemptView",
    "Chat",
    "Claim",
    "Dispatch",
    "DispatchView",
    "Doubt",
    "Due",
    "Entry",
    "Event",
    "EventDetail",
    "EventPage",
    "EventQuery",
    "EventStatus",
    "EventView",
    "Failure",
    "Gauges",
    "Ids",
    "Kept",
    "Message",
    "Move",
    "Page",
    "ParkReason",
    "Receipt",
    "Recorded",
    "Rejection",
    "RejectionView",
    "Result",
    "ResultType",
    "ResultView",
    "Settled",
    "State",
    "Verdict",
    "frozen",
    "new_id",
]
