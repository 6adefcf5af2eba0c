"""A skip: a rule that made no dispatch of an event, although its source, type and `when` fit (RULES)."""

from typing import Any

from relay.model.frozen import frozen
from relay.model.word import Word


class Why(Word):
    """Why a rule skipped an event."""

    IGNORED = "ignored"
    SAMPLED = "sampled"
    UNCHANGED = "unchanged"
    STALE = "stale"
    SHADOW = "shadow"


@frozen
class Skip:
    """`detail` is a JSON value for people: for `shadow` the body that would have been sent, else a text."""

    rule: str
    why: Why
    detail: Any = None

    def document(self) -> dict[str, Any]:
        """As the API and results show it."""
        return {"rule": self.rule, "why": str(self.why), "detail": self.detail}
