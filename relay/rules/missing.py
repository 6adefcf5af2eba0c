"""What an expression looked for and did not find; it remembers the whole path."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

from jinja2 import Undefined
from jinja2.exceptions import TemplateRuntimeError, UndefinedError
from jinja2.utils import missing

_PATH: Final = re.compile(r"""((?:[^\s:\["]|\["[^"]*"\]|\[[^\]]*\])+) is (?:missing|not set)""")
_WORDS: Final = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a number",
    list: "a list",
    str: "text",
    type(None): "null",
}


def word(value: Any) -> str:
    """The kind of a value in words of JSON: `text`, `a number`, `a list`."""
    if isinstance(value, Iterator | range | tuple):
        return "a list"
    return _WORDS.get(type(value), f"a {type(value).__name__}")


def join(holder: str, key: object) -> str:
    """The path of `key` inside `holder`: `data.items`, `data.rows[0]`, `data["first name"]`."""
    if isinstance(key, str):
        return f"{holder}.{key}" if key.isidentifier() else f'{holder}["{key}"]'
    return f"{holder}[{key!r}]"


def missing_path(message: str) -> str | None:
    """The path that the message of a failed rendering says to be missing, None when it is about something else."""
    found = _PATH.search(message)
    return None if found is None else found[1]


class Absent(Undefined):
    """Found missing where that is no fault: false, empty, unequal to all; `| default(...)` takes its place.

    `path` is what was looked for, `gap` the first part of it that is not there, `holder` the path of what should have
    held it (`obj`).
    """

    __slots__ = ("gap", "holder", "path")

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[TemplateRuntimeError] = UndefinedError,
        *,
        holder: str = "",
    ) -> None:
        super().__init__(hint, obj, name, exc)
        self.holder = holder
        self.path = self.gap = join(holder, name) if holder else str(name)

    def reach(self, key: object) -> "Absent":
        """What lies behind it is missing too, for the same cause."""
        further = type(self)(self._undefined_hint, self._undefined_obj, self._undefined_name)
        further.holder, further.gap, further.path = self.holder, self.gap, join(self.path, key)
        return further

    def __getitem__(self, key: object) -> "Absent":  # type: ignore[override]  # it chains, as a slice of it must
        return self.reach(key)

    @property
    def _undefined_message(self) -> str:
        if self._undefined_hint:
            return self._undefined_hint
        if self._undefined_obj is missing:
            return f"{self.path} is not set"
        if isinstance(self._undefined_name, str) and not isinstance(self._undefined_obj, Mapping):
            return f"{self.path} is missing: {self.holder} is {word(self._undefined_obj)}, not an object"
        return f"{self.path} is missing" + ("" if self.gap == self.path else f": there is no {self.gap}")


class Missing(Absent):
    """Found missing where that is a fault: whatever is done with it raises, save `| default(...)` and `is defined`."""

    __slots__ = ()

    def _fail(self, *_: object) -> NoReturn:
        self._fail_with_undefined_error()

    __str__ = __iter__ = __len__ = __bool__ = __eq__ = __ne__ = __hash__ = __contains__ = _fail
