"""`redact`: personal data does not leave for Cargo; what the ledger keeps of the event is not changed."""

import json
from collections.abc import Sequence
from typing import Annotated, Any, Final, get_args

from pydantic import BeforeValidator, WithJsonSchema

from relay.model import Event, remade
from relay.rules.encode import encode
from relay.rules.keys.key import Key
from relay.rules.redact import Kind, Tries, cover, cover_body
from relay.rules.scope import Scope
from relay.rules.spec import Rendered, RuleSpec
from relay.written.kinds import listed

_WORD: Final = {"type": "string", "enum": list(get_args(Kind))}
_KINDS: Final = Annotated[
    tuple[Kind, ...],
    BeforeValidator(listed),
    WithJsonSchema({"anyOf": [_WORD, {"type": "array", "items": _WORD, "minItems": 1}]}),
]


class Redact(Key):
    """Covers the body, its name and the messages."""

    name = "redact"
    kind = _KINDS
    about = "What is replaced by [email] and the like in all that goes to Cargo: email, phone, card, iban."

    def __init__(self, value: Sequence[Kind], spec: RuleSpec) -> None:
        super().__init__(value, spec)
        self._kinds = frozenset(value)

    def show(self, event: Event, scope: Scope) -> Any:
        return sorted(self._kinds)

    def cover(self, rendered: Rendered) -> Rendered:
        if rendered.body is None:
            return rendered
        tries = Tries()
        try:
            body = cover_body(json.loads(rendered.body), self._kinds, tries)
            message = None if rendered.message is None else cover(rendered.message, self._kinds, tries)
            follow = None if rendered.follow is None else cover(rendered.follow, self._kinds, tries)
        except ValueError as error:  # sent without being covered, it would be the very leak
            return rendered.fail(f"redact: {error}")
        return remade(rendered, body=encode(body), message=message, follow=follow, name=body.get("name"))
