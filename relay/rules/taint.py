"""Which expressions of a template may write what a stranger wrote, and a fence around each of them.

Judged by the template alone, before there is an event, so that no filter can undo it: whatever an expression makes of
an untrusted path is fenced as a whole, behind its last filter. What only asks about a path (a comparison, a test) is
no text of a stranger.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from jinja2 import nodes

from relay.rules.sandbox import STRICT
from relay.rules.template import lone, parse, parse_condition

Steps = tuple[str | int, ...]

ROOTS: Final = frozenset({"data", "event", "headers"})
"""Where the paths of what came in begin."""
FENCE: Final = "fence"
_KEPT: Final = 8_192


@lru_cache(maxsize=_KEPT)
def steps_of(path: str) -> Steps | None:
    """A path of what came in, as `data.rows[0].text`, step by step; None when it is none."""
    steps, whole = _steps(parse_condition(path))
    return steps if whole and steps and steps[0] in ROOTS else None


@dataclass(frozen=True, slots=True)
class Taint:
    """The untrusted `paths`, the `names` that hold something of them, and names that stand for a path (`aliases`)."""

    paths: tuple[Steps, ...]
    names: frozenset[str] = frozenset()
    aliases: tuple[tuple[str, Steps], ...] = ()

    def plus(self, names: Iterable[str]) -> "Taint":
        """The same with more names."""
        return Taint(self.paths, self.names | frozenset(names), self.aliases)

    def let(self, name: str, texts: Sequence[str], *, lone_text: bool) -> "Taint":
        """With a name that is given by these templates, `lone_text` says that its value is one of them and no more.

        One that only stands for a path is followed, so that `contact.email` is no part of `data.contact.note`.
        """
        if lone_text and (steps := _path(self, texts[0].strip())) is not None:
            return replace(self, aliases=(*self.aliases, (name, steps)))
        return self.plus({name}) if any(_writes(self, text.strip()) for text in texts) else self

    def _without(self, tree: nodes.Node) -> "Taint":
        """Without the aliases of names that the template gives anew; what they stand for counts all the same."""
        stored = {node.name for node in _walk(tree) if isinstance(node, nodes.Name) and node.ctx != "load"}
        own = {name for name, steps in self.aliases if name in stored and self._meets(steps)}
        kept = tuple(pair for pair in self.aliases if pair[0] not in stored)
        return Taint(self.paths, self.names | own, kept)

    def _meets(self, steps: Steps) -> bool:
        return any(_meet(steps, path) for path in self.paths)

    def steps(self, node: nodes.Node) -> tuple[Steps, bool]:
        """The keys of a path up to the first that is computed, and whether that is all of it."""
        steps, whole = _steps(node)
        aliased = dict(self.aliases).get(str(steps[0])) if steps else None
        return (steps, whole) if aliased is None else ((*aliased, *steps[1:]), whole)

    def inside(self, tree: nodes.Node) -> "Taint":
        """With the names that the template itself gives to something untrusted."""
        taint = self._without(tree)
        while True:
            found = {name for node in _walk(tree) for name in taint.bound(node)}
            if found <= taint.names:
                return taint
            taint = taint.plus(found)

    def bound(self, node: nodes.Node) -> Iterator[str]:
        """The names that a statement gives to something untrusted."""
        match node:
            case nodes.For(target=target, iter=value) if self.of(value):
                yield from _names(target)
                yield "loop"  # its neighbours are items too
            case nodes.Assign(target=target, node=value) if self.of(value):
                yield from _names(target)
            case nodes.Macro(name=name, args=args, defaults=defaults):
                if any(map(self.of, defaults)):
                    yield from (arg.name for arg in args)
                if any(self.of(each) for each in _written(node)):
                    yield name
            case nodes.AssignBlock(target=target) if any(self.of(each) for each in _written(node)):
                yield from _names(target)
            case nodes.With(targets=targets, values=values):
                for target, value in zip(targets, values, strict=True):
                    if self.of(value):
                        yield from _names(target)

    def of(self, node: nodes.Node) -> bool:
        """Whether the value of an expression may hold something untrusted."""
        match node:
            case nodes.Name(name=name) if name in self.names:
                return True
            case nodes.Name() | nodes.Getattr() | nodes.Getitem():
                steps, whole = self.steps(node)
                if steps:
                    return steps[0] in self.names or self._meets(steps)
                return any(map(self.of, node.iter_child_nodes())) if not whole else False
            case nodes.CondExpr(expr1=yes, expr2=no):
                return self.of(yes) or (no is not None and self.of(no))
            case nodes.Test() | nodes.Compare() | nodes.Not():
                return False
        return any(map(self.of, node.iter_child_nodes()))

    def fenced(self, text: str, most: int) -> nodes.Template:
        """The tree of a template in which each expression that writes something untrusted is fenced."""
        tree = parse(text)
        inner = self.inside(tree)
        for output in list(tree.find_all(nodes.Output)):
            output.nodes = [self._fence(each, most) if inner.of(each) else each for each in output.nodes]
        return tree

    @staticmethod
    def _fence(expression: nodes.Expr, most: int) -> nodes.Expr:
        if isinstance(expression, nodes.Filter) and expression.name == FENCE:
            return expression
        line = expression.lineno
        fence = nodes.Filter(expression, FENCE, [nodes.Const(most, lineno=line)], [], None, None, lineno=line)
        fence.set_environment(STRICT)
        return fence

    def hidden(self, text: str) -> tuple[int, ...]:
        """Lines of blocks whose text would be changed behind the fence, so that it is none any more."""
        return _hidden(self, text)

    def blocks(self, tree: nodes.Template) -> Iterator[int]:
        """The same of a tree."""
        inner = self.inside(tree)
        for block in tree.find_all(nodes.FilterBlock):
            if any(inner.of(each) for each in _written(block)):
                yield block.lineno
        for call in tree.find_all(nodes.CallBlock):
            if inner.of(call.call) or any(inner.of(each) for each in _written(call)):
                yield call.lineno


@lru_cache(maxsize=_KEPT)
def _writes(taint: Taint, text: str) -> bool:
    """Many rules say the same, and parsing is what costs."""
    tree = parse(text)
    inner = taint.inside(tree)
    expression = lone(tree)
    written = [expression] if expression is not None else _written(tree)
    return any(inner.of(each) for each in written)


@lru_cache(maxsize=_KEPT)
def _path(taint: Taint, text: str) -> Steps | None:
    """The path of what came in that a template stands for, None where it is more, or another."""
    expression = lone(parse(text))
    steps, whole = ((), False) if expression is None else taint.steps(expression)
    return steps if whole and steps and steps[0] in ROOTS else None


@lru_cache(maxsize=_KEPT)
def _hidden(taint: Taint, text: str) -> tuple[int, ...]:
    return tuple(taint.blocks(parse(text)))


def _steps(node: nodes.Node) -> tuple[Steps, bool]:
    """The keys of a path up to the first that is computed, and whether that is all of it."""
    match node:
        case nodes.Name(name=name):
            return (name,), True
        case nodes.Getattr(node=holder, attr=key):
            steps, whole = _steps(holder)
            return ((*steps, key), True) if whole else (steps, False)
        case nodes.Getitem(node=holder, arg=nodes.Const(value=str() | int() as key)):
            steps, whole = _steps(holder)
            return ((*steps, key), True) if whole else (steps, False)
        case nodes.Getitem(node=holder):
            return _steps(holder)[0], False
    return (), False


def _meet(one: Steps, other: Steps) -> bool:
    """Whether one of the two is the other, or inside of it."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _written(tree: nodes.Node) -> list[nodes.Expr]:
    """The expressions that a tree writes out."""
    return [each for output in tree.find_all(nodes.Output) for each in output.nodes]


def _names(target: nodes.Node) -> Iterator[str]:
    return (node.name for node in _walk(target) if isinstance(node, nodes.Name))


def _walk(node: nodes.Node) -> Iterator[nodes.Node]:
    yield node
    for child in node.iter_child_nodes():
        yield from _walk(child)
