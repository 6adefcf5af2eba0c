"""What the checks of a rule look at. Rules that are alike in it have the same faults, or none.

Ten thousand rules of one configuration are often a few, written with other constants.
"""

import math
from collections.abc import Hashable, Mapping
from typing import Any

from relay.rules.encode import check_text
from relay.rules.keys import KEYS
from relay.rules.outline import expressions, outline, skeleton
from relay.rules.shape import is_lone, is_uuid
from relay.rules.spec import RuleSpec
from relay.rules.template import is_template


def likeness(spec: RuleSpec) -> Hashable | None:
    """What two rules without faults must have in common; None for a rule that is checked as it stands."""
    keys = tuple((key, value) for key in KEYS if (value := spec.keys.get(key.name)) is not None)
    if any(key.reads_texts for key, _ in keys):
        return None
    try:
        alike = (
            _of_value("chat", spec.chat),
            None if spec.when is None else _of_condition(spec.when),
            None if spec.message is None else _of_message(spec.message),
            None if spec.follow is None else _of_message(spec.follow),
            spec.stop,
            tuple((key.name, tuple(value.items()) if isinstance(value, dict) else value) for key, value in keys),
        )
        hash(alike)
    except (TypeError, ValueError):  # a value that cannot be hashed; a text that nothing can hold
        return None
    return alike


def _of_value(name: str | None, value: Any) -> Hashable:
    """A part of the body. Of a constant text only its kind is looked at, except for the type of a trigger."""
    if isinstance(value, str):
        check_text(value)
        if is_template(value):
            return is_lone(value), _of_template(value)
        return value if name == "type" else is_uuid(value)
    if isinstance(value, Mapping):
        return tuple((key, _of_value(key, item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return "[", tuple(_of_value(None, item) for item in value)
    return type(value), isinstance(value, float) and math.isfinite(value)


def _of_template(text: str) -> Hashable:
    found = expressions(text)
    return skeleton(text) if found is None else tuple(map(outline, found))


def _of_message(text: str) -> Hashable:
    return _of_template(text) if is_template(text) else bool(text.strip())


def _of_condition(text: str) -> Hashable:
    return text if is_template(text) or not text.strip() else outline(text)
