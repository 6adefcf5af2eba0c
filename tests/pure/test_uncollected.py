"""What is made uncollected is left alone by collections, and is freed all the same."""

import gc
import weakref

from relay.app.dry import make_rules
from relay.config import load
from relay.config.rule import BaseRule
from relay.rules import RuleSpec
from relay.uncollected import uncollected
from tests.ledger.build import make_event


class Rule:
    """Something that stays."""


def test_what_was_made_is_in_no_later_collection_and_is_freed():
    with uncollected():
        assert not gc.isenabled()
        made = [Rule() for _ in range(1_000)]
    assert gc.isenabled()
    assert not any(isinstance(each, Rule) for each in gc.get_objects())
    last = weakref.ref(made[-1])
    del made
    assert last() is None


def test_a_configuration_refers_to_itself_nowhere_so_that_an_old_one_is_freed(tmp_path):
    path = tmp_path / "relay.yaml"
    rules = "".join(
        f"  - {{name: old-{number}, chat: {{name: '{number} {{{{ data.id }}}}', trigger: {{type: draft}}}}}}\n"
        for number in range(100)
    )
    path.write_text(f"cargo: {{token: a-token}}\nsources: {{crm: {{type: webhook, scheme: none}}}}\nrules:\n{rules}")

    made = make_rules(load([path], {}).settings)
    made.match(make_event())  # compiles what it tries
    assert len(made.rules) == 100
    del made
    gc.unfreeze()  # so that they would be seen
    kept = [each for each in gc.get_objects() if isinstance(each, BaseRule | RuleSpec) and each.name.startswith("old-")]
    assert not kept
