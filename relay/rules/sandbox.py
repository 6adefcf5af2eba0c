"""Jinja2 with everything but data taken away.

`a.b` on an object is the key `b`, never a Python attribute or method; on a list, text or number there is nothing
behind a dot. The only other things with a dot are Jinja's own: `loop.index` and its like, and the pairs of `groupby`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from jinja2 import nodes, pass_context
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context, LoopContext, Macro, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range

from relay.depth import TooDeep
from relay.rules.budget import STEP, Rendering, require_format
from relay.rules.encode import LIMIT
from relay.rules.filters import FILTERS
from relay.rules.missing import Absent, Missing, join
from relay.rules.operators import calculate, compare, cut, negate, put
from relay.rules.parser import Parser
from relay.rules.predicates import TESTS

_LOOP: Final = frozenset(
    {
        "changed",
        "cycle",
        "depth",
        "depth0",
        "first",
        "index",
        "index0",
        "last",
        "length",
        "nextitem",
        "previtem",
        "revindex",
        "revindex0",
    }
)
_POWER_BITS: Final = 4_096
_PRODUCT_BITS: Final = 65_536
_CALLS: Final = 100
"""The most calls of macros and recursive loops that may be under way; each takes half a dozen of Python's."""


def path_of(node: nodes.Node) -> str:
    """An expression as people would write it, for messages: `data.rows[0].name`."""
    match node:
        case nodes.Name():
            return node.name
        case nodes.Getattr():
            return join(path_of(node.node), node.attr)
        case nodes.Getitem(arg=nodes.Const(value=key)):
            return join(path_of(node.node), key)
        case nodes.Getitem():
            return f"{path_of(node.node)}[...]"
        case nodes.Filter(node=nodes.Node() as inner):
            return f"({path_of(inner)} | {node.name})"
        case _:
            return "(...)"


def _written(node: nodes.Node) -> int:
    """The characters that one turn of a loop may write as they stand; loops in it count their own."""
    if isinstance(node, nodes.TemplateData):
        return len(node.data)
    return 0 if isinstance(node, nodes.For) else sum(map(_written, node.iter_child_nodes()))


class _Generator(CodeGenerator):
    """Compiles `a.b` and `a["b"]` to `Sandbox.reach`, which also gets the path of `a` for its messages.

    Loops, slices, `~` and comparisons follow JSON (`relay.rules.operators`), and count on the rendering what they go
    through.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._counted: list[tuple[nodes.Node, int]] = []

    def visit_For(self, node: nodes.For, frame: Frame) -> None:  # noqa: N802 - Jinja's name
        self._counted.append((node.iter, sum(_written(child) for child in node.body)))
        super().visit_For(node, frame)

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - Jinja's name
        self.write("context.joined((")
        self._list(node.nodes, frame)
        self.write("))")

    def visit_Compare(self, node: nodes.Compare, frame: Frame) -> None:  # noqa: N802 - Jinja's name
        self.write("environment.compare(context, ")
        self.visit(node.expr, frame)
        for operand in node.ops:
            self.write(f", {operand.op!r}, ")
            self.visit(operand.expr, frame)
        self.write(")")

    def _list(self, parts: Sequence[nodes.Node], frame: Frame) -> None:
        for part in parts:
            self.visit(part, frame)
            self.write(", ")

    def visit(self, node: nodes.Node, *args: Any, **kwargs: Any) -> Any:
        """What a loop goes through is written as a call of `Rendering.each`."""
        found = next((each for each in self._counted if each[0] is node), None)
        if found is None:
            return super().visit(node, *args, **kwargs)
        self._counted.remove(found)
        self.write("context.each(")
        super().visit(node, *args, **kwargs)
        self.write(f", {found[1]})")
        return None

    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:  # noqa: N802 - Jinja's name
        self.write("environment.reach(")
        self.visit(node.node, frame)
        self.write(f", {node.attr!r}, {path_of(node.node)!r})")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802 - Jinja's name
        if isinstance(node.arg, nodes.Slice):
            self.write("environment.cut(context, ")
            self.visit(node.node, frame)
            self.write(", slice(")
            self._list([part or nodes.Const(None) for part in (node.arg.start, node.arg.stop, node.arg.step)], frame)
            self.write("))")
            return
        self.write("environment.reach(")
        self.visit(node.node, frame)
        self.write(", ")
        self.visit(node.arg, frame)
        self.write(f", {path_of(node.node)!r})")


@pass_context
def _finalize(rendering: Rendering, value: Any) -> Any:
    """What a value looks like inside a text: JSON, null as nothing."""
    return rendering.weighed(value) if isinstance(value, str) else rendering.text(value)


class Sandbox(ImmutableSandboxedEnvironment):
    """The environment of all templates (strict) or of all conditions (lenient)."""

    code_generator_class = _Generator
    intercepted_binops = frozenset({"*", "**", "+", "%", "-", "/", "//"})
    intercepted_unops = frozenset({"+", "-"})

    def __init__(self, undefined: type[Absent]) -> None:
        # Jinja's optimizer works constants out by Python's rules: none ~ "x" would be "Nonex".
        super().__init__(
            undefined=undefined, finalize=_finalize, keep_trailing_newline=True, cache_size=0, optimized=False
        )
        self.filters = dict(FILTERS)
        self.tests = dict(TESTS)
        self.globals = {"range": safe_range, "null": None}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return Parser(self, source, name, filename).parse()

    def reach(self, obj: Any, key: Any, holder: str) -> Any:
        """`obj.key` or `obj[key]`; `holder` is the path of `obj`."""
        if type(obj) is dict or isinstance(obj, Mapping):
            try:
                return obj[key]
            except (KeyError, TypeError):  # no such key, or nothing that could be one
                pass
        elif isinstance(obj, Absent):
            return obj.reach(key)
        elif isinstance(key, int) and isinstance(obj, str | list | tuple):
            if -len(obj) <= key < len(obj):
                return obj[key]
        elif isinstance(obj, LoopContext) and key in _LOOP:
            return getattr(obj, key)
        elif key in getattr(obj, "_fields", ()):
            return obj[obj._fields.index(key)]
        return self.undefined(obj=obj, name=key, holder=holder)  # type: ignore[call-arg]  # always an Absent

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.reach(obj, attribute, "(item)")

    def getitem(self, obj: Any, argument: Any) -> Any:
        return self.reach(obj, argument, "(item)")

    def is_safe_callable(self, obj: Any) -> bool:
        """Only `range`, what Jinja itself makes, and what is missing (its own error is the clearer one)."""
        return (
            obj is safe_range
            or isinstance(obj, LoopContext | Macro | Undefined)
            or isinstance(getattr(obj, "__self__", None), LoopContext)
        )

    def call(self, context: Rendering, obj: Any, /, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]  # Jinja mangles the names, and makes no other context
        if context.calls == _CALLS:
            raise TooDeep
        context.calls += 1
        context.spend(STEP)
        if isinstance(obj, LoopContext) and args:  # a recursive loop
            args = (context.each(args[0]), *args[1:])
        try:
            return context.weighed(super().call(context, obj, *args, **kwargs))
        finally:
            context.calls -= 1

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Bounded, because the numbers may be a stranger's."""
        assert isinstance(context, Rendering)  # noqa: S101 - `enter` makes no other
        if operator == "*":
            _require_product(left, right)
        elif operator == "%" and isinstance(left, str):
            require_format(left)
            return context.weighed(put(left, right, context.spend))
        elif operator == "**" and isinstance(left, int) and isinstance(right, int):
            _require_power(left, right)
        return context.weighed(calculate(operator, left, right))

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:  # noqa: ARG002 - Jinja's signature
        return negate(operator, arg)

    def compare(self, context: Rendering, left: Any, *rest: Any) -> bool:
        """`left < a <= b`, as `"lt", a, "lteq", b` in `rest`; it ends at the first that is false."""
        for op, right in zip(rest[::2], rest[1::2], strict=True):
            if not compare(op, left, right, context.spend):
                return False
            left = right
        return True

    def cut(self, context: Rendering, value: Any, part: slice) -> Any:
        """`value[start:stop:step]`."""
        return context.weighed(cut(value, part))


def _require_power(left: int, right: int) -> None:
    if left.bit_length() * right > _POWER_BITS:
        raise OverflowError("the power would be too large")


def _require_product(left: Any, right: Any) -> None:
    for many, times in ((left, right), (right, left)):
        if isinstance(many, str | list | tuple) and isinstance(times, int) and len(many) * times > LIMIT:
            raise OverflowError("the product would be too large")
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > _PRODUCT_BITS:
        raise OverflowError("the product would be too large")


STRICT: Final = Sandbox(Missing)
LENIENT: Final = Sandbox(Absent)
