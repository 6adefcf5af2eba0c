"""Turns errors into exit codes. An expected error prints one sentence, never a traceback."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from relay.errors import Blocked, Misconfigured, RelayError
from relay.visible import visible


class Unreachable(RelayError):
    """The service cannot be reached."""


class Untaken(Unreachable):
    """A local program did not take what was posted to it."""


class Guarded(TyperGroup):
    """The group of all commands. It handles the errors that commands raise."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        with _in_plain_words():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            with _in_plain_words():
                return super().invoke(ctx)
        except Misconfigured as error:
            _complain_faults(error.faults, 1)
        except Unreachable as error:
            complain(str(error), 3)
        except Blocked as error:
            complain(str(error), 2)
        except RelayError as error:
            complain(str(error), 1)
        except UnicodeEncodeError as error:
            text = error.object[:80]
            complain(
                f"{text!r} cannot be written in the encoding {error.encoding}: set LC_ALL=C.UTF-8 and write UTF-8", 1
            )


@contextmanager
def _in_plain_words() -> Iterator[None]:
    """Take the words of a library off a message about a wrong argument."""
    try:
        yield
    except typer.BadParameter as error:
        error.message = error.message.removeprefix("Value error, ")
        raise


@contextmanager
def starting() -> Iterator[None]:
    """For services: every error that prevents the start exits with code 2, except a server that is unreachable."""
    try:
        yield
    except Unreachable:
        raise
    except Misconfigured as error:
        _complain_faults(error.faults, 2)
    except RelayError as error:
        complain(str(error), 2)


def complain(message: str, code: int) -> NoReturn:
    """Print to stderr what happened and what to do, and exit with this code."""
    warn(f"relay: {message}")
    raise typer.Exit(code)


def warn(text: str) -> None:
    """Print a line to stderr. Control characters in untrusted text are escaped."""
    sys.stderr.write(f"{visible(text)}\n")


def reason(error: Exception) -> str:
    """Why a connection or a file failed, in the system's words, without those of the library."""
    cause = getattr(error, "os_error", error)
    number = getattr(cause, "errno", None) or 0
    return os.strerror(number) if number > 0 else str(cause) or type(error).__name__


def _complain_faults(faults: tuple[str, ...], code: int) -> NoReturn:
    for fault in faults:
        warn(fault)
    count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
    complain(f"the configuration has {count}; fix what is listed above, then run `relay check`", code)
