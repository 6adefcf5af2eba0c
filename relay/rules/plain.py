"""The short way for templates that name nothing but paths, as `Deal {{ data.id }}`: most of them do.

It is taken only while each step of a path is a key of a dict and the end is a JSON value, in a text a text or an
integer. Whatever else comes up, what is missing above all, is Jinja's to judge, so that nothing has two meanings.
"""

from collections.abc import Callable
from typing import Any, Final

from jinja2 import nodes

from relay.rules.scope import NAMES, Scope

Fill = Callable[[Scope], Any]
Path = tuple[str, ...]

SETTLED: Final = frozenset({str, int, float, bool, type(None), dict, list})
"""The types of JSON values, exactly."""
_NOWHERE: Final = object()


def expression(tree: nodes.Expr, fill: Fill) -> Fill:
    """What gives the value of one lone expression; `fill` is Jinja's way."""
    path = _path(tree)
    if path is None:
        return fill

    def short(scope: Scope) -> Any:
        value = _follow(scope, path)
        return value if type(value) in SETTLED else fill(scope)

    return short


def text(tree: nodes.Template, fill: Fill) -> Fill:
    """What gives the text of a template with expressions in it; `fill` is Jinja's way."""
    pieces = _pieces(tree)
    if pieces is None:
        return fill

    def short(scope: Scope) -> Any:
        texts = []
        for piece in pieces:
            value = piece if isinstance(piece, str) else _follow(scope, piece)
            if type(value) is int:
                value = str(value)
            elif type(value) is not str:
                return fill(scope)
            texts.append(value)
        return "".join(texts)

    return short


def _pieces(tree: nodes.Template) -> list[str | Path] | None:
    """Texts and paths in turn, None when there is anything else."""
    pieces: list[str | Path] = []
    for part in tree.body[0].iter_child_nodes() if [type(each) for each in tree.body] == [nodes.Output] else ():
        piece = part.data if isinstance(part, nodes.TemplateData) else _path(part)
        if piece is None:
            return None
        pieces.append(piece)
    return pieces or None


def _path(tree: nodes.Node) -> Path | None:
    """The keys of a path that begins with a name in scope, None for any other expression."""
    match tree:
        case nodes.Name(name=name) if name in NAMES:
            return (name,)
        case nodes.Getattr(node=holder, attr=key) | nodes.Getitem(node=holder, arg=nodes.Const(value=str() as key)):
            before = _path(holder)
            return None if before is None else (*before, key)
    return None


def _follow(scope: Scope, path: Path) -> Any:
    value: Any = scope
    for key in path:
        if type(value) is not dict or key not in value:
            return _NOWHERE
        value = value[key]
    return value
