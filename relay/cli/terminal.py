"""Decodes and encodes the text of terminals and pipes in every locale, so that no text can abort a command."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from io import TextIOWrapper
from typing import Any

from typer.core import TyperCommand

from relay.visible import visible, visible_styled


class Unwritten(OSError):
    """Stdout cannot be written, as on a full disk."""


def give_up_output() -> None:
    """Send what is left to nowhere, or the end of the process would write it, and fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Command(TyperCommand):
    """A command whose arguments are decoded as UTF-8, which terminals send even in an ASCII locale."""

    def invoke(self, ctx: Any) -> Any:
        ctx.params = {name: _read(value) for name, value in ctx.params.items()}
        return super().invoke(ctx)


def prepare() -> None:
    """Make stdout and stderr escape characters that they cannot encode and control characters.

    A closed stream is replaced by /dev/null.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - open until the process ends
        elif isinstance(stream, TextIOWrapper) and not isinstance(stream, _Shown):
            setattr(sys, name, _Shown(stream))


class When(StrEnum):
    """When to print colours."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def choose_colours(when: When) -> None:
    """Switch colours on or off regardless of the terminal, for this process and its children."""
    if when is When.AUTO:
        return
    enabled, disabled = ("FORCE_COLOR", "NO_COLOR") if when is When.ALWAYS else ("NO_COLOR", "FORCE_COLOR")
    os.environ.pop(disabled, None)
    os.environ[enabled] = "1"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, _Shown):
            stream.style(styled=when is When.ALWAYS)


class _Shown(TextIOWrapper):
    """A stream that escapes control characters, except the colours of Relay's own text on a terminal.

    Untrusted text is made visible before it is printed, so that it cannot contain colours either.
    """

    def __init__(self, stream: TextIOWrapper) -> None:
        buffered, encoding = stream.line_buffering, stream.encoding
        direct = stream.write_through  # as PYTHONUNBUFFERED makes it: each line must come at once there too
        super().__init__(stream.detach(), encoding, "backslashreplace", line_buffering=buffered, write_through=direct)
        self._show = visible_styled if self.isatty() else visible

    def style(self, *, styled: bool) -> None:
        """Set whether Relay's colours are printed."""
        self._show = visible_styled if styled else visible

    def write(self, text: str) -> int:
        with self._told():
            super().write(self._show(text))
        return len(text)

    def flush(self) -> None:
        with self._told():
            super().flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Raise Unwritten when stdout cannot be written, as on a full disk. A closed pipe stays what it is."""
        try:
            yield
        except OSError as error:
            if self is not sys.stdout or error.errno == errno.EPIPE:
                raise
            raise Unwritten(f"the output cannot be written ({error.strerror}); part of it is missing") from None


def environment() -> dict[str, str]:
    """The environment, decoded as UTF-8. Values that are not UTF-8 are unchanged."""
    return {name: read(value) for name, value in os.environ.items()}


def read(text: str) -> str:
    """Decode text of the operating system as UTF-8. Text that is not UTF-8 is unchanged."""
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        return text


def _read(value: Any) -> Any:
    """Decode a text, or a list of texts. Paths are unchanged, because the system needs its own encoding."""
    if type(value) is str:
        return read(value)
    return type(value)(map(_read, value)) if isinstance(value, list | tuple) else value
