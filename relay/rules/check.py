"""Finds at load what would go wrong with a template or condition on every event."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final, NamedTuple

from jinja2 import nodes
from jinja2.exceptions import TemplateSyntaxError

from relay.rules.crm import ARGUMENTS, NEEDED
from relay.rules.filters import FILTERS
from relay.rules.outline import holes, outline, skeleton
from relay.rules.pattern import compile_pattern
from relay.rules.predicates import TESTS
from relay.rules.sandbox import STRICT, path_of
from relay.rules.scope import FIELDS, NAMES
from relay.rules.template import compile_condition, compile_template, is_template, parse, parse_condition

Problem = tuple[int, str]
"""A line, from 1 inside the text, and what is wrong there."""

_FOREIGN: Final[Mapping[type[nodes.Node], str]] = {
    nodes.Include: "include",
    nodes.Import: "import",
    nodes.FromImport: "from",
    nodes.Extends: "extends",
    nodes.Block: "block",
    nodes.ScopedEvalContextModifier: "autoescape",
}
CREDENTIALS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})
"""Headers that no event has, whatever its source."""
_BY_NAME: Final = {"map": FILTERS, "select": TESTS, "reject": TESTS}


def suggest(word: str, known: Mapping[str, Any] | frozenset[str]) -> str:
    """`; did you mean "x"?` where a known word is near, else nothing."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f'; did you mean "{near[0]}"?' if near else ""


@dataclass(frozen=True, slots=True)
class Known:
    """The names that a text may use; `vars` are the constants of the configuration, None when they are not in scope.

    `constant` are those of the names that have the same value for every event.
    """

    names: frozenset[str] = NAMES
    vars: Mapping[str, Any] | None = None
    constant: frozenset[str] = frozenset({"vars"})


def inspect_template(text: str, known: Known) -> list[Problem]:
    """Problems of a template, by line."""
    return _inspect_text(text, known, _TEMPLATE) if is_template(text) else []


def inspect_condition(text: str, known: Known) -> list[Problem]:
    """Problems of a bare expression, by line."""
    if not text.strip():
        return [(1, 'it is empty: write an expression, as data.priority == "high", or leave the key out')]
    if is_template(text):
        return [(1, "it is a bare expression: write it without {{ }} and {% %}")]
    return _inspect_text(text, known, _CONDITION)


def _inspect_text(text: str, known: Known, reader: "_Reader") -> list[Problem]:
    survey = reader.quick(text, known.names) or _survey(text, known.names, reader)
    if known.vars is None:
        return list(survey.problems)
    absent = [(line, _unknown_var(key, known.vars)) for line, key in survey.vars if key not in known.vars]
    return sorted({*survey.problems, *absent})


@dataclass(frozen=True, slots=True)
class _Survey:
    """What is wrong with a text whatever the `vars` are, and the keys of `vars` that it uses, by line."""

    problems: tuple[Problem, ...]
    vars: tuple[tuple[int, str], ...] = ()


class _Reader(NamedTuple):
    """`quick` gives the survey of a text without faults by the outlines of its expressions, None for any other."""

    parse: Callable[[str], nodes.Node]
    compile: Callable[[str], object]
    quick: Callable[[str, frozenset[str]], _Survey | None]


@lru_cache(maxsize=8_192)
def _by_holes(text: str, names: frozenset[str]) -> _Survey | None:
    vars_used: list[tuple[int, str]] = []
    outlines = holes(text)
    for line, each in ((1, skeleton(text)),) if outlines is None else outlines:
        survey = _survey(each, names, _TEMPLATE)
        if survey.problems:
            return None
        vars_used += [(line + inside - 1, key) for inside, key in survey.vars]
    return _Survey((), tuple(vars_used))


def _whole(text: str, names: frozenset[str]) -> _Survey | None:
    survey = _survey(outline(text), names, _CONDITION)
    return None if survey.problems else survey


_TEMPLATE: Final = _Reader(parse, compile_template, _by_holes)
_CONDITION: Final = _Reader(parse_condition, compile_condition, _whole)


@lru_cache(maxsize=8_192)
def _survey(text: str, names: frozenset[str], reader: _Reader) -> _Survey:
    """A survey costs a millisecond."""
    try:
        tree = reader.parse(text)
        bound = _bound(tree) | names | STRICT.globals.keys()
        found = {problem for node in _walk(tree) for problem in _inspect(node, bound, names)}
        used = tuple(pair for node in _walk(tree) for pair in _keys(node, "vars"))
        if not found:
            reader.compile(text)
    except TemplateSyntaxError as error:
        return _Survey(((error.lineno, _reword(error.message or "it cannot be read")),))
    return _Survey(tuple(sorted(found)), used)


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


def _inspect(node: nodes.Node, bound: set[str], names: frozenset[str]) -> Iterator[Problem]:
    match node:
        case nodes.Name(ctx="load", name=name) if name not in bound:
            near = suggest(name, names) or f"; in scope are {', '.join(sorted(names))}"
            yield node.lineno, f'there is no "{name}"{near}'
        case nodes.Filter(name=name):
            yield from _inspect_filter(node, name)
        case nodes.Test(name=name) if name not in TESTS:
            yield node.lineno, f'there is no test "{name}"{suggest(name, TESTS)}'
        case nodes.Call(node=nodes.Getattr(attr=attr) as callee) if not _of_loop(callee):
            yield node.lineno, _no_method(path_of(callee), attr)
        case nodes.NSRef():
            yield node.lineno, "a template sets names, not what is inside them"
        case nodes.Stmt() if word := _FOREIGN.get(type(node)):
            yield node.lineno, f"a template stands alone: there is no {{% {word} %}}"
    yield from _inspect_headers(node)
    if "event" in names:
        yield from ((line, _unknown_field(key)) for line, key in _keys(node, "event") if key not in FIELDS)


def _inspect_headers(node: nodes.Node) -> Iterator[Problem]:
    """Names of headers that never match: they are kept in lower case, and credentials are not kept at all."""
    for line, key in _keys(node, "headers"):
        if told := _unknown_header(key):
            yield line, told
    match node:
        case nodes.Compare(expr=nodes.Const(value=str() as key), ops=[operand, *_]) if (
            operand.op in {"in", "notin"} and isinstance(operand.expr, nodes.Name) and operand.expr.name == "headers"
        ):
            if told := _unknown_header(key):
                yield node.lineno, told
        case nodes.Sub(left=nodes.Getattr(node=nodes.Name(name="headers"), attr=key)):
            written = path_of(node.right)
            yield node.lineno, f'headers.{key}-{written} is a subtraction: write headers["{key}-{written}"]'


def _unknown_header(key: str) -> str | None:
    if key != key.lower():
        return f'headers["{key}"] never matches, as names of headers are in lower case: write headers["{key.lower()}"]'
    if key in CREDENTIALS:
        return f'headers["{key}"] never matches: it carries a credential, and those are not kept'
    return None


def _keys(node: nodes.Node, holder: str) -> Iterator[tuple[int, str]]:
    match node:
        case (
            nodes.Getattr(node=nodes.Name(name=name), attr=key)
            | nodes.Getitem(node=nodes.Name(name=name), arg=nodes.Const(value=str() as key))
        ) if name == holder:
            yield node.lineno, key


def _inspect_filter(node: nodes.Filter, name: str) -> Iterator[Problem]:
    if name not in FILTERS:
        yield node.lineno, f'there is no filter "{name}"{suggest(name, FILTERS)}'
        return
    first = _constant(node, 0)
    if isinstance(first, str) and name in _BY_NAME and first not in _BY_NAME[name]:
        yield node.lineno, f'{name}: there is nothing named "{first}"{suggest(first, _BY_NAME[name])}'
    called, at = (first, 1) if name == "map" and isinstance(first, str) else (name, 0)
    given = _constant(node, at, "pattern")
    if called.startswith("regex_") and isinstance(given, str):
        try:
            compile_pattern(given)
        except ValueError as error:
            yield node.lineno, f"{called}: {error}"
    if name in ARGUMENTS:
        argument, require = ARGUMENTS[name]
        given = _constant(node, 0, argument)
        if name in NEEDED and not (node.args or node.kwargs):
            yield node.lineno, f"{name} needs its {argument}: write | {name}(...)"
        try:
            if given is not None:
                require(given)
        except (TypeError, ValueError) as error:
            yield node.lineno, f"{error}"


def _constant(node: nodes.Filter, at: int, name: str | None = None) -> Any:
    """The argument of a filter that stands there or is called so, if it is written out; else None."""
    arguments = [*node.args[at : at + 1], *(pair.value for pair in node.kwargs if pair.key == name)]
    return next((one.value for one in arguments if isinstance(one, nodes.Const)), None)


def _of_loop(callee: nodes.Getattr) -> bool:
    return isinstance(callee.node, nodes.Name) and callee.node.name == "loop"


def _no_method(path: str, attr: str) -> str:
    instead = f": write | {attr}" if attr in FILTERS else ""
    return f"{path}() is a method; there are none, only filters{instead}"


def _unknown_var(key: str, known: Mapping[str, Any]) -> str:
    return f'there is no "{key}" under vars{suggest(key, known) or "; add it there"}'


def _unknown_field(key: str) -> str:
    near = suggest(key, FIELDS) or f"; it has {', '.join(sorted(FIELDS))}"
    return f'the event has no "{key}"{near} (the body is under data)'
