"""structlog: JSON in production, a readable form on a terminal, one wide line per step.

Levels: a step that went well is `info`, one that a person should look at `warning`, one that needs a person `error`.
"""

import asyncio
import atexit
import io
import json
import logging
import sys
import time
from collections import deque
from collections.abc import MutableMapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final, TextIO

import structlog
from pydantic_core import to_json
from structlog.typing import FilteringBoundLogger as Log
from structlog.typing import Processor

from relay.telemetry.sparse import Sparse
from relay.visible import visible, visible_json

__all__ = ["Log", "configure", "get_log"]

Line = MutableMapping[str, Any]

_PATIENCE: Final = 0.02
"""Seconds for which a line of what went well may wait for others: each write is a call of the system."""


class _Sink:
    """Where lines go: `stream`, or what stderr is at the moment.

    What went well is written within 20 ms, all that was said meanwhile at once; a line that a person should look at is
    written with those before it without delay, as is one that no loop turns for.

    A line that cannot be written (a full disk, a pipe that nobody reads any more) is lost: what it tells of has
    happened, and failing now would only make the sender repeat it. The next line is tried again.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._waiting: deque[str] = deque()
        self._promised: asyncio.AbstractEventLoop | None = None
        atexit.register(self._write_all)

    def info(self, line: str) -> None:
        self._waiting.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no loop turns in this thread
            self._write_all()
            return
        if loop is not self._promised:
            self._promised = loop
            loop.call_later(_PATIENCE, self._write_all)

    def warning(self, line: str) -> None:
        self._waiting.append(line)
        self._write_all()

    debug = info
    error = critical = warning

    def write(self, text: str) -> None:
        """For the standard library's handler, which ends its lines itself."""
        self.warning(text.removesuffix("\n"))

    def flush(self) -> None:
        self._write_all()

    def _write_all(self) -> None:
        self._promised = None
        lines = []
        with suppress(IndexError):  # another thread may take, too: each line is written once
            while True:
                lines.append(self._waiting.popleft())
        if lines:
            with suppress(OSError, ValueError):
                stream = self._stream or sys.stderr
                stream.write("\n".join([*lines, ""]))
                stream.flush()


def get_log() -> Log:
    """The logger; call it per module, it configures itself at the first line."""
    log: Log = structlog.get_logger()
    return log


def configure(level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Set level (`debug`, `info`, `warning`, `error`) and form (`json`, `console`, `auto`: by terminal).

    Lines of libraries that use the standard library's logging come out in the same form, from `warning` up.
    """
    out, sink = stream or sys.stderr, _Sink(stream)
    if form == "auto":
        form = "console" if out.isatty() else "json"
    number = logging.getLevelNamesMapping()[level.upper()]
    to_json = _to_json if (out.encoding or "").lower().replace("-", "") == "utf8" else _to_ascii
    renderer: Processor = to_json if form == "json" else _Console(colours=out.isatty())
    shared: list[Processor] = [structlog.processors.add_log_level, _stamp]
    structlog.configure(
        processors=[Sparse(), *shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sink)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))


_show_exception: Final = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def _to_json(log: Any, name: str, line: Line) -> str:
    """By pydantic's encoder, which takes a third of the time; it refuses half a surrogate, which must fail no line."""
    return _encode(log, name, line, ascii_only=False)


def _to_ascii(log: Any, name: str, line: Line) -> str:
    """For a stream that cannot carry all of UTF-8: what it would escape in its own way would be no JSON."""
    return _encode(log, name, line, ascii_only=True)


def _encode(log: Any, name: str, line: Line, *, ascii_only: bool) -> str:
    whole = _show_exception(log, name, line) if line.get("exc_info") else line
    try:
        text = to_json(whole, fallback=repr, ensure_ascii=ascii_only).decode()
    except ValueError:
        text = json.dumps(whole, default=repr)
    return visible_json(text)


class _Console:
    """The readable form; no name, value or traceback of it moves the terminal."""

    def __init__(self, *, colours: bool) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=_show_traceback)

    def __call__(self, log: Any, name: str, line: Line) -> str:
        shown = {visible(key, keep=""): value if key == "exc_info" else _shown(value) for key, value in line.items()}
        return self._render(log, name, shown)


def _shown(value: Any) -> Any:
    """What a console line says of a value: text and whatever is written as text without a control in it."""
    if isinstance(value, str):
        return visible(value, keep="")
    return value if value is None or isinstance(value, int | float) else visible(repr(value), keep="")


def _show_traceback(out: TextIO, exc_info: Any) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    out.write(visible(text.getvalue()))


def _stamp(_: Any, __: str, line: Line) -> Line:
    now = time.time_ns()
    line["timestamp"] = f"{_second(now // 1_000_000_000)}.{now // 1_000 % 1_000_000:06d}Z"
    return line


@lru_cache(maxsize=4)
def _second(moment: int) -> str:
    """A second of Unix time as ISO 8601 in UTC; a busy relay writes many lines in one."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
