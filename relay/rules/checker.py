"""Checks a whole rule: its body, its texts, its keys."""

from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

from relay.depth import BODY, value_exceeds
from relay.rules.alike import likeness
from relay.rules.body import is_open
from relay.rules.check import Known, inspect_condition, inspect_template
from relay.rules.keys import KEYS, gathers
from relay.rules.keys.let import Let
from relay.rules.keys.text import constant_names
from relay.rules.scope import NAMES
from relay.rules.shape import check_constants, check_shape, with_vars
from relay.rules.spec import Fault, RuleSpec
from relay.rules.walk import texts


class RuleChecker:
    """`check_rule` for the rules of one configuration. Of rules that are alike, one without faults is enough."""

    def __init__(self, vars: Mapping[str, Any]) -> None:  # noqa: A002 - the word of the configuration
        self._vars = vars
        self._faultless: set[Hashable] = set()

    def check(self, spec: RuleSpec) -> list[Fault]:
        """What `check_rule` finds."""
        alike = likeness(spec)
        if alike is not None and alike in self._faultless:
            return []
        faults = check_rule(spec, self._vars)
        if alike is not None and not faults:
            self._faultless.add(alike)
        return faults


def check_rule(spec: RuleSpec, vars: Mapping[str, Any]) -> list[Fault]:  # noqa: A002 - the word of the configuration
    """Every fault of a rule that can be known without an event, and what is perhaps not meant (`Fault.warn`)."""
    if value_exceeds(spec.chat, BODY) or value_exceeds(dict(spec.keys), BODY):
        return [Fault(("chat",), 1, "it nests too deeply: make it flatter")]
    lets = spec.keys.get(Let.name) or {}
    known = Known(NAMES.union(lets) if lets else NAMES, vars, constant_names(lets))
    faults = _check_chat(spec.chat, vars)
    in_chat = replace(known, names=known.names | {"events"}) if gathers(spec.keys) else known
    for path, text in texts(spec.chat, ("chat",)):
        faults += [Fault(path, line, message) for line, message in inspect_template(text, in_chat)]
    if spec.when is not None:
        faults += [Fault(("when",), line, message) for line, message in inspect_condition(spec.when, known)]
    if spec.message is not None:
        faults += [Fault(("message",), line, message) for line, message in inspect_template(spec.message, in_chat)]
        if not spec.message.strip():
            faults.append(Fault(("message",), 1, "it is empty: write what to say in the chat, or leave the key out"))
    if spec.follow is not None:
        faults += [Fault(("follow",), line, message) for line, message in inspect_template(spec.follow, in_chat)]
        if spec.keys.get("thread") is None:
            told = "has no effect without `thread`: add thread: {key, idle}, or remove it"
            faults.append(Fault(("follow",), 1, told))
    for key in KEYS:
        if (value := spec.keys.get(key.name)) is not None:
            faults += key.check(value, spec, known)
    return faults + (_check_stop(spec) if spec.stop else [])


def _check_stop(spec: RuleSpec) -> list[Fault]:
    late = [key.name for key in KEYS if key.skips_late and spec.keys.get(key.name) is not None]
    told = f"ends the matching also for events that {' or '.join(late)} then skips: no later rule sees them"
    return [Fault(("stop",), 1, told, warn=True)] if late else []


def _check_chat(chat: Mapping[str, Any], vars: Mapping[str, Any]) -> list[Fault]:  # noqa: A002 - as above
    faults = [Fault(("chat", *path), 1, message) for path, message in check_shape(chat, is_open)]
    if not faults and vars:
        for path, message in check_shape(with_vars(chat, vars), is_open):
            told = f"with `vars` as they are, {message}: until it is right, the rule makes no chat"
            faults.append(Fault(("chat", *path), 1, told, warn=True))
    return faults + [Fault(("chat", *path), 1, message) for path, message in check_constants(chat)]
