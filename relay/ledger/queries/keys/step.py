"""The port of a key's step: what it may say about a new dispatch."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from relay.ledger.queries.keys.memory import KeyRow, KnownKey
from relay.ledger.terms import Terms
from relay.model import Dispatch, Failure, HeldBy, Hold, Skip, State, Why

if TYPE_CHECKING:
    from relay.ledger.queries.keys.window import OpenWindows


class Ruling:
    """What the keys of its rule have said about a new dispatch so far.

    `place` is the hash of the rendered key that is looked at, None for a key of the rule that has none. `windows` are
    those of the batch's keys (`debounce`), None where no rule of it has any.
    """

    def __init__(self, dispatch: Dispatch, windows: "OpenWindows | None" = None) -> None:
        self.windows = windows
        self.dispatch = dispatch
        self.skip: Skip | None = None
        self.place: bytes | None = None

    @property
    def is_over(self) -> bool:
        return self.skip is not None or self.dispatch.state not in {State.READY, State.HELD, State.MESSAGING}

    @property
    def is_gathered(self) -> bool:
        """Whether a window holds it, so that its later keys are asked when that closes."""
        return self.at.by is HeldBy.DEBOUNCE

    @property
    def at(self) -> Hold:
        """Where the dispatch stands so far."""
        return self.dispatch.hold or Hold()

    def leave_out(self, why: Why, detail: str) -> None:
        """The rule skips the event: there is no dispatch."""
        self.skip = Skip(self.dispatch.rule, why, detail)

    def suppress(self, cause: str, message: str) -> None:
        """The dispatch ends without a chat because of another one."""
        failure = Failure("suppressed", message)
        self.dispatch = replace(self.dispatch, state=State.SUPPRESSED, failure=failure, cause=cause)

    def supersede(self, cause: str, message: str) -> None:
        """The dispatch ends without a chat because another one of its window goes."""
        failure = Failure("superseded", message)
        self.dispatch = replace(self.dispatch, state=State.SUPERSEDED, failure=failure, cause=cause)

    def gather(self, window: str, number: int) -> None:
        """The dispatch is in this window, with this number."""
        self._stand(window_id=window, queue_number=number)

    def cancel_under(self, place: bytes) -> None:
        """Events under this key cancel the dispatch while it is held."""
        self._stand(cancel_key=place)

    def queue_up(self, number: int) -> None:
        """The dispatch has this number in the queue of the present key."""
        self._stand(queue=self.place, queue_number=number)

    def follow(self, chat_uuid: str, agent_uuid: str | None) -> None:
        """The dispatch goes on in a chat that exists."""
        self.dispatch = replace(self.dispatch, state=State.MESSAGING)
        self._stand(chat_uuid=chat_uuid, chat_agent=agent_uuid)

    def delay(self, until: int) -> None:
        """The dispatch does not go before `until`, and events under the present key cancel it."""
        self._stand(not_before=until, cancel_key=self.place)
        self.hold(HeldBy.DELAY, until)

    def hold(self, by: HeldBy, until: int | None) -> None:
        """Hold the dispatch, unless something that comes before on its way holds it already."""
        if self.at.by is None:
            self.dispatch = replace(self.dispatch, state=State.HELD)
            self._stand(by=by, until=until)

    def _stand(self, **changes: Any) -> None:
        self.dispatch = replace(self.dispatch, hold=replace(self.at, **changes))


class KeyStep(Protocol):
    """One key's step in the accept."""

    def __call__(self, ruling: Ruling, plan: Any, known: KnownKey | None, now: int, terms: Terms, /) -> KeyRow | None:
        """Rule on a dispatch. `plan` is what the key has rendered, `known` what is remembered of its rendered key.

        Returns what is to be remembered from now on; None leaves it.
        """
        ...
