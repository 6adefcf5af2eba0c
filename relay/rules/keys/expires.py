"""`expires`: what has waited too long for its turn makes no chat any more."""

from typing import Any, ClassVar

from relay.model import Event
from relay.rules.keys.key import Key
from relay.rules.scope import Scope
from relay.rules.spec import RuleSpec
from relay.units import show
from relay.written.kinds import Duration


class Expires(Key):
    """Time in pauses and behind others counts, until the first call begins; after that `retry` alone ends it."""

    name = "expires"
    kind: ClassVar[Any] = Duration
    about = "How long a dispatch may wait for its turn; later it ends as `expired`."

    def __init__(self, value: int, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._after = value

    def plan(self, event: Event, scope: Scope) -> Any:
        return self._after

    def show(self, event: Event, scope: Scope) -> Any:
        return show(self._after)
