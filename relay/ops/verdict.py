"""Masks what dry runs and explanations show of a stored event, of which the caller may not see all."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from relay.mask import MASK, Mask, parse_path

_MASKED: Final = ("keys", "body", "message", "follow")
"""The fields of a rule's verdict that are made of the event."""
_CUT: Final = "..."
"""How a text ends that was cut."""


def unasked(trial: Mapping[str, Any]) -> dict[str, Any]:
    """A dry run for which the ledger was not asked."""
    tried = trial["events"]
    return {"events": [{**each, "rules": [{**verdict, "now": None} for verdict in each["rules"]]} for each in tried]}


def mask_trial(trial: Mapping[str, Any], mask: Mask, paths: Sequence[str]) -> dict[str, Any]:
    """What the rules would do with the event whose mask this is. `paths` are those that are hidden."""
    return {"events": [_tried(each, mask, paths) for each in trial["events"]]}


def mask_explained(explained: Mapping[str, Any], mask: Mask, paths: Sequence[str]) -> dict[str, Any]:
    """Why each rule made a chat of the event or did not."""
    return {**explained, "rules": [_verdict(verdict, mask, paths) for verdict in explained["rules"]]}


def _tried(tried: Mapping[str, Any], mask: Mask, paths: Sequence[str]) -> dict[str, Any]:
    event = tried["event"]
    shown = {key: value if key in {"source", "time"} else mask.value(value) for key, value in event.items()}
    return {
        "event": shown | {"data": mask.data(event["data"])},
        "rules": [_verdict(verdict, mask, paths) for verdict in tried["rules"]],
    }


def _verdict(verdict: Mapping[str, Any], mask: Mask, paths: Sequence[str]) -> dict[str, Any]:
    """What a rule does with the event. Why `when` is false names values, each of which stands in a condition too."""
    shown = {**verdict, **{name: mask.value(verdict.get(name)) for name in _MASKED}}
    if isinstance(keys := shown["keys"], Mapping) and isinstance(lets := keys.get("let"), Mapping):
        shown["keys"] = {**keys, "let": {name: MASK if _is_cut(value) else value for name, value in lets.items()}}
    shown["why"] = mask.optional(verdict.get("why"))
    shown["conditions"] = conditions = [
        {**each, "values": _values(each.get("values") or {}, mask, paths), "error": mask.optional(each.get("error"))}
        for each in verdict.get("conditions", ())
    ]
    given = [each.get("values") or {} for each in verdict.get("conditions", ())]
    if verdict.get("reason") == "when" and (
        _CUT in (shown["why"] or "") or given != [each["values"] for each in conditions]
    ):
        shown["why"] = "when is false"
    for name, inner in (("skip", "detail"), ("failure", "message")):
        if isinstance(found := verdict.get(name), Mapping):
            shown[name] = {**found, inner: mask.value(found.get(inner))}
    if isinstance(now := verdict.get("now"), Mapping):
        shown["now"] = _now(now, mask)
    return shown


def _values(values: Mapping[str, Any], mask: Mask, paths: Sequence[str]) -> dict[str, Any]:
    """The values of a condition, by the paths that it names."""
    return {mask.text(path): _value(path, value, mask, paths) for path, value in values.items()}


def _value(path: str, value: Any, mask: Mask, paths: Sequence[str]) -> Any:
    """The value of a path; as a whole masked where it was cut and may have held a hidden one."""
    try:
        steps = parse_path(path)
    except ValueError:  # a name of `let`, which may hold any part of the event
        return MASK if _is_cut(value) else mask.value(value)
    inner = [rest for hidden in paths if (rest := _behind(steps, parse_path(hidden))) is not None]
    return MASK if inner and _is_cut(value) else mask.value(value, inner)


def _is_cut(value: Any) -> bool:
    return isinstance(value, str) and value.endswith(_CUT)


def _behind(steps: Sequence[str], hidden: Sequence[str]) -> Sequence[str] | None:
    """What a hidden path has behind a path, nothing where it leads there or higher; None where it leads elsewhere.

    A number in a path may be that of an item whose list the hidden path passes by.
    """
    for number, step in enumerate(steps):
        if not hidden:
            return ()
        if step == hidden[0]:
            hidden = hidden[1:]
        elif not step.isdecimal() or number == 0:
            return None
    return hidden


def _now(now: Mapping[str, Any], mask: Mask) -> dict[str, Any]:
    """What the ledger would say: the key and a skip may name values."""
    held, skip = now["held"], now["skip"]
    return {
        **now,
        "held": None if held is None else {**held, "key": mask.optional(held["key"])},
        "skip": None if skip is None else {**skip, "detail": mask.value(skip["detail"])},
    }
