"""The keys of a block, and what they are for, as the strings below its attributes say."""

import ast
import inspect
import textwrap
from collections.abc import Mapping
from functools import cache
from itertools import pairwise

from pydantic import BaseModel


def keys_of(block: type[BaseModel]) -> Mapping[str, str]:
    """The attributes of a block by their keys in a file, which may be words of Python (`for`, `except`)."""
    return {
        field.validation_alias if isinstance(field.validation_alias, str) else name: name
        for name, field in block.model_fields.items()
    }


@cache
def descriptions(block: type) -> Mapping[str, str]:
    """The string below each annotated attribute of a class and its bases, by name. Those without one are left out.

    They are read from the source when somebody asks. Pydantic reads them as it makes a class, for all of them, which
    was a quarter of the time that `relay serve` took to start.
    """
    found: dict[str, str] = {}
    for kind in reversed(block.__mro__):
        found |= _read(kind)
    return found


def _read(kind: type) -> Mapping[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except (OSError, TypeError):
        return {}  # it is made at run time, or built in
    [definition] = tree.body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    return {
        above.target.id: inspect.cleandoc(below.value.value)
        for above, below in pairwise(body)
        if isinstance(above, ast.AnnAssign)
        and isinstance(above.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
        and isinstance(below.value.value, str)
    }
