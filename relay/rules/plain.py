"""The short way for templates that name nothing but paths, as `Deal {{ data.id }}`: most of them do.

It is taken only while each step of a path is a key of a mapping and the end is a JSON value, in a text a text or an
integer. Whatever else comes up, what is missing above all, is Jinja's to judge, so that nothing has two meanings.
"""

from collections.abc import Callable
from typing import Any, Final

from jinja2 import nodes

from relay.rules.scope import NAMES, Scope

Fill = Callable[[Scope], Any]
Path = tuple[str, ...]
Pieces = list[str | Path]

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


def text(pieces: Pieces | None, fill: Fill) -> Fill:
    """What gives the text of a template of these pieces; `fill` is Jinja's way, for whatever else there is."""
    if pieces is None:
        return fill
    frame = "".join(piece.replace("%", "%%") if isinstance(piece, str) else "%s" for piece in pieces)
    paths = [piece for piece in pieces if not isinstance(piece, str)]

    def short(scope: Scope) -> Any:
        values = []
        for path in paths:
            value = _follow(scope, path)
            if type(value) is not str and type(value) is not int:
                return fill(scope)
            values.append(value)
        return frame % tuple(values)

    return short


def pieces(tree: nodes.Template) -> Pieces | None:
    """Texts and paths in turn, None when there is anything else."""
    found: Pieces = []
    for part in tree.body[0].iter_child_nodes() if [type(each) for each in tree.body] == [nodes.Output] else ():
        piece = part.data if isinstance(part, nodes.TemplateData) else _path(part)
        if piece is None:
            return None
        found.append(piece)
    return found or None


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
    try:
        for key in path:
            value = value[key]
    except (LookupError, TypeError):
        return _NOWHERE
    return value
