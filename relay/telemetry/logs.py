"""structlog: JSON in production, a readable form on a terminal, one wide line per step.

Levels: a step that went well is `info`, one that a person should look at `warning`, one that needs a person `error`.
"""

import json
import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, Final, TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger as Log
from structlog.typing import Processor

__all__ = ["Log", "configure", "get_log"]


class _Sink:
    """Where lines go: `stream`, or what stderr is at the moment.

    A line that cannot be written (a full disk, a pipe that nobody reads any more) is lost: what it tells of has
    happened, and failing now would only make the sender repeat it. The next line is tried again.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            (self._stream or sys.stderr).write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            (self._stream or sys.stderr).flush()


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
    renderer: Processor = (
        structlog.processors.JSONRenderer(_to_json)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=out.isatty())
    )
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _plain_exceptions if form == "json" else _keep,
    ]
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, sink)),
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


_encode: Final = json.JSONEncoder(ensure_ascii=False, default=repr).encode


def _to_json(line: Any, **_: Any) -> str:
    """With an encoder that is made once, not per line."""
    return _encode(line)


def _keep(_: Any, __: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return line


_format_exception = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def _plain_exceptions(log: Any, name: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return _format_exception(log, name, line) if line.get("exc_info") else line
