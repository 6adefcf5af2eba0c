"""The port of a key's step: what it may say about a new dispatch."""

from typing import TYPE_CHECKING, Any, Protocol

from relay.ledger.queries.keys.memory import KeyRow, KnownKey
from relay.ledger.terms import Terms
from relay.model import Dispatch, Failure, HeldBy, Hold, Skip, State, Why, remade

if TYPE_CHECKING:
    from relay.ledger.queries.keys.window import OpenWindows


class Ruling:
    """What the keys of its rule have said about a new dispatch so far.

    `id` and `rule` are those of the dispatch. `is_over` says that it is skipped, or ended without a chat. `place` is
    the hash of the rendered key that is looked at, None for a key of the rule that has none. `windows` are those of the
    batch's keys (`debounce`), None where no rule of it has any.
    """

    def __init__(self, dispatch: Dispatch, windows: "OpenWindows | None" = None) -> None:
        self.id = dispatch.id
        self.rule = dispatch.rule
        self.windows = windows
        self.is_over = False
        self.skip: Skip | None = None
        self.place: bytes | None = None
        self._given = dispatch
        self._state = dispatch.state
        self._by = None if dispatch.hold is None else dispatch.hold.by
        self._ending: dict[str, Any] = {}
        self._standing: dict[str, Any] = {}

    @property
    def dispatch(self) -> Dispatch:
        """The dispatch as the keys would have it stored: made anew each time, so to be asked for at the end."""
        given = self._given
        hold = remade(given.hold or Hold(), **self._standing) if self._standing else given.hold
        return remade(given, state=self._state, hold=hold, **self._ending)

    @property
    def is_gathered(self) -> bool:
        """Whether a window holds it, so that its later keys are asked when that closes."""
        return self._by is HeldBy.DEBOUNCE

    def leave_out(self, why: Why, detail: str) -> None:
        """The rule skips the event: there is no dispatch."""
        self.skip = Skip(self.rule, why, detail)
        self.is_over = True

    def suppress(self, cause: str, message: str) -> None:
        """The dispatch ends without a chat because of another one."""
        self._end(State.SUPPRESSED, Failure("suppressed", message), cause)

    def supersede(self, cause: str, message: str) -> None:
        """The dispatch ends without a chat because another one of its window goes."""
        self._end(State.SUPERSEDED, Failure("superseded", message), cause)

    def _end(self, state: State, failure: Failure, cause: str) -> None:
        self._state = state
        self.is_over = True
        self._ending = {"failure": failure, "cause": cause}

    def gather(self, window: str, number: int) -> None:
        """The dispatch is in this window, with this number."""
        self._standing |= {"window_id": window, "queue_number": number}

    def cancel_under(self, place: bytes) -> None:
        """Events under this key cancel the dispatch while it is held."""
        self._standing["cancel_key"] = place

    def queue_up(self, number: int) -> None:
        """The dispatch has this number in the queue of the present key."""
        self._standing |= {"queue": self.place, "queue_number": number}

    def follow(self, chat_uuid: str, agent_uuid: str | None) -> None:
        """The dispatch goes on in a chat that exists."""
        self._state = State.MESSAGING
        self._standing |= {"chat_uuid": chat_uuid, "chat_agent": agent_uuid}

    def delay(self, until: int) -> None:
        """The dispatch does not go before `until`, and events under the present key cancel it."""
        self._standing |= {"not_before": until, "cancel_key": self.place}
        self.hold(HeldBy.DELAY, until)

    def hold(self, by: HeldBy, until: int | None) -> None:
        """Hold the dispatch, unless something that comes before on its way holds it already."""
        if self._by is None:
            self._state, self._by = State.HELD, by
            self._standing |= {"by": by, "until": until}


class KeyStep(Protocol):
    """One key's step in the accept."""

    def __call__(self, ruling: Ruling, plan: Any, known: KnownKey | None, now: int, terms: Terms, /) -> KeyRow | None:
        """Rule on a dispatch. `plan` is what the key has rendered, `known` what is remembered of its rendered key.

        Returns what is to be remembered from now on; None leaves it.
        """
        ...
