"""Records of the hot path, and how they are made anew."""

from dataclasses import fields, is_dataclass, replace

import pytest

from relay import model
from relay.ledger.queries.keys.memory import KeyRow
from relay.ledger.queries.keys.queue import QueueState
from relay.model import remade
from relay.rules import Rendered

KINDS = [
    kind
    for kind in (*(getattr(model, name) for name in model.__all__), KeyRow, QueueState, Rendered)
    if isinstance(kind, type) and is_dataclass(kind) and len(fields(kind)) > 1
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_record_is_made_anew_as_dataclasses_do(kind):
    names = [each.name for each in fields(kind) if each.init]
    record = kind(**{name: (name, 1) for name in names})
    for name in names:
        assert remade(record, **{name: 2}) == replace(record, **{name: 2})
        assert getattr(record, name) == (name, 1), "the old one stays as it was"


def test_a_name_that_is_none_of_its_fields_is_refused():
    with pytest.raises(KeyError, match="nothing"):
        remade(KeyRow("deal", 1), nothing=2)
