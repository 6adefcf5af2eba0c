"""Configures structlog: JSON in production, a readable format on a terminal, one wide line per step.

Levels: `info` is a step that succeeded, `warning` is worth a look by a person, `error` needs a person.
"""

import asyncio
import atexit
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
"""Seconds for which an info line may wait for others, because each write is a system call."""


class _Sink:
    """Writes lines to `stream`, or to the current stderr.

    Info lines are collected and written within 20 ms. A line of a higher level is written at once, together with the
    lines before it. Without a running loop every line is written at once.

    A line that cannot be written (a full disk, a closed pipe) is lost. Its step has already happened, and an error now
    would only make the sender repeat it. The next line is tried again.
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
        except RuntimeError:  # no loop runs in this thread
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
        """Write a line of the standard library's handler, which ends with a line break."""
        self.warning(text.removesuffix("\n"))

    def flush(self) -> None:
        self._write_all()

    def _write_all(self) -> None:
        self._promised = None
        lines = []
        with suppress(IndexError):  # another thread may write too: popping makes sure that each line is written once
            while True:
                lines.append(self._waiting.popleft())
        if lines:
            with suppress(OSError, ValueError):
                stream = self._stream or sys.stderr
                stream.write("\n".join([*lines, ""]))
                stream.flush()


def get_log() -> Log:
    """A logger for a module. It is bound to the configuration at its first line."""
    log: Log = structlog.get_logger()
    return log


def configure(level: str = "info", form: str = "auto", stream: TextIO | None = None, *, is_final: bool = True) -> None:
    """Set the level (`debug`, `info`, `warning`, `error`) and the format (`json`, `console`, or `auto` by terminal).

    When it is final, each logger keeps it from its first line on, which makes a line cheaper.
    Lines of libraries that use the standard library's logging get the same format, from `warning` up.
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
        cache_logger_on_first_use=is_final,
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
    """Render JSON in UTF-8, with pydantic's encoder, which takes a third of the time."""
    return _encode(log, name, line, ascii_only=False)


def _to_ascii(log: Any, name: str, line: Line) -> str:
    """Render JSON in ASCII, for a stream that is not UTF-8: its own escapes would not be valid JSON."""
    return _encode(log, name, line, ascii_only=True)


def _encode(log: Any, name: str, line: Line, *, ascii_only: bool) -> str:
    document = _show_exception(log, name, line) if line.get("exc_info") else line
    try:
        text = to_json(document, fallback=repr, ensure_ascii=ascii_only).decode()
    except ValueError:  # pydantic refuses lone surrogates
        text = json.dumps(document, default=repr)
    return visible_json(text)


class _Console:
    """The readable format, one line per record. Control characters in names, values and tracebacks are escaped.

    A traceback comes last, as `exc=`, with its line breaks escaped: a reader of lines (grep, journald, a container's
    log) then never takes a part of it for a record.
    """

    def __init__(self, *, colours: bool) -> None:
        self._render = structlog.dev.ConsoleRenderer(colors=colours)

    def __call__(self, log: Any, name: str, line: Line) -> str:
        formatted = structlog.processors.format_exc_info(log, name, dict(line))
        traceback = formatted.pop("exception", None)
        text = self._render(log, name, {visible(key, keep=""): _shown(value) for key, value in formatted.items()})
        return text if traceback is None else f"{text} exc={visible(str(traceback), keep='')}"


def _shown(value: Any) -> Any:
    """A value for a console line. Texts, and values that are written as text, have their control characters escaped."""
    if isinstance(value, str):
        return visible(value, keep="")
    return value if value is None or isinstance(value, int | float) else visible(repr(value), keep="")


def _stamp(_: Any, __: str, line: Line) -> Line:
    now = time.time_ns()
    line["timestamp"] = f"{_second(now // 1_000_000_000)}.{now // 1_000 % 1_000_000:06d}Z"
    return line


@lru_cache(maxsize=4)
def _second(moment: int) -> str:
    """A second of Unix time as ISO 8601 in UTC, cached because a busy relay writes many lines per second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
