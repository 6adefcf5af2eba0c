"""Text that comes from and goes to a terminal or a pipe, whatever the locale: none of it may end a command."""

import os
import sys
from enum import StrEnum
from io import TextIOWrapper
from typing import Any

from typer.core import TyperCommand

from relay.visible import visible, visible_styled


class Command(TyperCommand):
    """A command whose texts are read as UTF-8, which a terminal sends also where the locale knows ASCII only."""

    def invoke(self, ctx: Any) -> Any:
        ctx.params = {name: _read(value) for name, value in ctx.params.items()}
        return super().invoke(ctx)


def prepare() -> None:
    """Make stdout and stderr escape what they cannot write and what would move a terminal.

    A stream that was closed is taken for /dev/null.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - lives as the process
        elif isinstance(stream, TextIOWrapper) and not isinstance(stream, _Shown):
            setattr(sys, name, _Shown(stream))


class When(StrEnum):
    """When there are colours."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def choose_colours(when: When) -> None:
    """Have colours always or never, whatever the terminal is; for this process and for what it starts."""
    if when is When.AUTO:
        return
    wanted, other = ("FORCE_COLOR", "NO_COLOR") if when is When.ALWAYS else ("NO_COLOR", "FORCE_COLOR")
    os.environ.pop(other, None)
    os.environ[wanted] = "1"
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, _Shown):
            stream.style(styled=when is When.ALWAYS)


class _Shown(TextIOWrapper):
    """A stream through which no control passes, whoever writes; to a terminal the colours of Relay's own words do.

    What prints a stranger's text makes it visible before that, so that it has no colours either.
    """

    def __init__(self, stream: TextIOWrapper) -> None:
        buffered, encoding = stream.line_buffering, stream.encoding
        super().__init__(stream.detach(), encoding, "backslashreplace", line_buffering=buffered)
        self._show = visible_styled if self.isatty() else visible

    def style(self, *, styled: bool) -> None:
        """Let Relay's own colours pass, or not."""
        self._show = visible_styled if styled else visible

    def write(self, text: str) -> int:
        super().write(self._show(text))
        return len(text)


def environment() -> dict[str, str]:
    """The environment as UTF-8; what is none of it stays as Python has it."""
    return {name: read(value) for name, value in os.environ.items()}


def read(text: str) -> str:
    """What the system handed over in its own encoding, as UTF-8 if it is that."""
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        return text


def _read(value: Any) -> Any:
    """Texts, and lists of them; paths are no texts, they stay as the system wants them."""
    if type(value) is str:
        return read(value)
    return type(value)(map(_read, value)) if isinstance(value, list | tuple) else value
