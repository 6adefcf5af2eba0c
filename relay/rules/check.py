"""Finds at load what would go wrong with a template or condition on every event."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from relay.rules.filters import FILTERS, TESTS
from relay.rules.sandbox import STRICT, path_of
from relay.rules.scope import FIELDS, NAMES
from relay.rules.spec import Fault
from relay.rules.template import is_template, parse, parse_condition

Problem = tuple[int, str]
"""A line, from 1 inside the text, and what is wrong there."""

_FOREIGN: Final = (
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
    nodes.Extends,
    nodes.Block,
)
_BY_NAME: Final = {"map": FILTERS, "select": TESTS, "reject": TESTS}


def suggest(word: str, known: Mapping[str, Any] | frozenset[str]) -> str:
    """`; did you mean "x"?` where a known word is near, else nothing."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f'; did you mean "{near[0]}"?' if near else ""


@dataclass(frozen=True, slots=True)
class Known:
    """The names that a text may use; `vars` are the constants of the configuration, None when they are not in scope."""

    names: frozenset[str] = NAMES
    vars: Mapping[str, Any] | None = None


def check_text(text: str, known: Known) -> list[Problem]:
    """Problems of a template, by line."""
    return _check(text, parse, known) if is_template(text) else []


def check_template(text: str, names: frozenset[str] = frozenset({"data", "headers"})) -> list[Fault]:
    """Faults of a template that stands outside the rules, as a source's `event.id`; their path is empty."""
    return [Fault((), line, message) for line, message in check_text(text, Known(names))]


def check_condition(text: str, known: Known) -> list[Problem]:
    """Problems of a bare expression, by line."""
    if not text.strip():
        return [(1, 'it is empty: write an expression, as data.priority == "high", or leave the key out')]
    if is_template(text):
        return [(1, "it is a bare expression: write it without {{ }} and {% %}")]
    return _check(text, parse_condition, known)


def _check(text: str, parser: Callable[[str], nodes.Node], known: Known) -> list[Problem]:
    try:
        tree = parser(text)
    except TemplateSyntaxError as error:
        return [(error.lineno, _reword(error.message or "it cannot be read"))]
    bound = _bound(tree) | known.names | STRICT.globals.keys()
    return sorted({problem for node in _walk(tree) for problem in _inspect(node, bound, known)})


def _reword(message: str) -> str:
    return message if "'='" not in message else f"{message}; to compare, write =="


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    yield tree
    for child in tree.iter_child_nodes():
        yield from _walk(child)


def _bound(tree: nodes.Node) -> set[str]:
    names: set[str] = set()
    for node in _walk(tree):
        match node:
            case nodes.Name(name=name, ctx="store" | "param"):
                names.add(name)
            case nodes.For():
                names.add("loop")
            case nodes.Macro(name=name):
                names |= {name, "caller", "varargs", "kwargs"}
    return names


def _inspect(node: nodes.Node, bound: set[str], known: Known) -> Iterator[Problem]:
    match node:
        case nodes.Name(ctx="load", name=name) if name not in bound:
            yield node.lineno, _unknown_name(name, known)
        case nodes.Filter(name=name):
            yield from _inspect_filter(node, name)
        case nodes.Test(name=name) if name not in TESTS:
            yield node.lineno, f'there is no test "{name}"{suggest(name, TESTS)}'
        case nodes.Call(node=nodes.Getattr(attr=attr) as callee) if not _of_loop(callee):
            yield node.lineno, _no_method(path_of(callee), attr)
        case (
            nodes.Getattr(node=nodes.Name(name=name), attr=key)
            | nodes.Getitem(node=nodes.Name(name=name), arg=nodes.Const(value=str() as key))
        ):
            yield from ((node.lineno, message) for message in _unknown_key(name, key, known))
        case nodes.NSRef():
            yield node.lineno, "a template sets names, not what is inside them"
        case nodes.Stmt() if isinstance(node, _FOREIGN):
            word = type(node).__name__.lower().replace("fromimport", "import")
            yield node.lineno, f"a template stands alone: there is no {{% {word} %}}"


def _inspect_filter(node: nodes.Filter, name: str) -> Iterator[Problem]:
    if name not in FILTERS:
        yield node.lineno, f'there is no filter "{name}"{suggest(name, FILTERS)}'
        return
    first = node.args[0].value if node.args and isinstance(node.args[0], nodes.Const) else None
    if not isinstance(first, str):
        return
    if name in _BY_NAME and first not in _BY_NAME[name]:
        yield node.lineno, f'{name}: there is nothing named "{first}"{suggest(first, _BY_NAME[name])}'
    if name.startswith("regex_"):
        try:
            re.compile(first)
        except re.error as error:
            yield node.lineno, f"{name}: the pattern is wrong: {error}"


def _of_loop(callee: nodes.Getattr) -> bool:
    return isinstance(callee.node, nodes.Name) and callee.node.name == "loop"


def _no_method(path: str, attr: str) -> str:
    instead = f": write | {attr}" if attr in FILTERS else ""
    return f"{path}() is a method; there are none, only filters{instead}"


def _unknown_name(name: str, known: Known) -> str:
    near = suggest(name, known.names)
    return f'there is no "{name}"{near or "; in scope are " + ", ".join(sorted(known.names))}'


def _unknown_key(name: str, key: str, known: Known) -> Iterator[str]:
    if name == "vars" and known.vars is not None and key not in known.vars:
        yield f'there is no "{key}" under vars{suggest(key, known.vars) or "; add it there"}'
    if name == "event" and "event" in known.names and key not in FIELDS:
        near = suggest(key, FIELDS) or "; it has " + ", ".join(sorted(FIELDS))
        yield f'the event has no "{key}"{near} (the body is under data)'
