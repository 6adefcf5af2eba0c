"""`sample`: a share of the subjects, always the same ones."""

from hashlib import blake2b
from typing import Any, Final

from relay.model import Event, Skip, Why
from relay.rules.keys.key import Key
from relay.rules.scope import Scope
from relay.rules.spec import RuleSpec
from relay.units import Share
from relay.written.kinds import ShareText

_WHOLE: Final = 1 << 64


def place(event: Event) -> float:
    """Where the event's subject (its id, where it has none) lies between 0 and 1; the same on every replica.

    The id is the sender's, and Relay's own only where the sender gives none. The source counts as well, so that equal
    ids of two senders are told apart; the rule does not, so that the same subjects go through every rule.
    """
    what = event.subject or event.external_id or event.id
    text = f"{len(event.source)} {event.source} {what}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "big") / _WHOLE


class Sample(Key):
    """An event outside of the share is skipped."""

    name = "sample"
    kind = ShareText
    about = "The share of subjects (of ids where there is no subject) that the rule is for, always the same ones."

    def __init__(self, value: Share, spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._share = value
        self._rule = spec.name

    def skip(self, event: Event, scope: Scope) -> Skip | None:
        return None if place(event) < self._share.part else Skip(self._rule, Why.SAMPLED, self._say(event))

    def show(self, event: Event, scope: Scope) -> Any:
        return self._say(event)

    def _say(self, event: Event) -> str:
        what = "the subject" if event.subject else "the id"
        return f"{what} is at {place(event):.2%} of all, the sample is the first {self._share}"
