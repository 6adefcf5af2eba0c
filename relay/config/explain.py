"""Turns pydantic's errors into faults in plain words, each with its place."""

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from relay.config.fault import ConfigFault, near, spell
from relay.config.tree import Leaf, Node, Path, find, key_place, place
from relay.written.describe import descriptions, keys_of
from relay.written.reference import Opaque

_EMPTY: Final = "is empty: give it a value or leave the key out"
_KINDS: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
}
_EACH: Final = {"sources": "a source of this type", "rules": "a rule", "tests": "a test"}
_QUOTE: Final = (bool, int, float)
_WANTED: Final[Mapping[str, str]] = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "tuple_type": "a list",
}


def explain(error: ValidationError, model: type[BaseModel], node: Node, base: Path, root: Node) -> list[ConfigFault]:
    """The faults of `error`, which `model` raised for the values of `node`. `base` is the node's path in `root`."""
    faults = []
    for detail in error.errors(include_url=False):
        path = (*detail["loc"], *_aimed(detail))
        message = _explain_one(detail, path, model, node, base)
        mark = key_place(node, path) if detail["type"] == "extra_forbidden" else _where(node, path, base, root)
        faults.append(ConfigFault(mark, spell(base + path, root), message))
    return faults


def scrub(message: str, node: Node | None) -> str:
    """Replace values that were filled into the scalar by their references, because they may be secret."""
    if isinstance(node, Leaf):
        for value, reference in sorted(node.filled.items(), key=lambda pair: -len(pair[0])):
            for form in (value, repr(value)[1:-1]):
                message = message.replace(form, reference)
    return message


def _aimed(detail: ErrorDetails) -> Path:
    return (detail["ctx"]["key"],) if detail["type"] == "fault" else ()


def _where(node: Node, path: Path, base: Path, root: Node) -> Any:
    target = find(node, path)
    if target is None and len(path) <= 1:
        return place(root, base)
    return place(node, path) if path else place(root, base)


def _explain_one(detail: ErrorDetails, path: Path, model: type[BaseModel], node: Node, base: Path) -> str:
    kind, value, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    leaf = find(node, path)
    if isinstance(leaf, Leaf) and isinstance(leaf.value, Opaque):
        return f"{leaf.value} is not set, and this key needs a value: set it, or write a default"
    if kind == "extra_forbidden":
        return f"is not a key of {_title(base + path[:-1])}: {near(str(path[-1]), _fields(model, path[:-1]))}"
    if kind == "missing":
        return f"is missing: add it ({_field_text(model, path)})"
    if value is None and isinstance(leaf, Leaf):
        return _EMPTY
    if kind in {"fault", "value_error"}:
        return scrub(str(context.get("message") or context["error"]), leaf)
    return _describe(kind, value, context)


def _describe(kind: str, value: Any, context: Mapping[str, Any]) -> str:
    if kind == "literal_error":
        words = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return f"is not one of {', '.join(words)}: write one of them"
    if kind in {"greater_than_equal", "less_than_equal"}:
        bound = context.get("ge", context.get("le"))
        return f"must be {'at least' if 'ge' in context else 'at most'} {bound}: write such a number"
    if kind == "string_too_short":
        return _EMPTY
    expected = _WANTED.get(kind, "something else")
    return f"must be {expected}, not {_KINDS.get(type(value), 'that')}{_advise(expected, value)}"


def _advise(expected: str, value: Any) -> str:
    if expected == "text" and isinstance(value, _QUOTE):
        return ": put it in quotes"
    if expected == "text" and isinstance(value, dict | list):
        return ": put it in quotes, because { and [ are YAML syntax"
    if isinstance(value, str) and expected in {"a whole number", "true or false"}:
        return ": write it without quotes"
    return ": look it up in config/reference.yaml"


def _title(above: Path) -> str:
    if len(above) == 2 and above[0] in _EACH:
        return _EACH[str(above[0])]
    if len(above) > 1 and isinstance(above[-1], int):
        return f"`{above[-2]}[{above[-1]}]`"
    return f"`{above[-1]}`"


def _fields(model: type[BaseModel], path: Path) -> frozenset[str]:
    block = _block(model, path)
    return frozenset(keys_of(block)) if block else frozenset()


def _block(model: type[BaseModel], path: Path) -> type[BaseModel] | None:
    """The block at a path, also in a list of blocks."""
    inner: type[BaseModel] | None = model
    for step in path:
        if isinstance(step, str) and inner is not None:
            name = keys_of(inner).get(step)
            inner = _model(inner.model_fields[name]) if name else None
    return inner


def _field_text(model: type[BaseModel], path: Path) -> str:
    block = _block(model, path[:-1])
    name = keys_of(block).get(str(path[-1])) if block else None
    told = descriptions(block).get(name) or block.model_fields[name].description if block and name else None
    text = told or "give it a value"
    return text[0].lower() + text[1:].rstrip(".")


def _model(field: FieldInfo) -> type[BaseModel] | None:
    return next((kind for kind in _kinds(field.annotation) if issubclass(kind, BaseModel)), None)


def _kinds(annotation: Any) -> list[type]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation]
    if get_origin(annotation) in {Union, UnionType, Annotated, tuple, list}:
        return [kind for part in get_args(annotation) for kind in _kinds(part)]
    return []
