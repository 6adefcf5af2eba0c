"""Jinja's parser, with its depth counted: what nests too deeply is refused with its line, by every Python alike.

Jinja's parser, optimizer and compiler recurse, and so does Python's own compiler on what they write; each of them has
a bound of its own that differs from release to release. The bounds here are well below all of those.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from jinja2 import nodes, parser

_CALLS: Final = 600
"""The most calls of the parser that may be under way, as estimated below: 30 brackets in one another."""

_BLOCKS: Final = 16
"""The most blocks in one another: Python knows 20 loops, and 100 steps of indentation."""

_NODES: Final = 150
"""The most levels of the tree, as the terms of `a or b or c`: Python knows 200 brackets in one another."""

_BRANCHES: Final = 100
"""The most `elif` of one `if`, which are in one another to Python."""

_TOO_DEEP: Final = "it nests too deeply: make it flatter"


class Parser(parser.Parser):
    """Raises jinja2's TemplateSyntaxError with `lineno`."""

    _calls = 0
    _blocks = 0

    def parse(self) -> nodes.Template:
        """The tree of a whole template."""
        tree = super().parse()
        self._require_shallow(tree)
        return tree

    def parse_whole(self) -> nodes.Expr:
        """The tree of a text that is one bare expression."""
        tree = self.parse_expression()
        if not self.stream.eos:
            self.fail(f"the expression ends before {self.stream.current.value!r}", self.stream.current.lineno)
        self._require_shallow(tree)
        tree.set_environment(self.environment)
        return tree

    def parse_statement(self) -> nodes.Node | list[nodes.Node]:
        self._blocks += 1
        if self._blocks > _BLOCKS:
            self.fail(f"it nests too deeply: at most {_BLOCKS} blocks stand in one another", self._line())
        try:
            with self._within(6):
                return super().parse_statement()
        finally:
            self._blocks -= 1

    def parse_expression(self, with_condexpr: bool = True) -> nodes.Expr:
        with self._within(14):
            return super().parse_expression(with_condexpr)

    def parse_condexpr(self) -> nodes.Expr:
        with self._within(2):
            return super().parse_condexpr()

    def parse_not(self) -> nodes.Expr:
        with self._within(2):
            return super().parse_not()

    def parse_unary(self, with_filter: bool = True) -> nodes.Expr:
        with self._within(2):
            return super().parse_unary(with_filter)

    @contextmanager
    def _within(self, calls: int) -> Iterator[None]:
        self._calls += calls
        if self._calls > _CALLS:
            self.fail(_TOO_DEEP, self._line())
        yield
        self._calls -= calls  # after an error nobody goes on

    def _line(self) -> int:
        return self.stream.current.lineno

    def _require_shallow(self, tree: nodes.Node) -> None:
        level: list[nodes.Node] = [tree]
        for _ in range(_NODES):
            for node in level:
                if isinstance(node, nodes.If) and len(node.elif_) > _BRANCHES:
                    self.fail(f"at most {_BRANCHES} elif stand in one if", node.elif_[_BRANCHES].lineno)
            level = [child for node in level for child in node.iter_child_nodes()]
            if not level:
                return
        self.fail(_TOO_DEEP, level[0].lineno)
