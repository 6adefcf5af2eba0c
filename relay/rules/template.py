"""Templates (strict, and typed where they are one lone expression) and conditions (lenient)."""

import json
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

from jinja2 import TemplateError, Undefined, nodes
from jinja2.exceptions import TemplateSyntaxError, UndefinedError
from jinja2.utils import missing

from relay.errors import Permanent
from relay.rules import plain
from relay.rules.budget import Rendering
from relay.rules.encode import encode
from relay.rules.missing import Absent, join
from relay.rules.parser import Parser
from relay.rules.sandbox import LENIENT, STRICT, Sandbox, path_of
from relay.rules.scope import NAMES, Failed, Letting, Scope

Read = Callable[[str], nodes.Template]
"""Gives the tree of a template. Raises jinja2's TemplateSyntaxError."""
Find = Callable[[Scope], Any]
"""Gives the value of a path of a condition in a scope, `Absent` for what is missing."""

_RESULT: Final = "result"
_LONGEST: Final = 500
_KEPT: Final = 8_192


def is_template(text: str) -> bool:
    """Whether there is anything of Jinja's in the text."""
    return "{{" in text or "{%" in text or "{#" in text


def parse(text: str) -> nodes.Template:
    """The tree of a template. Raises jinja2's TemplateSyntaxError with `lineno`."""
    return STRICT.parse(text)


def parse_condition(text: str) -> nodes.Expr:
    """The tree of a bare expression. Raises jinja2's TemplateSyntaxError with `lineno`."""
    return Parser(LENIENT, text, state="variable").parse_whole()


def lone(tree: nodes.Template) -> nodes.Expr | None:
    """The expression, where a template is exactly one `{{ expression }}`."""
    match tree.body:
        case [nodes.Output(nodes=[nodes.TemplateData()])]:
            return None
        case [nodes.Output(nodes=[expression])]:
            return expression
        case _:
            return None


def describe(error: Exception) -> str:
    """An exception of a template, for people."""
    return clean(str(error.message if isinstance(error, TemplateError) else error) or "it failed without a word")


def clean(text: str) -> str:
    """A message bounded and without what a database cannot hold: keys of a stranger may stand in it."""
    short = text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
    return short.encode(errors="backslashreplace").decode().replace("\x00", "\\x00")


def settle(value: Any) -> Any:
    """What an expression gave, with an iterator (of `map`, `select`) as a list. Raises when it is missing."""
    if type(value) in plain.SETTLED:
        return value
    if isinstance(value, Undefined):
        str(value)
    return list(value) if isinstance(value, Iterator | range) else value


def enter(sandbox: Sandbox, scope: Scope) -> Rendering:
    """A fresh context; made by hand, because Jinja's own way costs more than most expressions."""
    if type(scope) is not Letting:
        return Rendering(sandbox, {**sandbox.globals, **scope}, None, {})
    rendering = _Named(sandbox, {**sandbox.globals, **scope}, None, {})
    rendering.scope = scope
    return rendering


class _Named(Rendering):
    """A rendering that also knows the names of `let`. One that failed is missing, for the reason that it gives."""

    scope: Letting

    def resolve_or_missing(self, key: str) -> Any:
        value = super().resolve_or_missing(key)
        if value is not missing or not self.scope.has(key):
            return value
        value = self.scope.value(key)
        return self.environment.undefined(value.reason, name=key) if isinstance(value, Failed) else value


class Expression:
    """A compiled expression whose value keeps its type."""

    __slots__ = ("_root", "_sandbox")

    def __init__(self, sandbox: Sandbox, tree: nodes.Expr) -> None:
        self._sandbox = sandbox
        assign = nodes.Assign(nodes.Name(_RESULT, "store"), tree, lineno=1)
        self._root = sandbox.from_string(nodes.Template([assign], lineno=1)).root_render_func

    def __call__(self, scope: Scope) -> Any:
        """Its value in `scope`; raises whatever the expression raises."""
        context = enter(self._sandbox, scope)
        for _ in self._root(context):
            pass
        return context.vars[_RESULT]


@lru_cache(maxsize=_KEPT)
def compile_template(text: str, read: Read = parse) -> Callable[[Scope], Any]:
    """What gives the value of a template in a scope. Raises jinja2's TemplateSyntaxError with `lineno`.

    `read` gives the tree; two that are equal give the same.
    """
    if not is_template(text):
        return lambda _: text
    expression = lone(read(text.strip()))
    if expression is not None:
        evaluate = Expression(STRICT, expression)
        return plain.expression(expression, lambda scope: settle(evaluate(scope)))
    tree = read(text)
    short = plain.pieces(tree)  # before it is compiled, which changes the tree
    root = STRICT.from_string(tree).root_render_func
    return plain.text(short, lambda scope: "".join(root(enter(STRICT, scope))))


@lru_cache(maxsize=_KEPT)
def compile_condition(text: str) -> Callable[[Scope], Any]:
    """A bare expression, in which what is missing is no fault. Raises jinja2's TemplateSyntaxError with `lineno`."""
    tree = parse_condition(text)
    return plain.condition(tree, Expression(LENIENT, tree))


class Template:
    """A text with `{{ }}` in it, compiled once.

    Exactly one `{{ expression }}` (white space around it aside) gives the expression's own value; any other text
    gives text, in which a value stands as JSON and null as nothing. Raises ValueError when the text is no template;
    the message names the line. `evaluate` gives the value in a scope, not looked into, for what will be encoded as
    part of something larger; it raises whatever an expression raises.
    """

    __slots__ = ("evaluate", "text")

    def __init__(self, text: str, read: Read | None = None) -> None:
        """`read` gives the tree of a text, where it is another than the text says by itself."""
        self.text = text
        try:
            self.evaluate = compile_template(text) if read is None else compile_template(text, read)
        except TemplateSyntaxError as error:
            raise ValueError(f"line {error.lineno}: {error.message}") from None

    def render(self, scope: Scope) -> Any:
        """Its value in `scope`, a JSON value.

        Raises `Permanent` (code `render`) saying what was missing or wrong, also inside of it.
        """
        try:
            return _whole(self.evaluate(scope))
        except Exception as error:  # noqa: BLE001 - an expression may raise anything; its dispatch fails with the reason
            raise Permanent(describe(error), code="render") from None

    def find(self, scope: Scope) -> Any:
        """As `render`, but None where something is missing."""
        try:
            return _whole(self.evaluate(scope))
        except UndefinedError:
            return None
        except Exception as error:  # noqa: BLE001 - as in render
            raise Permanent(describe(error), code="render") from None


def _whole(value: Any) -> Any:
    """The value, once it is known that JSON can say all of it."""
    return value if isinstance(value, str) else json.loads(encode(value))


class Condition:
    """A bare expression, compiled once. Raises ValueError when the text is none; the message names the line."""

    __slots__ = ("_evaluate", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._evaluate = compile_condition(text)
        except TemplateSyntaxError as error:
            raise ValueError(f"line {error.lineno}: {error.message}") from None

    def holds(self, scope: Scope) -> bool:
        """Whether it is true in `scope`; what is missing is false. Raises `Permanent` when it cannot be told."""
        try:
            return bool(self._evaluate(scope))
        except Exception as error:  # noqa: BLE001 - an expression may raise anything; it is told and counts as false
            raise Permanent(describe(error), code="when") from None

    def gaps(self, scope: Scope) -> list[str]:
        """The paths it names that are missing in `scope`, for explaining. Raises `Permanent`."""
        values = [_look(find, scope) for _, find in _named(self.text)]
        return list(dict.fromkeys(value.path for value in values if isinstance(value, Absent)))

    def values(self, scope: Scope) -> dict[str, Any]:
        """The paths it names that are there, and what stands there, for explaining. Raises `Permanent`."""
        values = {text: _look(find, scope) for text, find in dict(_named(self.text)).items() if text is not None}
        return {text: value for text, value in values.items() if not isinstance(value, Absent)}


@lru_cache(maxsize=_KEPT)
def _named(condition: str) -> tuple[tuple[str | None, Find], ...]:
    """The paths that a condition names: how each is written, and what finds its value. Kept, because a page explains
    hundreds of rules, and to parse them again takes a hundred times as long as to look."""
    return tuple((_spell(path), _finder(path)) for path in _paths(parse_condition(condition)))


def _finder(path: nodes.Expr) -> Find:
    """What finds the value of a path. Jinja is needed only where it begins with something else than a name."""
    steps: list[tuple[Any, str]] = []
    holder = path
    while True:
        match holder:
            case nodes.Getattr(node=inner, attr=key) | nodes.Getitem(node=inner, arg=nodes.Const(value=key)):
                steps.append((key, path_of(inner)))
                holder = inner
            case _:
                break
    steps.reverse()
    if not isinstance(holder, nodes.Name):
        return Expression(LENIENT, path)
    name = holder.name

    def find(scope: Scope) -> Any:
        value = scope[name] if name in scope else enter(LENIENT, scope).resolve(name)
        for key, at in steps:
            value = LENIENT.reach(value, key, at)
        return value

    return find


def _look(find: Find, scope: Scope) -> Any:
    """The value of one path of a condition. It may fail where the whole did not: `and` may have passed it over."""
    try:
        return find(scope)
    except Exception as error:  # noqa: BLE001 - as in holds
        raise Permanent(describe(error), code="when") from None


def _spell(path: nodes.Expr) -> str | None:
    """A path as it is written; None for one that does not begin with a name, or has a computed key inside."""
    match path:
        case nodes.Name(name=name):
            return str(name)
        case nodes.Getattr(node=inner, attr=key) | nodes.Getitem(node=inner, arg=nodes.Const(value=key)):
            holder = _spell(inner)
            return None if holder is None else join(holder, key)
    return None


def _paths(tree: nodes.Node) -> Iterator[nodes.Expr]:
    """The outermost paths in an expression, as `data.detail.priority`, and names of `let`; keys that are computed end
    the search."""
    if isinstance(tree, nodes.Name):
        if tree.name not in NAMES and tree.name not in LENIENT.globals:
            yield tree
    elif isinstance(tree, nodes.Getattr) or (isinstance(tree, nodes.Getitem) and isinstance(tree.arg, nodes.Const)):
        yield tree
    else:
        for child in tree.iter_child_nodes():
            yield from _paths(child)
