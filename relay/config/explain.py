"""pydantic's findings in plain words, each at its place."""

from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from relay.config.fault import Fault, near, spell
from relay.config.fill import Opaque
from relay.config.tree import Leaf, Node, Path, find, key_place, place

_EMPTY: Final = "is empty: give it a value or leave the key out"
_KINDS: Final[Mapping[type, str]] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a mapping",
}
_EACH: Final = {"sources": "a source of this type", "rules": "a rule"}
_QUOTE: Final = (bool, int, float)
_WANTED: Final[Mapping[str, str]] = {
    "string_type": "text",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "dict_type": "a mapping of keys",
    "model_type": "a mapping of keys",
    "tuple_type": "a list",
}


def explain(error: ValidationError, model: type[BaseModel], node: Node, base: Path, root: Node) -> list[Fault]:
    """The faults behind `error`, which `model` raised on the values of `node`; `base` is the node's path in `root`."""
    faults = []
    for detail in error.errors(include_url=False):
        path = (*detail["loc"], *_aimed(detail))
        found = _explain_one(detail, path, model, node, base)
        at = key_place(node, path) if detail["type"] == "extra_forbidden" else _where(node, path, base, root)
        faults.append(Fault(at, spell(base + path, root), found))
    return faults


def scrub(message: str, node: Node | None) -> str:
    """The message with what was filled into the scalar given back as its reference: it may be a secret."""
    if isinstance(node, Leaf):
        for value, reference in sorted(node.filled.items(), key=lambda pair: -len(pair[0])):
            for form in (value, repr(value)[1:-1]):
                message = message.replace(form, reference)
    return message


def _aimed(detail: ErrorDetails) -> Path:
    return (detail["ctx"]["key"],) if detail["type"] == "fault" else ()


def _where(node: Node, path: Path, base: Path, root: Node) -> Any:
    found = find(node, path)
    if found is None and len(path) <= 1:
        return place(root, base)
    return place(node, path) if path else place(root, base)


def _explain_one(detail: ErrorDetails, path: Path, model: type[BaseModel], node: Node, base: Path) -> str:
    kind, given, context = detail["type"], detail.get("input"), detail.get("ctx", {})
    leaf = find(node, path)
    if isinstance(leaf, Leaf) and isinstance(leaf.value, Opaque):
        return f"{leaf.value} is not known here and nothing can stand in for it: set it, or write a default"
    if kind == "extra_forbidden":
        return f"is not a key of {_title(base + path[:-1])}: {near(str(path[-1]), _fields(model, path[:-1]))}"
    if kind == "missing":
        return f"is missing: add it ({_field_text(model, path)})"
    if given is None and isinstance(leaf, Leaf):
        return _EMPTY
    if kind in {"fault", "value_error"}:
        return scrub(str(context.get("message") or context["error"]), leaf)
    return _describe(kind, given, context)


def _describe(kind: str, given: Any, context: Mapping[str, Any]) -> str:
    if kind == "literal_error":
        words = str(context["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return f"is not one of {', '.join(words)}: write one of them"
    if kind in {"greater_than_equal", "less_than_equal"}:
        bound = context.get("ge", context.get("le"))
        return f"must be {'at least' if 'ge' in context else 'at most'} {bound}: write such a number"
    if kind == "string_too_short":
        return _EMPTY
    wanted = _WANTED.get(kind, "something else")
    return f"must be {wanted}, not {_KINDS.get(type(given), 'that')}{_mend(wanted, given)}"


def _mend(wanted: str, given: Any) -> str:
    if wanted == "text" and isinstance(given, _QUOTE):
        return ": put it in quotes"
    if wanted == "text" and isinstance(given, dict | list):
        return ": put it in quotes, since { and [ are YAML's own"
    if isinstance(given, str) and wanted in {"a whole number", "true or false"}:
        return ": write it without quotes"
    return ": look it up in config/reference.yaml"


def _title(above: Path) -> str:
    if len(above) == 2 and above[0] in _EACH:
        return _EACH[str(above[0])]
    return f"`{above[-1]}`"


def _fields(model: type[BaseModel], path: Path) -> frozenset[str]:
    inner: type[BaseModel] | None = model
    for step in path:
        field = inner.model_fields.get(str(step)) if inner else None
        inner = _model(field) if field else None
    return frozenset(inner.model_fields) if inner else frozenset()


def _field(model: type[BaseModel], path: Path) -> FieldInfo | None:
    inner: type[BaseModel] | None = model
    for step in path[:-1]:
        field = inner.model_fields.get(str(step)) if inner else None
        inner = _model(field) if field else None
    return inner.model_fields.get(str(path[-1])) if inner else None


def _field_text(model: type[BaseModel], path: Path) -> str:
    field = _field(model, path)
    text = (field.description if field else None) or "give it a value"
    return text[0].lower() + text[1:].rstrip(".")


def _model(field: FieldInfo) -> type[BaseModel] | None:
    return next((kind for kind in _kinds(field.annotation) if issubclass(kind, BaseModel)), None)


def _kinds(annotation: Any) -> list[type]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation]
    if get_origin(annotation) in {Union, UnionType, Annotated}:
        return [kind for part in get_args(annotation) for kind in _kinds(part)]
    return []
